"""The life of a connection: its nursery, how it drains, and how it is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import trio

from trimcp.errors import ConnectionLost

from ._home import start_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimcp.protocol import Connection

    from ._deadlines import Deadlines
    from ._home import Parked
    from ._round import Round

__all__ = ["Host", "Life"]


class Host(Protocol):
    """Runs the tasks of a connection's requests, inside the connection's nursery."""

    async def begin(self, nursery: trio.Nursery) -> None:
        """Open what the first requests need, such as a session."""

    def attend(self, round_: Round) -> None:
        """Let a task answer a request. Must not block."""

    def renew(self) -> None:
        """Open a new session, since the client has begun one. Must not block."""


class Life:
    """The life of one connection, which several `Peer` objects of the same client may share.

    It is also the home of handlers that may ask, unless they have another home.

    Args:
        connection: The protocol's state.

    Attributes:
        scope: The cancel scope around everything.
        reading: The cancel scope around the reader; cancelled when nothing more needs to be read.
        nursery: The nursery of the tasks; None before and after.
        host: Runs the tasks of requests; if None, they run in the nursery itself.
        parked: Handlers that run here and wait for the client's next round.
        at_drain: Called when new requests are no longer accepted, to end what would otherwise never
            end.
        is_draining: Whether new requests are refused.
        ending: Why they are, for the peer.
        lost: Why no answer can arrive any more, or is wanted any more; None until then.
        explain_loss: Makes the error for calls whose answer can no longer arrive.
        deadlines: Keeps the deadlines of calls; None until there is one, and after the loss.
    """

    def __init__(self, connection: Connection) -> None:
        self.scope = trio.CancelScope()
        self.reading = trio.CancelScope()
        self.nursery: trio.Nursery | None = None
        self.host: Host | None = None
        self.parked: set[Parked] = set()
        self.at_drain: set[Callable[[], None]] = set()
        self.is_draining = False
        self.ending = "the server is shutting down"
        self.lost: str | None = None
        self.explain_loss: Callable[[str], ConnectionLost] = ConnectionLost
        self.deadlines: Deadlines | None = None
        self._connection = connection
        self._has_lost = trio.Event()

    def try_start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> bool:
        """Start a task in the connection's nursery, if it still accepts tasks.

        Returns:
            Whether the task was started.
        """
        return start_in(self.nursery, function, *args)

    @property
    def is_ending(self) -> bool:
        """Whether the peer can bring no further round."""
        return self.is_draining or self.lost is not None

    @property
    def is_closed(self) -> bool:
        """Whether everything that still runs is cancelled, because the connection ends."""
        return self.scope.cancel_called

    def drain(self, deadline: float, reason: str | None = None) -> None:
        """Refuse new requests, let those in flight finish until the deadline, then end.

        Args:
            deadline: On Trio's clock.
            reason: Why, for the peer, if the server is not shutting down; the first one counts.
        """
        if reason is not None and not self.is_draining:
            self.ending = reason
        self.is_draining = True
        self.scope.deadline = min(self.scope.deadline, deadline)
        self.end_waits(self.ending)
        self.settle()

    def close(self, reason: str = "the connection was closed") -> None:
        """End the connection now."""
        self.scope.cancel(reason=reason)

    def end_waits(self, reason: str) -> None:
        """End what would wait forever: subscriptions, and handlers whose answers cannot arrive."""
        for end in list(self.at_drain):
            end()
        for handler in list(self.parked):
            handler.cancel(reason)

    def settle(self) -> None:
        """End the connection if it is being drained and no exchange is open any more."""
        if self.is_draining and not self._connection.open_exchanges:
            self.reading.cancel(reason="drained")

    def lose(self, reason: str) -> None:
        """Note that no answer can arrive, or is wanted, any more; the first reason counts."""
        if self.lost is None:
            self.lost = reason
        self._has_lost.set()
        if self.deadlines is not None:
            self.deadlines.end()
            self.deadlines = None

    async def wait_lost(self) -> None:
        """Wait until no answer can arrive any more."""
        await self._has_lost.wait()

    def loss(self, cause: BaseException | None) -> ConnectionLost:
        """The error that says why no answer can arrive.

        Args:
            cause: The error that broke the connection, or None.
        """
        error = self.explain_loss(self.lost or "the connection was closed")
        error.__cause__ = cause
        return error
