"""The driver of a connection, which turns its events into tasks.

One task reads; the requests of the peer are answered in other tasks in the connection's nursery.
The reader awaits nothing but the next messages, so no handler and no slow reader on the other side
can delay a ping or a cancellation.
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
from trimcp.transports import Budget, Oversized

from ._calls import ON_CALL, Listener, Pending, ProgressCallback, check_sendable, reason_of
from ._deadlines import Deadlines
from ._held import NO_ROOM, Slots
from ._life import Life
from ._peer import Peer
from ._round import Round
from ._workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.protocol import Event, Terms

    from ._chunks import Chunks
    from ._home import Parked
    from ._round import Responder

__all__ = ["ConnectedPeer"]

logger = logging.getLogger("trimcp.connection")

#: Seconds to send the answers of handlers that were cancelled at the end of the grace period.
_LAST_WORDS: Final = 0.2


class ConnectedPeer(Peer):
    """A peer that stays connected: it sends many requests, and answers ours.

    The subclasses define how messages are sent and received.

    Args:
        connection: The protocol's state.
        responder: The role.
        limits: Bounds.
        name: A name for logs.
        life: The connection's life, if several peer objects share it; by default a new one.
        budget: Counts the bytes that are held for the peer; by default a new one for this peer.
        slots: Counts the handlers of the connection; by default a new counter.

    Attributes:
        at_garbage: Called with the beginning of received data that is not a message.
    """

    connection: Connection

    def __init__(
        self,
        connection: Connection,
        responder: Responder,
        limits: Limits,
        name: str,
        *,
        life: Life | None = None,
        budget: Budget | None = None,
        slots: Slots | None = None,
    ) -> None:
        self.life = life = life or Life(connection)
        super().__init__(connection, life, budget or Budget.of(limits), life.at_drain)
        self.name = name
        self.responder = responder
        self.limits = limits
        self.slots = slots or Slots(self.budget)
        self.at_garbage: Callable[[bytes], None] | None = None
        self._failure: BaseException | None = None
        self._errands = 0
        self._unsent = 0
        self._answering = 0
        self._pausing = 0
        self._workers = Workers(responder, life.try_start)

    # -- its life -------------------------------------------------------------------------

    async def run(self, at_open: Callable[[], None] | None = None) -> None:
        """Serve the connection until the peer is gone, or it has been drained or closed.

        Args:
            at_open: Called as soon as requests can be sent.
        """
        life = self.life
        try:
            with life.scope:
                async with trio.open_nursery() as life.nursery:
                    try:
                        if life.host is not None:
                            await life.host.begin(life.nursery)
                        if at_open is not None:
                            at_open()
                        with life.reading:
                            await self._read()
                        self._input_ended()
                    finally:
                        if life.host is not None:
                            # Before all handlers have ended: one may ask in a shield. A client's
                            # own calls are cancelled together with who makes them.
                            self.lose("the connection was closed", tell=True)
                await self.flush()
            if life.is_draining and life.scope.cancelled_caught:
                # Handlers that were cancelled may have answered while they ended.
                with trio.move_on_after(_LAST_WORDS):
                    await self.flush()
        finally:
            self.lose("the connection was closed", tell=True)
            self.connection.drop()
            self.slots.drop()
            life.nursery = None

    async def _read(self) -> None:
        """Read the peer's messages to their end. By default, other code passes them in."""
        await trio.sleep_forever()

    async def flush(self) -> None:
        """Accept no more messages, and wait until the queued ones are sent, or cannot be."""
        await trio.lowlevel.checkpoint()

    def _dispatch(self, events: list[Event]) -> None:
        for event in events:
            _ON[type(event)](self, event)

    def _input_ended(self) -> None:
        """Fail our calls, and end all that needs the peer, since its input has ended.

        A connection that has been drained has only to send what is left.
        """
        reason = "the peer closed the connection"
        self.lose(reason if self.failure is None else f"the connection broke: {self.failure!r}")
        self.life.end_waits(reason)
        self._workers.dismiss()
        is_drained = self.life.is_draining and not self.connection.open_exchanges
        if not is_drained and not self._outlives_its_input():
            # Nobody reads what a handler may still send while it cleans up.
            self.connection.drop()
            self.life.close(reason)

    def _outlives_its_input(self) -> bool:
        """Whether requests in flight are still answered after the end of input."""
        return False

    @property
    def failure(self) -> BaseException | None:
        """The error that broke the connection, or None."""
        return self._failure

    @property
    def parked(self) -> set[Parked]:
        """The handlers of this connection that wait for the client's next round."""
        return self.life.parked

    def drain(self, deadline: float, reason: str | None = None) -> None:
        """Refuse new requests, let those in flight finish until the deadline, then end.

        Args:
            deadline: On Trio's clock.
            reason: See `Life.drain`.
        """
        self.life.drain(deadline, reason)

    def close(self) -> None:
        """End the connection now."""
        self.life.close()

    def lose(self, reason: str, *, tell: bool = False) -> None:
        """Fail our calls. With `tell`, answers are no longer wanted, and the peer is told so."""
        self.life.lose(reason)
        for call in list(self.connection.calls()) if tell else ():
            if call.owner.sent:
                self.send_nowait(self.connection.cancel(call, reason))
            call.owner.settle(self._loss())
        for call in self.connection.lose_calls():
            call.owner.settle(self._loss())

    async def wait_lost(self) -> ConnectionLost:
        """Wait until no answer can arrive any more; return the error that says so."""
        await self.life.wait_lost()
        return self._loss()

    def _loss(self) -> ConnectionLost:
        return self.life.loss(self.failure)

    # -- sending --------------------------------------------------------------------------

    def _send_later(self, data: bytes) -> None:
        """Start a task in the nursery (an errand) that waits for room and sends the message.

        If there are too many errands, the peer sends requests without reading the answers, and is
        disconnected.
        """
        if self._errands >= self.limits.in_flight:
            logger.warning("%s does not read its answers: disconnected", self.name)
            self.close()
            return
        if self.life.try_start(self._errand, data):
            self._errands += 1

    async def _errand(self, data: bytes) -> None:
        try:
            await self.send(data)
        finally:
            self._errands -= 1

    @property
    def unsent(self) -> int:
        """How many answers and refusals wait for room in the outbox."""
        return self._unsent + self._errands

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait until the peer reads them."""
        return 0

    def finish_nowait(self, data: bytes | None) -> None:
        self.send_nowait(data)
        self.life.settle()

    # -- requests of the peer -------------------------------------------------------------

    def _on_request(self, event: RequestReceived) -> None:
        exchange = event.exchange
        if self.life.is_draining or self.life.nursery is None:
            self.send_nowait(exchange.fail(SHUTTING_DOWN, self.life.ending))
            return
        limit = self.limits.in_flight
        if self.slots.taken >= limit:
            # A cancelled handler that still cleans up counts, and so does an answer that is not
            # read.
            self.send_nowait(exchange.fail(LIMIT_EXCEEDED, f"more than {limit} requests in flight"))
            return
        if exchange.size > self.budget.room:
            self.send_nowait(exchange.fail(LIMIT_EXCEEDED, NO_ROOM))
            return
        self.slots.taken += 1
        round_ = Round(self, exchange)
        if self.life.host is None:
            self._workers.attend(round_)
        else:
            self.life.host.attend(round_)

    def free_slot(self) -> None:
        self.slots.taken -= 1

    def keep(self, held: int) -> int:
        if self.life.nursery is None:
            return held
        self.slots.keep(held)
        return 0

    def _on_cancelled(self, event: ExchangeCancelled) -> None:
        logger.debug("cancelled by the peer: %s", event.reason)
        round_: Round = event.exchange.owner
        round_.cancel(event.reason or "cancelled by the peer")
        # The other answers of its batch go to where the batch came from.
        round_.peer.send_nowait(event.released)
        self.life.settle()

    def _on_session_ended(self, event: SessionEnded) -> None:
        for call in event.calls:
            call.owner.settle(ConnectionLost("the client has begun another session"))
        if self.life.host is not None:
            self.life.host.renew()

    def _on_oversized(self, data: Oversized, about: Call | None = None) -> None:
        limit = self.limits.message_bytes
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
        """Send a request and wait for the answer; if the wait ends early, the request is cancelled.

        Returns:
            The call, and its result as raw JSON.

        Raises:
            RequestError: The peer answered with an error.
            RequestTimeout: No answer came in time.
            ConnectionLost: The peer is gone.
            ProtocolViolation: The answer is unusable.
            LimitExceeded: The request is longer than `Limits.message_bytes`, or deeper than
                `nesting`.
        """
        if self.life.lost is not None:
            # The connection may be lost because what asks is cancelled, too.
            await trio.lowlevel.checkpoint_if_cancelled()
            raise self._loss()
        if self.life.deadlines is None:
            self.life.deadlines = Deadlines(self.life.try_start)
        pending = Pending(chunks, listener, self.life.deadlines)
        progress = on_progress is not None or chunks is not None
        call, data = self.connection.call(
            method, params, terms=terms, progress=progress, owner=pending
        )
        if chunks is not None:
            chunks.begin(self.pace, call.id)
        if self._pausing:
            pending.pause()
        try:
            check_sendable(data, self.limits)
            return call, await self._carry(call, data, timeout, on_progress)
        except BaseException as error:
            # Any exception cancels the request; after an answer this does nothing.
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
        """Stop the deadlines of our calls while a question of the peer is answered."""
        self._answering += 1
        try:
            with self.pausing():
                yield
        finally:
            self._answering -= 1

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Stop the deadlines of our calls while the peer waits for us."""
        self._pausing += 1
        if self._pausing == 1:
            for call in self.connection.calls():
                call.owner.pause()
        try:
            yield
        finally:
            self._pausing -= 1
            if self._pausing == 0:
                for call in self.connection.calls():
                    call.owner.resume()

    # -- the rest -------------------------------------------------------------------------

    def _on_notification(self, event: NotificationReceived) -> None:
        self.responder.notified(self, event.method, event.params)

    def _on_reply(self, event: Reply) -> None:
        self.send_nowait(event.data)

    def _on_ignored(self, event: Ignored) -> None:
        logger.debug("ignored: %s", event.reason)
        if event.garbage and self.at_garbage is not None:
            self.at_garbage(event.garbage)


_ON: Final[dict[type[Event], Any]] = {
    RequestReceived: ConnectedPeer._on_request,
    ExchangeCancelled: ConnectedPeer._on_cancelled,
    SessionEnded: ConnectedPeer._on_session_ended,
    NotificationReceived: ConnectedPeer._on_notification,
    **ON_CALL,
    Reply: ConnectedPeer._on_reply,
    Ignored: ConnectedPeer._on_ignored,
}
