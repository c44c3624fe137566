"""Calling functions that may or may not be asynchronous."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["awaited"]


async def awaited(value: Any) -> Any:
    """The value, or the result of awaiting it if it is awaitable."""
    return await value if inspect.isawaitable(value) else value
