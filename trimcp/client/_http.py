"""A server that is reached over HTTP: what both of the protocol's HTTP transports share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from trimcp.errors import HTTPStatusError, MCPError, RequestError
from trimcp.protocol import FailureReceived
from trimcp.runtime import Peer
from trimcp.transports import MessageChannel, Outbox, Oversized

if TYPE_CHECKING:
    from trimcp.limits import Limits
    from trimcp.protocol import Call, Connection, Exchange
    from trimcp.protocol.http import ServerSentEvent
    from trimcp.runtime import Handlers
    from trimcp.transports import HTTPAnswer, HTTPLink, Incoming

__all__ = ["HTTPPeer", "message_of", "status_error"]

logger = logging.getLogger("trimcp.client")

#: Characters of an unexpected body that are shown.
_EXCERPT: Final = 200


class HTTPPeer(Peer):
    """Sends every message with a POST of its own, in the task that has it.

    Args:
        connection: The protocol's state.
        link: The way to the server.
        handlers: The role.
        limits: Bounds.
        patience: Seconds for messages for whose answer nobody waits.
    """

    def __init__(
        self,
        connection: Connection,
        link: HTTPLink,
        handlers: Handlers,
        limits: Limits,
        *,
        patience: float,
    ) -> None:
        # Nothing travels through this channel; what is wrong with the connection stands in it.
        _, incoming = trio.open_memory_channel[list["Incoming"]](0)
        channel = MessageChannel(incoming, Outbox(limits.outbox_bytes), link.url)
        channel.written.set()
        super().__init__(connection, channel, handlers, limits)
        self._link = link
        self._patience = patience
        self._all_sent = trio.lowlevel.ParkingLot()

    def _headers(self) -> dict[str, str]:
        """What goes with every message."""
        return {}

    async def send(self, data: bytes | None) -> None:
        """Send what has no answer, and wait until the server has taken it, or has not."""
        if not data:
            await trio.lowlevel.checkpoint()
            return
        try:
            with trio.fail_after(self._patience):
                async with self._link.post(data, self._headers()) as answer:
                    body = await answer.read()
                    if not answer.is_success:
                        raise status_error(answer, body)
        except (MCPError, trio.TooSlowError) as error:
            logger.debug("a message was not taken: %r", error)

    def send_nowait(self, data: bytes | None) -> None:
        if data:
            self._send_later(data)

    async def finish(self, data: bytes | None, exchange: Exchange) -> None:
        await self.send(data)

    async def _errand(self, data: bytes) -> None:
        try:
            await super()._errand(data)
        finally:
            self._all_sent.unpark_all()

    async def flush(self) -> None:
        while self._errands:
            await self._all_sent.park()

    def _receive(self, message: Incoming, about: Call | None = None) -> None:
        """Take a message; `about` is the call that it came in answer to, if to any."""
        if isinstance(message, Oversized):
            self._on_oversized(message, about)
        elif message.strip():
            self._dispatch(self.connection.receive(message, about))

    async def _refused(self, call: Call, answer: HTTPAnswer) -> None:
        """An answer that is no success: its body may say why.

        Raises:
            HTTPStatusError: It does not, or not in the protocol's words.
        """
        body = await answer.read()
        if isinstance(body, bytes) and body.strip():
            events = self.connection.receive(body, call)
            if any(isinstance(event, FailureReceived) for event in events):
                self._dispatch(events)
        if not isinstance(call.owner.outcome, RequestError):
            raise status_error(answer, body)
        call.owner.outcome.http_status = answer.status


def message_of(event: ServerSentEvent) -> Incoming:
    """The message that an event carries; empty if it carries none."""
    if event.event != "message":
        return b""
    return Oversized(event.size, event.data) if event.is_oversized else event.data


def status_error(answer: HTTPAnswer, body: Incoming) -> HTTPStatusError:
    """The error for an answer that is no success."""
    text = (body.head if isinstance(body, Oversized) else body).decode(errors="replace")
    return HTTPStatusError(answer.status, " ".join(text.split())[:_EXCERPT], answer.headers)
