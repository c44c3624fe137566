"""JSON as people read it."""

from __future__ import annotations

import msgspec

__all__ = ["laid_out"]


def laid_out(text: str) -> str | None:
    """A JSON object or array with each member on a line of its own; None for any other text.

    Numbers and strings stay as they are written.
    """
    if not text.startswith(("{", "[")):
        return None
    try:
        return msgspec.json.format(text, indent=2)
    except (ValueError, RecursionError):
        return None
