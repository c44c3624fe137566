"""Writing results to standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimcp.client import Client

    from ._options import Output

__all__ = ["chosen_output", "encoded", "write", "write_bytes", "write_json"]


def chosen_output(asked: Output | None) -> Output:
    """The requested form; by default text on a terminal and JSON elsewhere."""
    return asked or ("text" if sys.stdout.isatty() else "json")


def encoded(value: Any, client: Client) -> Any:
    """A payload, a list of payloads, or None, in the wire form of the client's revision.

    They come from the server, so the codec that has read them also writes them: a flaw that it
    accepted must not be an error when it is shown, especially after a call that has had an effect.
    """
    from trimcp.protocol import LATEST, find_revision, reader_for

    if value is None:
        return None
    codec = reader_for(find_revision(client.revision) or LATEST)
    return (
        [codec.encode(each) for each in value] if isinstance(value, list) else codec.encode(value)
    )


def write(text: str) -> None:
    """Write a text at once, with a line break at its end; nothing if it is empty."""
    if not text:
        return
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Write bytes at once, unchanged."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_json(document: Any) -> None:
    """Write one JSON document: indented on a terminal, on one line elsewhere."""
    write(json.dumps(document, indent=2 if sys.stdout.isatty() else None))
