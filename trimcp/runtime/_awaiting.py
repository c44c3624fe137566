"""Calling what may or may not be asynchronous."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["awaited"]


async def awaited(value: Any) -> Any:
    """The value; what it gives when it is awaited, if it can be."""
    return await value if inspect.isawaitable(value) else value
