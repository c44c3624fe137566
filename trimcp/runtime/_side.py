"""One of several ways to the same peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.errors import SHUTTING_DOWN
from trimcp.protocol import RequestReceived

from ._peer import Peer

if TYPE_CHECKING:
    from trimcp.protocol import Batch, Message
    from trimcp.transports import MessageChannel

    from ._frame import Frame

__all__ = ["SidePeer"]


class SidePeer(Peer):
    """A peer, seen through one channel of several: what is asked here is answered here.

    The tasks live in the main peer's nursery, and whatever belongs to the connection as a whole
    is the main peer's. The outbox is closed once everything is answered.

    Args:
        main: The peer, while it runs.
        channel: The way to it that this is about.
    """

    def __init__(self, main: Peer, channel: MessageChannel) -> None:
        super().__init__(main.connection, channel, main._handlers, main._limits, budget=main.budget)
        self.data = main.data
        self.home = main.home
        self.at_drain = main.at_drain
        self.explain_loss = main.explain_loss
        self._main = main
        self._slots = main._slots
        self._tasks = main._tasks
        self._unanswered = 0

    def take(self, message: Message | Batch) -> bool:
        """Take what came this way.

        Returns:
            Whether handlers are at work on it now.
        """
        events = self.connection.take(message)
        self._dispatch(events)
        asked = [event.exchange for event in events if isinstance(event, RequestReceived)]
        self._unanswered = sum(exchange.is_open for exchange in asked)
        if not self._unanswered:
            self.channel.outbox.close()
        return self._unanswered > 0

    async def answer(self, frame: Frame) -> None:
        try:
            await super().answer(frame)
        finally:
            if frame.exchange.is_open:
                # The connection ends, but whoever posted the request is still there.
                self.send_nowait(frame.exchange.fail(SHUTTING_DOWN, "the session has ended"))
            self._unanswered -= 1
            if not self._unanswered:
                self.channel.outbox.close()

    def settle(self) -> None:
        self._main.settle()

    def close(self) -> None:
        self._main.close()
