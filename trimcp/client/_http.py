"""The peer for a server over HTTP: what both of the protocol's HTTP transports share."""

from __future__ import annotations

import logging
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from trimcp.errors import ConnectionLost, HTTPStatusError, MCPError, RequestError, RequestTimeout
from trimcp.protocol import FailureReceived
from trimcp.runtime import ConnectedPeer
from trimcp.transports import Oversized

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp.limits import Limits
    from trimcp.protocol import Call, Connection, Exchange
    from trimcp.protocol.http import ServerSentEvent
    from trimcp.runtime import Responder
    from trimcp.transports import HTTPAnswer, HTTPLink, Incoming

__all__ = ["HTTPPeer", "message_of", "status_error"]

logger = logging.getLogger("trimcp.client")

#: How many characters of an unexpected body, or of a reason, are shown.
_EXCERPT: Final = 200

#: Seconds for the rest of an answer that is not needed: if it arrives in this time, the connection
#: can be reused.
_REST_SECONDS: Final = 0.1


class HTTPPeer(ConnectedPeer):
    """Sends each message in a POST of its own, in the task that sends the message.

    Args:
        connection: The protocol's state.
        link: The connection to the server.
        responder: The role.
        limits: Bounds.
        patience: Seconds for sending a message that has no answer.
    """

    def __init__(
        self,
        connection: Connection,
        link: HTTPLink,
        responder: Responder,
        limits: Limits,
        *,
        patience: float,
    ) -> None:
        super().__init__(connection, responder, limits, link.url)
        self._link = link
        link.while_waiting = self.pausing
        self._patience = patience
        self._all_sent = trio.lowlevel.ParkingLot()
        self._places = trio.Semaphore(limits.in_flight)
        self._probing = trio.Lock()
        self._found_silent = -math.inf

    def _headers(self) -> dict[str, str]:
        """The headers of every message."""
        return {}

    async def authorization(self) -> str | None:
        """The header `Authorization` of the next request, where it is not a fixed one."""
        return await self._link.authorization()

    # -- messages without an answer ---------------------------------------------------------

    async def send(self, data: bytes | None) -> None:
        """Send a message that has no answer; wait until the server has accepted or refused it."""
        if data:
            await self._deliver(data)
        else:
            await trio.lowlevel.checkpoint()

    async def _deliver(self, data: bytes) -> int | None:
        """Send a message that has no answer; returns the HTTP status, or None if there was none."""
        try:
            with trio.fail_after(self._patience):
                async with self._link.post(data, self._headers()) as answer:
                    body = await _rest_of(answer)
                    if not answer.is_success:
                        logger.debug("a message was not taken: %r", status_error(answer, body))
                    return answer.status
        except (MCPError, trio.TooSlowError) as error:
            logger.debug("a message was not taken: %r", error)
            return None

    def send_nowait(self, data: bytes | None) -> None:
        if data:
            self._send_later(data)

    async def finish(self, data: bytes | None, exchange: Exchange) -> None:
        if data:
            await self._deliver(data)

    async def _errand(self, data: bytes) -> None:
        try:
            await self._deliver(data)
        finally:
            self._errands -= 1
            self._all_sent.unpark_all()

    async def flush(self) -> None:
        while self._errands:
            await self._all_sent.park()

    # -- requests ---------------------------------------------------------------------------

    @asynccontextmanager
    async def _slot(self, call: Call) -> AsyncIterator[None]:
        """A slot for one more call; at most `Limits.in_flight` are open at the same time.

        Two kinds of calls need no slot, since others could wait for them forever: subscriptions,
        which do not end, and calls that are made to answer a question of the server.
        """
        if self._answering or call.owner.is_listening:
            yield
            return
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    @property
    def heartbeat_seconds(self) -> float:
        """`Limits.heartbeat_seconds`."""
        return self.limits.heartbeat_seconds

    # -- silence ----------------------------------------------------------------------------

    async def wait_silent(self, method: str) -> None:
        """Return when the server seems to be gone, although no connection has ended.

        That is: it has sent nothing at all for `Limits.heartbeat_seconds`, and does not answer
        a request within as long again.

        Args:
            method: The request.
        """
        seconds = self.limits.heartbeat_seconds
        if math.isinf(seconds):
            await trio.sleep_forever()
        while True:
            await trio.sleep_until(max(self._link.heard + seconds, trio.current_time()))
            since = trio.current_time()
            async with self._probing:
                # One request is enough for all waiting tasks.
                if self._found_silent >= since or not await self._is_alive(method, seconds):
                    return

    async def _is_alive(self, method: str, seconds: float) -> bool:
        if self._link.heard + seconds > trio.current_time():
            return True
        try:
            await self.request(method, None, timeout=seconds)
        except (ConnectionLost, RequestTimeout) as error:
            logger.debug("the server does not answer: %s", error)
            self._found_silent = trio.current_time()
            return False
        except MCPError as error:
            logger.debug("the server is alive, and answers: %s", error)
        self._link.note_life()
        return True

    def break_off(self, reason: str) -> None:
        """End the streams on which the server sends unasked, since it seems to be gone."""

    # -- what arrives -----------------------------------------------------------------------

    def _receive(self, message: Incoming, about: Call | None = None) -> None:
        """Take a message; `about` is the call that it answers, if any."""
        if isinstance(message, Oversized):
            self._on_oversized(message, about)
        elif message.strip():
            self._dispatch(self.connection.receive(message, about))

    async def _refused(self, call: Call, answer: HTTPAnswer) -> None:
        """Handle an answer with an error status, whose body may be an error response.

        Raises:
            HTTPStatusError: The body is not an error response of the protocol.
        """
        body = await answer.read()
        if isinstance(body, bytes) and body.strip():
            events = self.connection.receive(body, call)
            if any(isinstance(event, FailureReceived) for event in events):
                self._dispatch(events)
        if not isinstance(call.owner.outcome, RequestError):
            raise status_error(answer, body)
        call.owner.outcome.http_status = answer.status


async def _rest_of(answer: HTTPAnswer) -> Incoming:
    """The body of an answer whose head is enough; empty if it does not arrive at once."""
    body: Incoming = b""
    if not answer.is_stream:
        with trio.move_on_after(_REST_SECONDS):
            body = await answer.read()
    return body


def message_of(event: ServerSentEvent) -> Incoming:
    """The message that an event carries; empty if it carries none."""
    if event.event != "message":
        return b""
    return Oversized(event.size, event.data) if event.is_oversized else event.data


def status_error(answer: HTTPAnswer, body: Incoming) -> HTTPStatusError:
    """The error for an answer with an error status."""
    text = (body.head if isinstance(body, Oversized) else body).decode(errors="replace")
    said = (_reason(answer), _excerpt(text))
    return HTTPStatusError(answer.status, ": ".join(filter(None, said)), answer.headers)


def _reason(answer: HTTPAnswer) -> str:
    if not answer.challenges:
        return ""
    from trimcp.protocol.challenges import reason_in  # only refusals need it

    return _excerpt(reason_in(answer.challenges))


def _excerpt(text: str) -> str:
    """The beginning of what a server says, on one line."""
    shown = " ".join(text.split())[:_EXCERPT]
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in shown)
