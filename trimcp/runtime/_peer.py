"""The driver of one connection: events to tasks.

One task reads; each request of the peer gets a task of its own in the connection's nursery.
The reader awaits nothing but the next messages, so no handler and no slow reader on the other
side can delay a ping or a cancellation.
"""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import (
    LIMIT_EXCEEDED,
    SHUTTING_DOWN,
    ConnectionLost,
)
from trimcp.protocol import (
    Call,
    Connection,
    ExchangeCancelled,
    Ignored,
    NotificationReceived,
    Reply,
    RequestReceived,
    SessionEnded,
)
from trimcp.transports import Budget, MessageChannel, Oversized

from ._boundary import answer_to, captured
from ._calls import ON_CALL, Listener, Pending, ProgressCallback, check_sendable, reason_of
from ._frame import Frame, Slots
from ._held import NO_ROOM, holding

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.protocol import Event, Exchange, Terms

    from ._chunks import Chunks
    from ._frame import Handlers, Home, Host
    from ._http import HttpRequest

__all__ = ["Peer"]

logger = logging.getLogger("trimcp.connection")

#: Seconds for the answers of handlers that were cancelled when the grace was over.
_LAST_WORDS: Final = 0.2


class Peer:
    """One connection, driven.

    Args:
        connection: The protocol's state.
        channel: The way to the peer.
        handlers: The role.
        limits: Bounds.
        eof_grace: Seconds that requests in flight get after the end of input, where the
            channel drains.
        budget: Counts what is held for the peer together with others; by default alone.

    Attributes:
        parked: Handlers whose tasks live here and wait for the client's next round.
        host: Where the tasks of requests live; here, unless somebody says otherwise.
        home: Where handlers that may ask live; the same.
        at_drain: Called once no new requests are taken: ends what would otherwise never end.
        http: The HTTP request that opened it, if one did.
        explain_loss: Makes the error for calls whose answer can no longer come.
        at_garbage: Called with the beginning of whatever comes and is no message.
        data: Room for the role.
    """

    def __init__(
        self,
        connection: Connection,
        channel: MessageChannel,
        handlers: Handlers,
        limits: Limits,
        *,
        eof_grace: float = 5.0,
        budget: Budget | None = None,
    ) -> None:
        self.connection = connection
        self.channel = channel
        self.budget = budget or Budget.of(limits)
        self.data: Any = None
        self.parked: set[Frame] = set()
        self.host: Host | None = None
        self.home: Home = self
        self.at_drain: set[Callable[[], None]] = set()
        self.http: HttpRequest | None = None
        self.explain_loss: Callable[[str], ConnectionLost] = ConnectionLost
        self.at_garbage: Callable[[bytes], None] | None = None
        self._handlers = handlers
        self._limits = limits
        self._eof_grace = eof_grace
        self._tasks: trio.Nursery | None = None
        self._reading = trio.CancelScope()
        self._life = trio.CancelScope()
        self._slots = Slots(self.budget)
        self._errands = 0
        self._unsent = 0
        self._answering = 0
        self._draining = False
        self._lost: str | None = None
        self._has_lost = trio.Event()

    # -- its life -------------------------------------------------------------------------

    async def run(self, at_open: Callable[[Peer], None] | None = None) -> None:
        """Serve the connection until the peer is gone, or it has been drained or closed.

        Args:
            at_open: Called with this peer, once it can be asked.
        """
        try:
            with self._life:
                async with trio.open_nursery() as self._tasks:
                    if self.host is not None:
                        await self.host.begin(self._tasks)
                    if at_open is not None:
                        at_open(self)
                    with self._reading:
                        await self._read()
                    self._input_ended()
                await self.channel.flush()
            if self._draining and self._life.cancelled_caught:
                # What was cancelled may have had a last word.
                with trio.move_on_after(_LAST_WORDS):
                    await self.channel.flush()
        finally:
            self.lose("the connection was closed", tell=True)
            self.connection.drop()
            self._slots.drop()
            self._tasks = None

    async def _read(self) -> None:
        async for batch in self.channel.incoming:
            for data in batch:
                if isinstance(data, Oversized):
                    self._on_oversized(data)
                else:
                    self._dispatch(self.connection.receive(data))

    def _dispatch(self, events: list[Event]) -> None:
        for event in events:
            _ON[type(event)](self, event)

    def _input_ended(self) -> None:
        """Nothing more comes: answer what is in flight (stdio), or stop at once."""
        failure = self.channel.failure
        reason = "the peer closed the connection"
        self.lose(reason if failure is None else f"the connection broke: {failure!r}")
        self._end_waits(reason)
        if self._tasks is None or self._draining:
            return
        if self.channel.drains and failure is None:
            self._draining = True
            self._life.deadline = trio.current_time() + self._eof_grace
        else:
            # Nobody reads what a handler may still want to say while it is cleaning up.
            self.connection.drop()
            self._life.cancel(reason=reason)

    @property
    def is_closed(self) -> bool:
        """Whether whatever still runs is cancelled because the connection ends."""
        return self._life.cancel_called

    @property
    def is_draining(self) -> bool:
        """Whether new requests are refused."""
        return self._draining

    def drain(self, deadline: float) -> None:
        """Refuse new requests, let those in flight finish until the deadline, then end."""
        self._draining = True
        self._life.deadline = min(self._life.deadline, deadline)
        self._end_waits("the server is shutting down")
        self.settle()

    def close(self) -> None:
        """End now."""
        self._life.cancel(reason="the connection was closed")

    def _end_waits(self, reason: str) -> None:
        """End what would wait for ever: subscriptions, and handlers whose answers cannot come."""
        for end in list(self.at_drain):
            end()
        for frame in list(self.parked):
            frame.cancel(reason)

    def settle(self) -> None:
        """An exchange has ended: if the connection is being drained, it may be over."""
        if self._draining and not self.connection.open_exchanges:
            self._reading.cancel(reason="drained")

    def lose(self, reason: str, *, tell: bool = False) -> None:
        """No answer can come any more, or is wanted (then the peer is told): fail our calls."""
        if self._lost is None:
            self._lost = reason
        self._has_lost.set()
        for call in list(self.connection.calls()) if tell else ():
            if call.owner.sent:
                self.send_nowait(self.connection.cancel(call, reason))
            call.owner.settle(self._loss())
        for call in self.connection.lose_calls():
            call.owner.settle(self._loss())

    async def wait_lost(self) -> ConnectionLost:
        """Wait until no answer can come any more; return the error that says so."""
        await self._has_lost.wait()
        return self._loss()

    def _loss(self) -> ConnectionLost:
        error = self.explain_loss(self._lost or "the connection was closed")
        error.__cause__ = self.channel.failure
        return error

    # -- sending --------------------------------------------------------------------------

    async def flush(self) -> None:
        """Send nothing more, and wait until what waits is on the wire, or cannot be."""
        await self.channel.flush()

    async def send(self, data: bytes | None) -> None:
        """Send one message, waiting for room. Always a checkpoint; nothing if None or empty.

        A peer that is gone takes no harm and gives no error: the reader notices it.
        """
        if not data:
            await trio.lowlevel.checkpoint()
            return
        try:
            await self.channel.outbox.send(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def send_nowait(self, data: bytes | None) -> None:
        """Send one message; if there is no room, an errand in the nursery waits for it.

        When even the errands exceed the bound, the peer asks without ever reading, and is
        disconnected.
        """
        if not data:
            return
        try:
            self.channel.outbox.send_nowait(data)
        except trio.WouldBlock:
            self._send_later(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    def _send_later(self, data: bytes) -> None:
        if self._tasks is None:
            return
        if self._errands >= self._limits.in_flight:
            logger.warning("%s does not read its answers: disconnected", self.channel.peer)
            self.close()
            return
        try:
            self._tasks.start_soon(self._errand, data)
        except RuntimeError:
            # The connection's last task has just ended, and with it the nursery.
            return
        self._errands += 1

    @property
    def unsent(self) -> int:
        """Answers and refusals that wait for room in the outbox."""
        return self._unsent + self._errands

    async def _errand(self, data: bytes) -> None:
        try:
            await self.send(data)
        finally:
            self._errands -= 1

    # -- requests of the peer -------------------------------------------------------------

    def _on_request(self, event: RequestReceived) -> None:
        exchange = event.exchange
        if self._draining or self._tasks is None:
            self.send_nowait(exchange.fail(SHUTTING_DOWN, "the server is shutting down"))
            return
        limit = self._limits.in_flight
        if self._slots.taken >= limit:
            # A handler that was cancelled and cleans up takes as much room as another, and so
            # does an answer that nobody reads.
            self.send_nowait(exchange.fail(LIMIT_EXCEEDED, f"more than {limit} requests in flight"))
            return
        if exchange.size > self.budget.room:
            self.send_nowait(exchange.fail(LIMIT_EXCEEDED, NO_ROOM))
            return
        frame = self._begin(exchange)
        if self.host is None:
            self._tasks.start_soon(self.answer, frame)
        else:
            self.host.attend(self.answer, frame)

    def _begin(self, exchange: Exchange) -> Frame:
        """A request begins to be handled; `answer` follows."""
        self._slots.taken += 1
        frame = exchange.owner = Frame(self, exchange)
        frame.held = exchange.size
        self.budget.hold(frame.held)
        return frame

    async def answer(self, frame: Frame) -> None:
        """Run the handler and send its outcome. Nothing but Cancelled leaves here."""
        exchange = frame.exchange
        outcome: Any = None
        passing: BaseException | None = None
        try:
            if not exchange.is_open and not exchange.is_retry:
                # Given up before it began. A retry is still to end the handler that it is for.
                return
            outcome, passing = await captured(frame.scope, self._handlers.handle, frame)
            if passing is not None:
                if outcome is not None:
                    self.finish_nowait(answer_to(exchange, outcome))
                raise passing
            if exchange.has_reported:
                # Some clients forget a call as soon as its answer is in what they have read.
                await self.channel.part()
            await self.finish(answer_to(exchange, outcome), exchange)
            if frame.afterword is not None:
                await self.send(frame.afterword)
        finally:
            frame.end_round(self._slots.free)
            if exchange.method == "initialize" and self._tasks is not None:
                self._slots.keep(frame)
            frame.release()
            self.let_go(exchange)
            # Nobody asks for it any more; the cycle would leave both to the garbage collector.
            exchange.owner = outcome = passing = None

    def let_go(self, exchange: Exchange) -> None:
        """Nothing more is done about an exchange, whether or not it was answered."""
        exchange.drop()

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start a task in the connection's nursery, while there is one."""
        if self._tasks is not None:
            self._tasks.start_soon(function, *args)

    async def finish(self, data: bytes | None, exchange: Exchange) -> None:
        """Send the answer that ended an exchange. A checkpoint only where there is no room."""
        if data is not None:
            try:
                self.channel.outbox.send_nowait(data)
            except trio.WouldBlock:
                self._unsent += 1
                try:
                    with holding(self.budget, data, exchange) as answer:
                        await self.send(answer)
                finally:
                    self._unsent -= 1
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        self.settle()

    def finish_nowait(self, data: bytes | None) -> None:
        """The same for an answer that may not wait, as its task is being cancelled."""
        self.send_nowait(data)
        self.settle()

    def _on_cancelled(self, event: ExchangeCancelled) -> None:
        logger.debug("cancelled by the peer: %s", event.reason)
        frame: Frame = event.exchange.owner
        frame.cancel(event.reason or "cancelled by the peer")
        # The rest of its batch is answered where the batch came from.
        frame.peer.send_nowait(event.released)
        self.settle()

    def _on_session_ended(self, event: SessionEnded) -> None:
        for call in event.calls:
            call.owner.settle(ConnectionLost("the client has begun another session"))
        if self.host is not None:
            self.host.renew()

    def _on_oversized(self, data: Oversized, about: Call | None = None) -> None:
        limit = self._limits.message_bytes
        flaw = f"a message of {data.size} bytes is longer than the limit of {limit}"
        if data.has_no_room:
            flaw = NO_ROOM
        self._dispatch(self.connection.receive_oversized(data.head, flaw, about, tail=data.tail))

    # -- requests to the peer -------------------------------------------------------------

    async def request(
        self,
        method: str,
        params: Any,
        *,
        terms: Terms | None = None,
        timeout: float = math.inf,
        on_progress: ProgressCallback | None = None,
        chunks: Chunks | None = None,
        listener: Listener | None = None,
    ) -> tuple[Call, Raw]:
        """Ask the peer; leaving cancels the request.

        Returns:
            The call, and its result as raw JSON.

        Raises:
            RequestError: The peer answered with an error.
            RequestTimeout: No answer came in time.
            ConnectionLost: The peer is gone.
            ProtocolViolation: The answer is unusable.
            LimitExceeded: It is longer than `Limits.message_bytes`, or deeper than `nesting`.
        """
        if self._lost is not None:
            raise self._loss()
        pending = Pending(chunks, listener)
        progress = on_progress is not None or chunks is not None
        call, data = self.connection.call(
            method, params, terms=terms, progress=progress, owner=pending
        )
        if chunks is not None:
            chunks.begin(self.channel.pace, call.id)
        if self._answering:
            pending.pause()
        try:
            check_sendable(data, self._limits)
            return call, await self._carry(call, data, timeout, on_progress)
        except BaseException as error:
            # Leaving for whatever reason ends the request; after an answer this is a no-op.
            cancellation = self.connection.cancel(call, reason_of(error))
            if pending.sent:
                self.send_nowait(cancellation)
            raise

    async def _carry(
        self, call: Call, data: bytes, timeout: float, on_progress: ProgressCallback | None
    ) -> Raw:
        """Send a request and wait for its result."""
        await self.send(data)
        call.owner.sent = True
        return await call.owner.wait(timeout, on_progress)  # type: ignore[no-any-return]

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While a question of the peer is answered, the deadlines of our calls stand still."""
        self._answering += 1
        if self._answering == 1:
            for call in self.connection.calls():
                call.owner.pause()
        try:
            yield
        finally:
            self._answering -= 1
            if self._answering == 0:
                for call in self.connection.calls():
                    call.owner.resume()

    # -- the rest -------------------------------------------------------------------------

    def _on_notification(self, event: NotificationReceived) -> None:
        self._handlers.notified(self, event.method, event.params)

    def _on_reply(self, event: Reply) -> None:
        self.send_nowait(event.data)

    def _on_ignored(self, event: Ignored) -> None:
        logger.debug("ignored: %s", event.reason)
        if event.garbage and self.at_garbage is not None:
            self.at_garbage(event.garbage)


_ON: Final[dict[type[Event], Any]] = {
    RequestReceived: Peer._on_request,
    ExchangeCancelled: Peer._on_cancelled,
    SessionEnded: Peer._on_session_ended,
    NotificationReceived: Peer._on_notification,
    **ON_CALL,
    Reply: Peer._on_reply,
    Ignored: Peer._on_ignored,
}
