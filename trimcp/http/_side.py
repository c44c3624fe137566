"""The peer for one POST of a session, whose requests are answered in its own response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.errors import SHUTTING_DOWN
from trimcp.protocol import RequestReceived
from trimcp.runtime import OutboxPeer

if TYPE_CHECKING:
    from trimcp.protocol import Batch, Exchange, Message
    from trimcp.runtime import HttpRequest

    from ._streams import EventStream

__all__ = ["SidePeer"]


class SidePeer(OutboxPeer):
    """One of several peers for the client of a session, for the message of one POST.

    It shares the session's life: its tasks run in the session's nursery. The stream is closed when
    everything is answered.

    Args:
        main: The session's peer, while it runs.
        stream: The messages for the response of this POST.
        http: The POST.
    """

    def __init__(self, main: OutboxPeer, stream: EventStream, http: HttpRequest) -> None:
        super().__init__(
            main.connection,
            stream,
            main.responder,
            main.limits,
            "HTTP client",
            life=main.life,
            budget=main.budget,
            slots=main.slots,
        )
        self.data = main.data
        self.home = main.home
        self.http = http
        self.principal = http.principal
        self._stream = stream
        self._unanswered = 0

    def take(self, message: Message | Batch) -> bool:
        """Take the message of the POST.

        Returns:
            Whether handlers work on it now.
        """
        events = self.connection.take(message)
        self._dispatch(events)
        asked = [event.exchange for event in events if isinstance(event, RequestReceived)]
        self._unanswered = sum(exchange.is_open for exchange in asked)
        if not self._unanswered:
            self._stream.close()
        return self._unanswered > 0

    def interrupt(self, seconds: float) -> bool:
        return self._stream.interrupt(seconds)

    def let_go(self, exchange: Exchange) -> None:
        if exchange.is_open:
            # The session ends, but the client of this POST still waits for an answer.
            self.send_nowait(exchange.fail(SHUTTING_DOWN, "the session has ended"))
        self._unanswered -= 1
        if not self._unanswered:
            self._stream.close()
