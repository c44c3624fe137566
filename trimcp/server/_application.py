"""The one owner of all that a server has while it serves.

::

    application            lifespan, on_startup … on_shutdown
    └── nursery            background tasks, signal receiver, worker threads' limiter
        └── doors          serve_stdio, serve_tcp, … each with its connections
            └── connection writer outside, requests inside
                └── exchange

It is entered once for all doors, and everything in it has ended when it is left.
"""

from __future__ import annotations

import functools
import logging
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp._groups import logged, unwrapping
from trimcp.errors import NotServing
from trimcp.protocol import Connection, ResourceUpdated, Role, stamp_of
from trimcp.runtime import (
    ChannelPeer,
    Handler,
    Hub,
    Parking,
    Seal,
    ToolThreads,
    start_in,
    told_of_signals,
    watching_for_blocks,
)
from trimcp.transports import Budget

from ._attending import Attending
from ._context import Context
from ._expiring import run_until_expiry
from ._hearing import Hearing
from ._hooks import call_hook, log_failure
from ._lifespans import CLEANUP_SECONDS, check_trio, entered, grant_cleanup
from ._needs import check_scopes
from ._notifier import Notifier
from ._routes import handle
from ._statistics import Statistics
from ._succession import Succession

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
    from contextlib import AbstractContextManager

    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.protocol import Callers, Change, Request
    from trimcp.runtime import Authorization, ConnectedPeer, Guest, HttpRequest, Parked, Peer, Round
    from trimcp.transports import MessageChannel
    from trimcp.types import Implementation

    from ._offer import Setup
    from ._session import Session

__all__ = ["Application"]

logger = logging.getLogger("trimcp.server")

#: Seconds that the body of `application()` may take to end after the last request's deadline.
_AFTER_DRAIN: Final = 0.25


class Application:
    """A server while it serves.

    Args:
        server: The server.
        explicit: Whether the user opened it, so that `serve_*` may join it.

    Raises:
        NotServing: Trio is not running.

    Attributes:
        value: What the lifespan yielded.
        parking: The handlers that may ask, and those that wait for answers.
        budget: Counts the bytes that peers make it hold.
        hub: The subscribers that are told of changes.
        notifier: Publishes changes that are announced in any thread.
        threads: The worker threads of synchronous tools.
        peers: The connections being served, with the grace of each.
        guests: The HTTP requests being served, with the grace of each.
        parked: Handlers that run here and wait for their client's next request.
        state: What the transports keep for it while it is open.
        stamp: The `_meta` of its answers, which names the server.
        is_alone: Whether no other process serves the same socket.
        hearing: Notifications of extensions that belong to no session.
    """

    def __init__(self, server: Setup, *, explicit: bool) -> None:
        check_trio()
        self.server = server
        self.explicit = explicit
        self.value: Any = None
        self.parking = Parking(Seal(server.state_keys), server.limits, server.nonces)
        self.threads = ToolThreads(server.limits)
        self.budget = Budget.of(server.limits)
        self.hub = Hub(server.limits, self.budget)
        self.notifier = Notifier(server.bus)
        self.peers: dict[ConnectedPeer, float] = {}
        self.guests: dict[Guest, float] = {}
        self.parked: set[Parked] = set()
        self.state: dict[object, Any] = {}
        self.stamp = stamp_of(server.identity)
        hear = functools.partial(self.hear, None)
        self.hearing = Hearing(hear, server.limits.in_flight, self.budget, self.try_start)
        self.is_closing = False
        self.is_alone = True
        self._nursery: trio.Nursery | None = None
        self._accepting: set[trio.CancelScope] = set()
        self._life = self._starting = trio.CancelScope()
        self._body = trio.CancelScope()
        self._has_started = self._is_leaving = False
        self._signals = 0
        self._warned: set[str] = set()

    @property
    def limits(self) -> Limits:
        """The server's bounds."""
        return self.server.limits

    @property
    def identity(self) -> Implementation:
        """What the server says it is: its name, version and the like."""
        return self.server.identity

    @property
    def authorization(self) -> Authorization | None:
        """What it asks of those who call it over HTTP."""
        return self.server.authorization

    @property
    def is_ending(self) -> bool:
        """Whether clients can bring no further round."""
        return self.is_closing

    # -- opening and closing --------------------------------------------------------------

    @asynccontextmanager
    async def open(
        self, *, signals: bool, at_missed: Callable[[], None] | None = None
    ) -> AsyncIterator[Application]:
        """Enter the lifespan, start what belongs to the server, and undo it all at the end.

        A signal that arrives before everything has started undoes the start. The body then runs to
        its first checkpoint, since a context manager cannot skip its body.

        Args:
            signals: Whether SIGINT and SIGTERM shut it down.
            at_missed: Called before such a body.

        Raises:
            NotServing: It did not start, and could not be undone in time.
        """
        with unwrapping() as whole:
            async with told_of_signals(self._on_signal) if signals else nullcontext():
                with watching_for_blocks(self.limits.blocked_seconds), self._life:
                    async with AsyncExitStack() as lifespans:
                        await self._enter_lifespan(lifespans)
                        try:
                            await self._run_startup_hooks()
                            async with trio.open_nursery() as self._nursery:
                                await self._start_tasks(self._nursery)
                                with self._body:
                                    self._has_started = True
                                    with whole.block():
                                        yield self
                                self._nursery.cancel_scope.cancel(
                                    reason="the application is closing"
                                )
                        finally:
                            self.is_closing = self._is_leaving = True
                            # The scope is outside the lifespans, so it nests around what they
                            # opened.
                            grant_cleanup(self._life)
                            await self._run_shutdown_hooks()
                if self._life.cancelled_caught and trio.current_time() >= self._life.deadline:
                    logger.error("cleaning up took longer than %g s: given up", CLEANUP_SECONDS)
        if not self._has_started:
            if not self._signals:
                raise NotServing("the server did not start")
            if at_missed is not None:
                at_missed()
            missed = trio.CancelScope()
            missed.cancel(reason="a signal came before the server had started")
            with missed:
                yield self

    async def _enter_lifespan(self, lifespans: AsyncExitStack) -> None:
        if self.server.lifespan is not None:
            lifespan = entered(self.server.lifespan(self.server))
            self.value = await lifespans.enter_async_context(lifespan)

    async def _run_startup_hooks(self) -> None:
        # A separate scope: its cancellation does not reach the cleanup of the lifespan.
        with trio.CancelScope() as self._starting:
            for startup in self.server.startup_hooks:
                await call_hook(startup, self.value)

    async def _start_tasks(self, nursery: trio.Nursery) -> None:
        self._starting = nursery.cancel_scope
        if self._signals:
            nursery.cancel_scope.cancel(reason="a signal came before the server had started")
        await nursery.start(self._run_bus)
        nursery.start_soon(self.notifier.run)
        for task in self.server.background_tasks:
            nursery.start_soon(self._run_background, task)

    async def _run_bus(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            await self.server.bus.run(self._deliver, task_status=task_status)
        except Exception as error:
            logger.error(
                "the bus %r broke: the server ends", self.server.bus, exc_info=logged(error)
            )
            raise

    def _deliver(self, change: Change) -> None:
        """Publish a change from the bus; for a template, of each of its subscribed instances."""
        instances = None
        if isinstance(change, ResourceUpdated) and "{" in change.uri:
            instances = self.server.resources.instances(change.uri, self.hub.uris())
        if instances is None:
            self.hub.publish(change)
            return
        for uri in instances:
            self.hub.publish(ResourceUpdated(uri))

    async def _run_background(self, task: Callable[..., Awaitable[Any]]) -> None:
        try:
            await call_hook(task, self.value)
        except Exception as error:
            log_failure("background task %r crashed: the server ends", task, error)
            raise

    async def _run_shutdown_hooks(self) -> None:
        for hook in reversed(self.server.shutdown_hooks):
            try:
                await call_hook(hook, self.value)
            except Exception as error:
                # One hook's failure must not keep the others from running.
                log_failure("on_shutdown hook %r failed", hook, error)

    def _on_signal(self, name: str) -> None:
        """The first signal drains; a second one cancels at once what still runs.

        Before the server has started there is nothing to drain, and at its end it cleans up
        already.
        """
        self._signals += 1
        if self._is_leaving and self._signals == 1:
            logger.info("%s while cleaning up", name)
        elif self._is_leaving:
            logger.warning("%s again: the cleanup is cancelled", name)
            self._life.cancel(reason=f"second {name}")
        elif not self._has_started:
            logger.info("%s before the server has started: stopping", name)
            self._starting.cancel(reason=name)
        elif self.is_closing:
            logger.warning("%s again: stopping at once", name)
            self._body.cancel(reason=f"second {name}")
        else:
            logger.info("%s: shutting down", name)
            self.shutdown(None)

    def shutdown(self, grace: float | None) -> None:
        """Stop accepting, let requests in flight finish for the grace, then cancel."""
        if self.is_closing:
            return
        self.is_closing = True
        now = trio.current_time()
        for scope in self._accepting:
            scope.cancel(reason="the server is shutting down")
        for handler in list(self.parked):
            handler.cancel("the server is shutting down")
        last = now
        for guest, own_grace in [*self.peers.items(), *self.guests.items()]:
            deadline = now + (own_grace if grace is None else grace)
            guest.drain(deadline)
            last = max(last, deadline)
        self._body.deadline = last + _AFTER_DRAIN

    # -- connections ----------------------------------------------------------------------

    @contextmanager
    def accepting(self) -> Iterator[trio.CancelScope]:
        """A scope that ends when the server stops accepting connections and requests."""
        with trio.CancelScope() as scope:
            self._accepting.add(scope)
            if self.is_closing:
                scope.cancel(reason="the server is shutting down")
            try:
                yield scope
            finally:
                self._accepting.discard(scope)

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start a task that lives as long as the application. Raises NotServing if it is over."""
        if not self.try_start(function, *args):
            raise NotServing("the server is shutting down")

    def try_start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> bool:
        """Start a task that lives as long as the application, unless it is shutting down.

        Returns:
            Whether the task was started.
        """
        return not self.is_closing and start_in(self._nursery, function, *args)

    def attending(self, guest: Guest, grace: float) -> AbstractContextManager[None]:
        """Serve a client that has no connection: at shutdown it gets its grace.

        Raises:
            NotServing: The application is closing.
        """
        own = self.server.shutdown_grace
        return Attending(self, guest, grace if own is None else own)

    def serve(
        self,
        channel: MessageChannel,
        *,
        grace: float,
        id: str | None = None,
        http: HttpRequest | None = None,
        at_open: Callable[[], None] | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Serve one connection over a channel to its end; see `Serving.serve`."""
        server = self.server
        connection = Connection(Role.SERVER, server.identity, server.limits)
        peer = ChannelPeer(
            connection,
            channel,
            self,
            server.limits,
            eof_grace=server.eof_grace,
            budget=self.budget,
        )
        if http is not None:
            peer.http, peer.principal = http, http.principal
        return self.serve_peer(peer, grace=grace, id=id, at_open=at_open)

    async def serve_peer(
        self,
        peer: ConnectedPeer,
        *,
        grace: float,
        id: str | None = None,
        at_open: Callable[[], None] | None = None,
    ) -> None:
        """Serve one connection; see `Serving.serve_peer`."""
        if self.is_closing:
            raise NotServing("the server is shutting down")
        own = self.server.shutdown_grace
        self.peers[peer] = grace if own is None else own
        Succession(self, peer, id=id)
        try:
            with unwrapping():
                if peer.principal is None:
                    await peer.run(at_open)
                else:
                    await run_until_expiry(peer, at_open)
        finally:
            del self.peers[peer]

    def handle(self, round_: Round) -> Awaitable[Any]:
        """Handle one request."""
        return handle(self.server, Context(Handler(round_, round_.data), self))

    def hear(
        self, session: Session[Any] | None, method: str, params: Raw | None
    ) -> Awaitable[None]:
        """Handle a notification of an extension."""
        return self.server.methods.hear(self, session, method, params)

    def notified(self, peer: Peer | None, method: str, params: Raw | None) -> None:
        """A notification that concerns no single exchange; see `Serving.notified`."""
        session: Session[Any] | None = None if peer is None else peer.data
        hearing = self.hearing if session is None else session.hearing
        if session is not None and method == "notifications/initialized":
            session.begin()
        elif self.server.methods.hears(method):
            hearing.hear(method, params)
        else:
            logger.debug("ignored %s", method)

    def check_scopes(self, http: HttpRequest, requests: Sequence[Request]) -> None:
        """Whether the caller's token allows these; see `Serving.check_scopes`."""
        check_scopes(self.server, http, requests)

    def refusal(self, callers: Callers, host: str, origins: Sequence[str]) -> str | None:
        """Why a client may not call the server, and which option decides that; None if it may.

        It is logged too: the first time as a warning, since the option may have been forgotten; and
        each time as information, with the beginning of what was sent.
        """
        reason = callers.refusal(host, origins)
        if reason is None:
            return None
        named = callers.refusal(host, []) is None
        option = "--allowed-origin, allowed_origins" if named else "--allowed-host, allowed_hosts"
        advice = f"{reason}; what is allowed is said with {option}"
        if advice not in self._warned:
            self._warned.add(advice)
            logger.warning("refused: %s", advice)
        logger.info("refused: %s", callers.explained(host, origins))
        return advice

    def _hearings(self) -> list[Hearing]:
        sessions = [peer.data for peer in self.peers if peer.data is not None]
        return [self.hearing, *(session.hearing for session in sessions)]

    def statistics(self) -> Statistics:
        """Numbers that show what `Limits` bounds."""
        sessions = sum(peer.data is not None and peer.data.id is not None for peer in self.peers)
        return Statistics(
            connections=len(self.peers) - sessions,
            in_flight=sum(peer.connection.open_exchanges for peer in self.peers),
            http_requests=len(self.guests),
            http_sessions=sessions,
            buffered_bytes=self.budget.used,
            outbox_bytes=sum(peer.waiting_bytes for peer in self.peers),
            unsent=sum(peer.unsent for peer in self.peers),
            notifications=sum(each.count for each in self._hearings()),
            questions=sum(peer.connection.open_calls for peer in self.peers),
            parked=self.parking.waiting,
            subscribers=len(self.hub),
            subscribed_uris=self.hub.subscribed_uris,
            pending_changes=self.hub.pending,
            threads=self.threads.running,
            abandoned_threads=self.threads.abandoned,
        )
