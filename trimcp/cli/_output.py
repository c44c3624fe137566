"""Writing results to standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._arguments import Output

__all__ = ["chosen_output", "write", "write_json"]


def chosen_output(asked: Output | None) -> Output:
    """The form asked for; by default text for people and JSON for programs."""
    return asked or ("text" if sys.stdout.isatty() else "json")


def write(text: str) -> None:
    """Write a text now, ended by a line break; nothing if it is empty."""
    if not text:
        return
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    sys.stdout.flush()


def write_json(document: Any) -> None:
    """Write one JSON document: on one line, unless people read it."""
    write(json.dumps(document, indent=2 if sys.stdout.isatty() else None))
