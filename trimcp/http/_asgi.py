"""The parts of ASGI that are needed here."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import trio

from trimcp.runtime import NEEDS_TRIO

__all__ = [
    "ENDINGS",
    "GONE",
    "ASGIApp",
    "Disconnect",
    "Receive",
    "Scope",
    "Send",
    "disconnect_of",
    "tell_without_trio",
]

logger = logging.getLogger("trimcp.http")

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

#: An ASGI extension of our own hosting: a `Disconnect`. With it no task has to wait for the event
#: that the client is gone.
GONE: Final = "trimcp.gone"

_INTERNAL_ERROR: Final = 1011

#: Exceptions that end a task without being an error.
ENDINGS: Final = (trio.Cancelled, KeyboardInterrupt, GeneratorExit)


async def tell_without_trio(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer if the ASGI server does not run on Trio, with ASGI's own events.

    At startup the server shows the reason and ends; without lifespan events each request is
    answered with 500 and the reason is logged.
    """
    await receive()
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.failed", "message": NEEDS_TRIO})
        return
    logger.error(NEEDS_TRIO)
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _INTERNAL_ERROR})
        return
    await send({"type": "http.response.start", "status": 500, "headers": []})
    await send({"type": "http.response.body"})


class Disconnect:
    """Reports that the client of a request is gone, or that its answer is complete.

    Attributes:
        event: The ASGI event that says so, when it has arrived.
        has_body: Whether the whole body has come, so that `receive` gives it without waiting.
        lent: An application, and a cancel scope in which it runs, together with the rest of the
            connection. The application may cancel it while it handles the request; if its client
            then can still be reached, the connection ends. Middleware around the application would
            be cancelled too, so the scope is for this application only.
    """

    def __init__(self) -> None:
        self.event: MutableMapping[str, Any] | None = None
        self.has_body = False
        self.lent: tuple[ASGIApp, trio.CancelScope] | None = None
        self._callbacks: set[Callable[[], None]] = set()

    def scope_for(self, app: ASGIApp) -> trio.CancelScope | None:
        """The scope that is lent to this application, if one is."""
        return self.lent[1] if self.lent is not None and self.lent[0] is app else None

    def add(self, callback: Callable[[], None]) -> None:
        """Call a function when the event arrives; at once if it has arrived already."""
        if self.event is not None:
            callback()
        else:
            self._callbacks.add(callback)

    def discard(self, callback: Callable[[], None]) -> None:
        """Do not call this function any more."""
        self._callbacks.discard(callback)

    def tell(self, event: MutableMapping[str, Any]) -> None:
        """Store the event and call the functions that were added."""
        self.event = event
        for callback in list(self._callbacks):
            callback()


_NO_EXTENSIONS: Final[Mapping[str, Any]] = MappingProxyType({})


def disconnect_of(scope: Mapping[str, Any]) -> Disconnect | None:
    """What reports that the client of a request is gone; None where the hosting is not ours."""
    found: Disconnect | None = (scope.get("extensions") or _NO_EXTENSIONS).get(GONE)
    return found
