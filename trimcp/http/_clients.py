"""The connections of clients: each speaks one protocol, or a second one after the first.

::

    connection
    ├── TLS handshake, if there is TLS
    ├── HTTP/1.1      our own, where HTTP/2 was not agreed on in the handshake
    │   └── WebSocket if a request asks for it: hypercorn's, until the application takes it over
    └── HTTP/2        hypercorn's
"""

from __future__ import annotations

import functools
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from trimcp._groups import logged
from trimcp.transports import linger

from ._asgi import ENDINGS
from ._guard import GuardedConnection
from ._guard_http1 import GuardedHandshake
from ._guard_http2 import GuardedHTTP2
from ._http1 import Http1Connection
from ._place import Place
from ._sending import Sender
from ._takeover import Takeover

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hypercorn.config import Config
    from hypercorn.trio.worker_context import WorkerContext
    from hypercorn.typing import AppWrapper

    from trimcp.limits import Limits

    from ._asgi import ASGIApp
    from ._http1 import MakeParser

__all__ = ["ClientConnection", "Hosted"]

logger = logging.getLogger("trimcp.http")

#: Seconds for closing a connection in order. What the client still sends is read and discarded
#: meanwhile, since otherwise it could not read the last answer.
_CLOSE_SECONDS: Final = 2.0

_ASGI: Final = {"spec_version": "2.1", "version": "3.0"}


@attrs.frozen(kw_only=True)
class Hosted:
    """What all connections of one server share.

    Attributes:
        app: The ASGI application.
        limits: Bounds.
        make_parser: Makes the parser of HTTP/1.1.
        wrapped: The application, as hypercorn wants it.
        config: hypercorn's settings.
        context: What hypercorn's connections share; it knows when the server is shutting down.
    """

    app: ASGIApp
    limits: Limits
    make_parser: MakeParser
    wrapped: AppWrapper
    config: Config
    context: WorkerContext

    @property
    def is_draining(self) -> bool:
        """Whether the server is shutting down."""
        return self.context.terminated.is_set()

    def scope(self, place: Place) -> Mapping[str, Any]:
        """What the ASGI scopes of one connection's requests have in common."""
        return {
            "type": "http",
            "asgi": _ASGI,
            "scheme": "https" if place.is_secure else "http",
            "root_path": self.config.root_path,
            "client": place.client,
            "server": place.server,
        }


class _Spoken(Protocol):
    """A protocol, or the handshake before it, that a connection is busy with."""

    lingers: bool

    def drain(self) -> None:
        """Accept no more requests: end now if none is open, otherwise after the last one."""


class _Handshake:
    """A TLS handshake. Its client has asked for nothing yet."""

    lingers = False

    def __init__(self, seconds: float) -> None:
        self.scope = trio.CancelScope(relative_deadline=seconds)

    def drain(self) -> None:
        self.scope.cancel(reason="the server is shutting down")


class ClientConnection:
    """A connection of a client, which ends for itself: it affects no other connection.

    Args:
        hosted: What it has in common with the others.
        stream: The connection.
    """

    def __init__(self, hosted: Hosted, stream: Any) -> None:
        self._hosted = hosted
        self._stream = stream
        self._sender = Sender(stream, hosted.limits.send_seconds)
        self._spoken: _Spoken | None = None

    async def run(self) -> None:
        """Serve the connection to its end. Raises nothing but Cancelled."""
        try:
            try:
                await self._serve()
            finally:
                await self._close()
        except* ENDINGS:
            raise
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError) as lost:
            logger.debug("a connection was lost", exc_info=logged(lost))
        except* BaseException as failure:
            logger.error("a connection failed", exc_info=logged(failure))

    def drain(self) -> None:
        """Accept no more requests: end now if none is open, otherwise after the last one."""
        if self._spoken is not None:
            self._spoken.drain()

    def expire(self, now: float) -> None:
        """End the connection if its client was silent for too long; see `Http1Connection`."""
        if isinstance(self._spoken, Http1Connection):
            self._spoken.expire(now)

    def give_up(self) -> None:
        """Stop sending, since the time of the server is over."""
        self._sender.give_up()

    async def _serve(self) -> None:
        if not isinstance(self._stream, trio.SSLStream):
            await self._speak_http1(Place.of(self._stream))
            return
        handshake = self._spoken = _Handshake(self._hosted.limits.header_seconds)
        with handshake.scope:
            await self._stream.do_handshake()
            place = Place.of(self._stream)
        if handshake.scope.cancelled_caught:
            return
        if self._stream.selected_alpn_protocol() == "h2":
            protocol = functools.partial(GuardedHTTP2, send_seconds=self._sender.seconds)
            await self._guarded(self._stream, place).serve(protocol)
        else:
            await self._speak_http1(place)

    async def _speak_http1(self, place: Place) -> None:
        hosted = self._hosted
        if hosted.is_draining:
            # Its handshake has ended in the same moment.
            return
        spoken = self._spoken = Http1Connection(
            hosted.app,
            self._stream,
            self._sender,
            make_parser=hosted.make_parser,
            limits=hosted.limits,
            scope=hosted.scope(place),
            close=self._close,
        )
        upgrade = await spoken.run()
        if upgrade is not None:
            takeover = Takeover(self._stream, self._sender, upgrade)
            await self._guarded(takeover, place).serve(GuardedHandshake, takeover)

    def _guarded(self, stream: Any, place: Place) -> GuardedConnection:
        hosted = self._hosted
        guarded = GuardedConnection(
            hosted.wrapped,
            hosted.config,
            hosted.context,
            stream,
            sender=self._sender,
            place=place,
            close=self._close,
        )
        self._spoken = guarded
        return guarded

    async def _close(self) -> None:
        """Close the connection in order, within `_CLOSE_SECONDS`."""
        stream = self._stream
        # A send that was given up may not have ended yet.
        over = (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError)
        with trio.move_on_after(_CLOSE_SECONDS), suppress(*over):
            if self._spoken is not None and self._spoken.lingers:
                await linger(stream)
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            await stream.aclose()
        await trio.aclose_forcefully(stream)
