"""One connection on which HTTP/1.1 is spoken.

::

    connection  reads, as long as somebody could be there
    └── runner  one request after the other: the ASGI application, and the end of its answer

The reader goes on while a request is answered, so that a client that leaves is noticed at once. It
pauses only while too much waits for the runner.
"""

from __future__ import annotations

import contextvars
import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from .._receiving import receiving
from .._running import contained
from .._waiting import Waiting
from ._answer import refusal_of
from ._exchange import Exchange
from ._heads import BadRequest, RequestHead
from ._parsing import END

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trimcp.limits import Limits

    from .._asgi import ASGIApp
    from .._sending import Sender
    from ._parsing import Event, MakeParser

__all__ = ["Http1Connection", "Upgrade"]

#: Bytes that are parsed at once: whatever a client sends ahead, not much more is known of it than
#: may wait.
_PARSED_BYTES: Final = 4096

#: Requests, and bytes of them, that may wait while the reader goes on.
_MOST_WAITING: Final = 8
_MOST_HELD: Final = 64 * 1024

#: Seconds for ending the answer of an application that was cancelled.
_END_SECONDS: Final = 1.0


@attrs.frozen
class Upgrade:
    """A WebSocket's handshake; its connection belongs to another protocol from now on.

    Attributes:
        head: The head of the request.
        rest: What came after it.
    """

    head: RequestHead
    rest: bytes

    def replayed(self) -> bytes:
        """The bytes that say the same."""
        head = self.head
        lines = b"".join(b"%s: %s\r\n" % pair for pair in head.headers)
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (
            head.method.encode(),
            head.target,
            lines,
            self.rest,
        )


class Http1Connection:
    """A connection of a client.

    It is idle while no request is open: no head is complete whose answer is not. Then it has a
    deadline, and ends at once when the server shuts down.

    Args:
        app: The ASGI application.
        stream: The connection. Only its sender writes to it.
        sender: Writes to it.
        make_parser: Makes the parser.
        limits: `header_bytes` and `header_seconds` are used.
        scope: What the scopes of all its requests have in common.
        close: Closes the connection.

    Attributes:
        is_draining: Whether the answers that begin now are the last ones.
        lingers: Whether the client may still be sending although all is answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        stream: trio.abc.Stream,
        sender: Sender,
        *,
        make_parser: MakeParser,
        limits: Limits,
        scope: Mapping[str, Any],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self.is_draining = False
        self.lingers = False
        self._app = app
        self._receive = receiving(stream)
        self._sender = sender
        self._parser = make_parser(limits.header_bytes)
        self._seconds = limits.header_seconds
        self._scope = scope
        self._close = close
        #: The open requests; the first one is being answered.
        self._open: deque[Exchange] = deque()
        #: What comes after them, and nothing more.
        self._ending: BadRequest | Upgrade | None = None
        self._is_over = False
        self._reading = trio.CancelScope()
        #: Lent to the application, which saves a scope for each request.
        self._answering = trio.CancelScope()
        self._deadline = trio.current_time() + self._seconds
        self._work = Waiting()
        self._room = Waiting()

    async def run(self) -> Upgrade | None:
        """Serve the connection to its end, or to a WebSocket's handshake."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer_all)
            with self._reading:
                await self._read()
            if not self._is_over and not isinstance(self._ending, Upgrade):
                self._lose()
                # The application may still be cleaning up.
                await self._close()
        return self._ending if isinstance(self._ending, Upgrade) else None

    # -- how it ends --------------------------------------------------------------------------

    def drain(self) -> None:
        """Accept no more requests: end now if none is open, otherwise after the answer."""
        self.is_draining = True
        if self._is_idle:
            self._reading.cancel(reason="the server is shutting down")

    def expire(self, now: float) -> None:
        """End the connection if it has been idle for too long.

        Args:
            now: The time of Trio's clock.
        """
        if now >= self._deadline:
            self._reading.cancel(reason="no request came in time")

    @property
    def _is_idle(self) -> bool:
        return not self._open and self._ending is None

    def _lose(self) -> None:
        """Note that the client is gone, or is not wanted any more."""
        self._is_over = True
        self._sender.give_up()
        for exchange in self._open:
            exchange.lose()
        self._work.wake()

    def _end(self) -> None:
        """End the connection after the last answer."""
        self.lingers = not (self._is_over or self.is_draining or self._sender.has_given_up)
        self._is_over = True
        self._reading.cancel(reason="the last request is answered")

    # -- reading ------------------------------------------------------------------------------

    async def _read(self) -> None:
        """Read until the client is gone, or a WebSocket begins."""
        while True:
            data = await self._receive()
            if not data:
                return
            for start in range(0, len(data), _PARSED_BYTES):
                end = start + _PARSED_BYTES
                self._take(self._parser.feed(data[start:end]))
                if isinstance(self._ending, Upgrade):
                    rest = self._parser.rest + data[end:]
                    self._ending = attrs.evolve(self._ending, rest=rest)
                    return
                while self._is_full():
                    await self._room.park()

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, bytes):
                self._open[-1].put(event)
            elif event is END:
                self._open[-1].complete()
            elif isinstance(event, BadRequest):
                self._refuse(event)
            elif event.is_websocket:
                self._ending = Upgrade(event, b"")
                self._begin()
            else:
                self._open.append(Exchange(event, self))
                self._begin()

    def _begin(self) -> None:
        """Let the runner work; the time of an idle connection does not count any more."""
        self._deadline = math.inf
        self._work.wake()

    def _refuse(self, refusal: BadRequest) -> None:
        """Refuse what came last, after the answers to what came before."""
        self._ending = refusal
        if self._open and not self._open[-1].is_received:
            self._open[-1].is_malformed = True
            self._open[-1].lose()
        self._begin()

    def _is_full(self) -> bool:
        return len(self._open) > _MOST_WAITING or (
            sum(each.held for each in self._open) > _MOST_HELD
        )

    def make_room(self) -> None:
        """Read on, since less is held than before."""
        self._room.wake()

    # -- answering ----------------------------------------------------------------------------

    async def send(self, data: bytes) -> bool:
        """Send data. Returns whether the client can still be reached."""
        if await self._sender.send(data):
            return True
        self._reading.cancel(reason="the answer cannot be sent")
        return False

    async def _answer_all(self) -> None:
        """The runner: answer one request after the other."""
        with self._answering:
            await self._answer_each()
        if self._answering.cancelled_caught:
            self._end()

    async def _answer_each(self) -> None:
        task, context = trio.lowlevel.current_task(), contextvars.copy_context()
        while not self._is_over:
            if self._open:
                exchange = self._open[0]
                await self._answer(exchange)
                if self._answering.cancel_called or not self._goes_on_after(exchange):
                    break
                # The next request may be another user's. It begins when the task goes on, and that
                # is when the assignment has its effect.
                task.context = context.copy()
                self._open.popleft()
                self.make_room()
                if self._is_idle:
                    self._deadline = trio.current_time() + self._seconds
                else:
                    await trio.lowlevel.checkpoint()
            elif self._ending is None:
                await self._work.park()
            elif isinstance(self._ending, Upgrade):
                return
            else:
                await self.send(refusal_of(self._ending))
                break
        self._end()

    def _goes_on_after(self, exchange: Exchange) -> bool:
        answer = exchange.answer
        if self._is_over or self.is_draining or answer.is_last:
            return False
        if exchange.is_malformed:
            return not answer.has_begun
        # What is left of a body that nobody has read is not waited for.
        return answer.is_complete and exchange.is_received

    async def _answer(self, exchange: Exchange) -> None:
        """Run the application for one request, and end an answer that it leaves open."""
        exchange.disconnect.lent = (self._app, self._answering)
        scope = exchange.scope(self._scope)
        try:
            await contained(self._app, scope, exchange.receive, exchange.send)
        except BaseException:
            with trio.CancelScope(shield=True, relative_deadline=_END_SECONDS):
                await self._fail(exchange)
            raise
        await self._fail(exchange)

    async def _fail(self, exchange: Exchange) -> None:
        """Answer with 500 if there is no answer; what has begun cannot be completed."""
        if exchange.disconnect.event is None and not exchange.answer.has_begun:
            await self.send(exchange.answer.fail())
