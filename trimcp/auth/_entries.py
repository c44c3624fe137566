"""The entries of a token storage, as text."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

__all__ = ["decoded", "encoded"]

T = TypeVar("T")


def encoded(value: Any) -> str:
    """A value as the text that is stored."""
    return msgspec.json.encode(value).decode()


def decoded(entry: str | None, cls: type[T]) -> T | None:
    """What was stored; None if it cannot be read, for example since it is of another version."""
    try:
        return None if entry is None else msgspec.json.decode(entry, type=cls)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
