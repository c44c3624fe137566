"""The interfaces of a server and its application for the code that serves them over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from trimcp._asyncio_errors import PAGE

from ._home import Home
from ._round import Responder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    import trio
    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.protocol import Callers, Request
    from trimcp.transports import Budget, MessageChannel
    from trimcp.types import Implementation

    from ._authorization import Authorization
    from ._connected import ConnectedPeer
    from ._http import CustomRoute, HttpRequest
    from ._nonces import NonceStore
    from ._peer import Peer

__all__ = ["NEEDS_TRIO", "NETWORK_GRACE", "Guest", "Served", "Serving"]

#: Seconds that requests in flight get at shutdown, where the client is not on standard streams.
NETWORK_GRACE: Final = 5.0

NEEDS_TRIO: Final = (
    "trimcp needs Trio, and this program runs another event loop: start the server with trio.run, "
    f"or let `hypercorn -k trio module:app` serve its application; see the page {PAGE}"
)


class Guest(Protocol):
    """An HTTP request, or the like, that is served and must end at shutdown."""

    def drain(self, deadline: float) -> None:
        """Finish what is in flight until the deadline, then end."""


class Serving(Home, Responder, Protocol):
    """An open application.

    Attributes:
        budget: Counts the bytes that peers make it hold.
        peers: The connections being served, with the grace of each.
        guests: The HTTP requests being served, with the grace of each.
        state: What is kept for it while it is open, by whoever serves it.
        stamp: The `_meta` of its answers, which names the server, as JSON.
        is_closing: Whether it is being shut down.
        is_alone: Whether no other process is behind the same socket.
    """

    budget: Budget
    peers: dict[ConnectedPeer, float]
    guests: dict[Guest, float]
    state: dict[object, Any]
    stamp: Raw
    is_closing: bool
    is_alone: bool

    @property
    def limits(self) -> Limits:
        """The server's bounds."""

    @property
    def identity(self) -> Implementation:
        """The server's name, version and the like."""

    @property
    def authorization(self) -> Authorization | None:
        """What it asks of those who call it over HTTP; None for nothing."""

    def notified(self, peer: Peer | None, method: str, params: Raw | None) -> None:
        """A notification that concerns no single exchange.

        Args:
            peer: Who sent it; None over HTTP without a session.
            method: Its method.
            params: Its params.
        """

    def check_scopes(self, http: HttpRequest, requests: Sequence[Request]) -> None:
        """Whether the token of an HTTP request allows what its body asks for.

        Args:
            http: The HTTP request.
            requests: Those in its body.

        Raises:
            Denied: It lacks scopes (403).
            Exception: A user's function that says which scopes are needed has failed.
        """

    def refusal(self, callers: Callers, host: str, origins: Sequence[str]) -> str | None:
        """Why a client may not call the server; None if they may. The log says it too.

        Args:
            callers: Who may.
            host: The `Host` header.
            origins: The `Origin` headers.
        """

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start a task that lives as long as the application. Raises NotServing if it is over."""

    def accepting(self) -> AbstractContextManager[trio.CancelScope]:
        """A scope that ends when the server stops accepting connections and requests."""

    def attending(self, guest: Guest, grace: float) -> AbstractContextManager[None]:
        """Serve a client that has no connection: at shutdown it gets its grace, in seconds.

        Raises:
            NotServing: The application is closing.
        """

    async def serve(
        self,
        channel: MessageChannel,
        *,
        grace: float,
        id: str | None = None,
        http: HttpRequest | None = None,
        at_open: Callable[[], None] | None = None,
    ) -> None:
        """Serve one connection over a channel to its end.

        Args:
            channel: The way to the peer.
            grace: Seconds that its requests get at shutdown.
            id: What names its session, if anything does.
            http: The HTTP request that opened it, if one did.
            at_open: Called once its session is open.

        Raises:
            NotServing: The application is closing.
        """

    async def serve_peer(
        self,
        peer: ConnectedPeer,
        *,
        grace: float,
        id: str | None = None,
        at_open: Callable[[], None] | None = None,
    ) -> None:
        """Serve one connection that already has a peer; see `serve`."""

    def shutdown(self, grace: float | None) -> None:
        """Stop accepting, let requests in flight finish for the grace, then cancel.

        Args:
            grace: Seconds; by default each request's own.
        """


class Once(Protocol):
    """Something registered.

    Attributes:
        single_use: Whether a state that it gave out is accepted only once.
    """

    @property
    def single_use(self) -> bool: ...


class Readable(Protocol):
    """The resources of a server: those with one URI each, and the templates."""

    @property
    def fixed(self) -> Iterable[Once]: ...
    @property
    def templates(self) -> Iterable[Once]: ...


class Served(Protocol):
    """A server; its attributes are those of `Server`.

    Attributes:
        state_keys: Secrets that seal what clients carry; none for a key that dies with the process.
        nonces: Remembers what may be used only once.
    """

    state_keys: tuple[bytes, ...]
    nonces: NonceStore

    @property
    def identity(self) -> Implementation: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def shutdown_grace(self) -> float | None: ...
    @property
    def authorization(self) -> Authorization | None: ...
    @property
    def custom_routes(self) -> Mapping[str, CustomRoute]: ...
    @property
    def tools(self) -> Iterable[Once]: ...
    @property
    def prompts(self) -> Iterable[Once]: ...
    @property
    def resources(self) -> Readable: ...
    @property
    def running(self) -> Serving | None: ...

    def claim(self, paths: Collection[str]) -> None:
        """Keep custom routes off the paths of endpoints that ask for tokens.

        Raises:
            RegistrationError: One has such a path already.
        """

    def application(self, *, signals: bool = True) -> AbstractAsyncContextManager[Any]:
        """Open what all transports of the server share."""

    def joined(
        self, at_missed: Callable[[], None] | None = None, *, signals: bool = True
    ) -> AbstractAsyncContextManager[Serving]:
        """The application the user opened, or else one of its own for the duration."""
