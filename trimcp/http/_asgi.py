"""ASGI, as far as it is needed here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import trio

__all__ = ["ENDINGS", "GONE", "ASGIApp", "Receive", "Scope", "Send"]

Scope: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[dict[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: An extension of our own hosting: a set of callables, called when the client is gone. With it
#: nobody has to wait for the event that says so.
GONE: Final = "trimcp.gone"

#: What ends a task and is never anybody's error.
ENDINGS: Final = (trio.Cancelled, KeyboardInterrupt, GeneratorExit)
