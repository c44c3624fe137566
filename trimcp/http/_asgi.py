"""ASGI, as far as it is needed here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import trio

__all__ = ["ENDINGS", "ASGIApp", "Receive", "Scope", "Send"]

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: What ends a task and is never anybody's error.
ENDINGS: Final = (trio.Cancelled, KeyboardInterrupt, GeneratorExit)
