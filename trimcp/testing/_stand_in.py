"""A stand-in for a server, which wraps each of its in-memory connections."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trimcp.limits import Limits
    from trimcp.runtime import HttpRequest
    from trimcp.transports import MessageChannel

__all__ = ["Served", "StandIn"]


class Serving(Protocol):
    """A server while it serves."""

    @property
    def is_closing(self) -> bool: ...

    async def serve(
        self, channel: MessageChannel, *, grace: float, http: HttpRequest | None = None
    ) -> None: ...


class Served(Protocol):
    """The interface that is needed of a server: a `Server` has it, and a `StandIn` too."""

    @property
    def limits(self) -> Limits: ...

    def joined(self, *, signals: bool = ...) -> AbstractAsyncContextManager[Serving]: ...

    def application(self, *, signals: bool = ...) -> AbstractAsyncContextManager[Any]: ...


class StandIn:
    """Replaces a server wherever a client in the same process is opened.

    Args:
        server: The server.
        through: Wraps the server's end of a connection.
        http: The HTTP request that is said to have opened it, if one is.
    """

    def __init__(
        self,
        server: Served,
        through: Callable[[MessageChannel], AbstractAsyncContextManager[MessageChannel]],
        *,
        http: HttpRequest | None = None,
    ) -> None:
        self._server = server
        self._through = through
        self._http = http

    @property
    def limits(self) -> Limits:
        """The server's bounds."""
        return self._server.limits

    def application(self, *, signals: bool = True) -> AbstractAsyncContextManager[Any]:
        """The server's application, which all its stand-ins share."""
        return self._server.application(signals=signals)

    @asynccontextmanager
    async def joined(self, *, signals: bool = True) -> AsyncIterator[Serving]:
        """The server's application, with every connection wrapped."""
        async with self._server.joined(signals=signals) as serving:
            yield _Through(serving, self._through, self._http)


class _Through:
    def __init__(
        self,
        serving: Serving,
        through: Callable[[MessageChannel], AbstractAsyncContextManager[MessageChannel]],
        http: HttpRequest | None,
    ) -> None:
        self._serving = serving
        self._through = through
        self._http = http

    @property
    def is_closing(self) -> bool:
        return self._serving.is_closing

    async def serve(
        self, channel: MessageChannel, *, grace: float, http: HttpRequest | None = None
    ) -> None:
        async with self._through(channel) as near:
            await self._serving.serve(near, grace=grace, http=http or self._http)
