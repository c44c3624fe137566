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
    """The form asked for; by default text for people and JSON for programs."""
    return asked or ("text" if sys.stdout.isatty() else "json")


def encoded(value: Any, client: Client) -> Any:
    """A payload, several of them, or None, as they stand on the wire of the client's revision.

    They are the server's, so they are written by the codec that has read them: what it forgave
    must not be refused when it is shown, least of all after a call that has taken effect.
    """
    from trimcp.protocol import LATEST, find_revision, reader_for

    if value is None:
        return None
    codec = reader_for(find_revision(client.revision) or LATEST)
    return (
        [codec.encode(each) for each in value] if isinstance(value, list) else codec.encode(value)
    )


def write(text: str) -> None:
    """Write a text now, ended by a line break; nothing if it is empty."""
    if not text:
        return
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Write bytes now, and nothing else."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_json(document: Any) -> None:
    """Write one JSON document: indented on a terminal, on one line elsewhere."""
    write(json.dumps(document, indent=2 if sys.stdout.isatty() else None))
