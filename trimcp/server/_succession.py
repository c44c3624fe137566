"""The sessions of one connection, one after the other.

::

    connection            its nursery
    └── session           its lifespan
        └── stateless     requests that belong to no session, but began in its time
            └── handshake requests of the session, and what tells its client of changes

`initialize` on a connection that has a session ends that session: its requests are cancelled, and
its lifespan is left. Requests of the stateless era go on. Until they have ended, the lifespan in
which they began stays open, and the next session does not wait for them.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from trimcp.protocol import Era
from trimcp.runtime import Workers, start_in

from ._session import Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trimcp.runtime import ConnectedPeer, Responder, Round

    from ._services import Services

__all__ = ["Succession"]

Start: TypeAlias = "tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]]"


class LateNursery:
    """A nursery that accepts tasks before it is open, and starts them when it opens.

    Once it is closed it accepts no more tasks. There are no such tasks then, since a connection
    that ends refuses requests.

    Args:
        responder: Handles the requests that are answered here.

    Attributes:
        waiting: The tasks that it has not started yet.
        attend: Lets a task answer a request.
    """

    def __init__(self, responder: Responder) -> None:
        self.waiting: list[Start] = []
        self._workers = Workers(responder, self.try_start)
        self.attend = self._workers.attend
        self._nursery: trio.Nursery | None = None
        self._is_over = False

    def try_start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> bool:
        """Start a task, now or when the nursery opens.

        Returns:
            Whether it accepts tasks.
        """
        if self._is_over:
            return False
        if self._nursery is not None:
            return start_in(self._nursery, function, *args)
        self.waiting.append((function, args))
        return True

    def dismiss(self) -> bool:
        """End the tasks that wait for requests.

        Returns:
            Whether other tasks still run.
        """
        dismissed = self._workers.dismiss()
        return self._nursery is not None and bool(self._nursery.child_tasks - dismissed)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[trio.Nursery]:
        """Open the nursery; the block ends when its tasks have ended."""
        try:
            async with trio.open_nursery() as self._nursery:
                for function, args in self.waiting:
                    self._nursery.start_soon(function, *args)
                self.waiting.clear()
                yield self._nursery
        finally:
            self._nursery = None
            self._is_over = True


class Stay:
    """One session, with the tasks in its lifespan.

    Args:
        session: The session.
        peer: The connection.
        after: The session before it, which it replaces.

    Attributes:
        early: Requests that came before it was open.
        stateless: The nursery of requests that belong to no session.
        handshake: The nursery of the session's own tasks.
    """

    def __init__(self, session: Session[Any], peer: ConnectedPeer, after: Stay | None) -> None:
        self.early: list[Round] = []
        self.stateless = LateNursery(peer.responder)
        self.handshake = LateNursery(peer.responder)
        self._session = session
        self._peer = peer
        self._after = after
        self._is_begun = False
        self._opening = trio.CancelScope()
        self._handshake_scope: trio.CancelScope | None = None
        self._over = trio.Event()
        self._vacated = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Wait for the session before, then serve until `end` or `close`."""
        try:
            with self._opening:
                if self._after is not None:
                    await self._after.wait_vacated()
                self._is_begun, self._after = True, None
                async with AsyncExitStack() as lifespan:
                    await lifespan.enter_async_context(self._session.opened())
                    try:
                        await self._work(task_status)
                    finally:
                        if self._peer.life.is_closed:
                            # The end of the connection is not an error for the lifespan.
                            await lifespan.aclose()
        finally:
            self._vacated.set()

    async def _work(self, task_status: trio.TaskStatus[None]) -> None:
        async with self.stateless.opened():
            async with self.handshake.opened() as handshake:
                self._handshake_scope = handshake.cancel_scope
                for round_ in self.early:
                    self.attend(round_)
                self.early.clear()
                task_status.started()
                await self._over.wait()
                self.handshake.dismiss()
            self._session.end_subscription()
            if self.stateless.dismiss():
                self._vacated.set()

    async def wait_vacated(self) -> None:
        """Wait until nothing of it runs except requests that belong to no session."""
        await self._vacated.wait()

    def close(self) -> None:
        """End the session when its tasks have ended."""
        self._over.set()

    def end(self) -> Stay | None:
        """End the session now, except the requests that belong to no session.

        Returns:
            The session for whose end the next one must wait.
        """
        self._over.set()
        if self._handshake_scope is not None:
            self._handshake_scope.cancel(reason="the client has begun another session")
            return self
        self._session.end_subscription()
        self._opening.cancel(reason="the client has begun another session")
        return self if self._is_begun else self._after

    def attend(self, round_: Round) -> None:
        """Let a task answer a request, now or when the session is open."""
        if self._handshake_scope is None:
            self.early.append(round_)
        elif round_.exchange.terms.revision.era is Era.STATELESS:
            self.stateless.attend(round_)
        else:
            self.handshake.attend(round_)


class Succession:
    """The sessions of one connection; also the home of its handlers that may ask.

    Args:
        application: The application.
        peer: The connection.
        id: The id of its session, or None.
    """

    def __init__(
        self, application: Services, peer: ConnectedPeer, *, id: str | None = None
    ) -> None:
        self.parked = peer.parked
        self._application = application
        self._peer = peer
        self._id = id
        self._nursery: trio.Nursery | None = None
        self._current = self._next(None)
        peer.home = peer.life.host = self

    def _next(self, after: Stay | None) -> Stay:
        session = Session[Any](self._application, self._peer, id=self._id)
        stay = Stay(session, self._peer, after)
        session.start_soon = stay.handshake.try_start
        self._peer.at_drain.add(stay.close)
        return stay

    @property
    def is_ending(self) -> bool:
        """Whether the client can bring no further round."""
        return self._peer.life.is_ending

    async def begin(self, nursery: trio.Nursery) -> None:
        """Open the first session, in the connection's nursery."""
        self._nursery = nursery
        await nursery.start(self._current.run)

    def renew(self) -> None:
        """Begin another session, since the client has begun one."""
        old = self._current
        self._peer.at_drain.discard(old.close)
        new = self._current = self._next(old.end())
        # They give back what they hold when they have run.
        new.handshake.waiting += old.handshake.waiting
        for round_ in old.early:
            if round_.exchange.terms.revision.era is Era.STATELESS:
                # It belongs to no session, and so to the next one.
                round_.data = self._peer.data
                new.early.append(round_)
            elif self._nursery is not None:
                # Cancelled already; this task ends at once.
                self._nursery.start_soon(round_.answer, self._peer.responder)
        if self._nursery is None:
            return
        if not self._peer.life.is_draining:
            self._nursery.start_soon(new.run)

    def attend(self, round_: Round) -> None:
        """Let a task answer a request."""
        self._current.attend(round_)

    def try_start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> bool:
        """Start a handler that may outlive its request; returns whether it was started."""
        return self._current.stateless.try_start(function, *args)
