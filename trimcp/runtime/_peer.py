"""The other side of an exchange."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from trimcp.errors import INVALID_REQUEST, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from msgspec import Raw

    from trimcp.protocol import Call, Connection, Exchange, Terms
    from trimcp.transports import Budget, Pace

    from ._home import Home
    from ._http import HttpRequest
    from ._principal import Principal

__all__ = ["Peer"]


class Peer(ABC):
    """The other side of an exchange: who is answered, and how.

    That is all that a handler needs to know of the requester. For a single request over HTTP there
    is nothing more; a peer that stays connected is a `ConnectedPeer`.

    Args:
        connection: The protocol's state; None where each request stands alone.
        home: The home of handlers that may ask.
        budget: Counts the bytes that are held for the peer.
        at_drain: Called when new requests are no longer accepted, to end what would otherwise never
            end.

    Attributes:
        http: The HTTP request that opened it, if one did.
        principal: Who it is, where the server asks that: by the latest token, where there are
            several. A request keeps its own (`Round.principal`).
        data: What the role keeps for it.
        pace: Lets consumers hold producers back, if the peer is in this process.
    """

    def __init__(
        self,
        connection: Connection | None,
        home: Home,
        budget: Budget,
        at_drain: set[Callable[[], None]],
    ) -> None:
        self.connection = connection
        self.home = home
        self.budget = budget
        self.at_drain = at_drain
        self.http: HttpRequest | None = None
        self.principal: Principal | None = None
        self.data: Any = None
        self.pace: Pace | None = None

    @abstractmethod
    async def send(self, data: bytes | None) -> None:
        """Send one message, waiting for room. Always a checkpoint; nothing if None or empty.

        There is no error if the peer is gone.
        """

    @abstractmethod
    async def finish(self, data: bytes | None, exchange: Exchange) -> None:
        """Send the answer that ended an exchange. A checkpoint only where there is no room."""

    @abstractmethod
    def finish_nowait(self, data: bytes | None) -> None:
        """Send the answer without waiting, since its task is being cancelled; see `finish`."""

    @abstractmethod
    def send_nowait(self, data: bytes | None) -> None:
        """Send one message without waiting, or arrange that it is sent."""

    async def part(self) -> None:
        """Ensure that what is sent next is not read together with what was sent before."""
        return

    def interrupt(self, seconds: float) -> bool:
        """Tell the peer to reconnect later for further messages, if it can do that.

        Args:
            seconds: After how many seconds it should reconnect.

        Returns:
            Whether it was told so.
        """
        return False

    async def request(
        self, method: str, params: Any, *, terms: Terms | None = None, timeout: float = math.inf
    ) -> tuple[Call, Raw]:
        """Send a request to the peer. Raises RequestError where that is not possible."""
        raise RequestError(INVALID_REQUEST, "a client without a session cannot be asked")

    def answering(self) -> AbstractContextManager[None]:
        """Stop the deadlines of our calls while a question of the peer is answered."""
        return nullcontext()

    def free_slot(self) -> None:
        """Free the slot of a request whose task has ended."""
        return

    def keep(self, held: int) -> int:
        """Keep the bytes of an answered `initialize` counted, as long as the peer is connected.

        Args:
            held: The number of bytes.

        Returns:
            How many of them are still held by the request.
        """
        return held

    def let_go(self, exchange: Exchange) -> None:
        """Drop an exchange, whether or not it was answered."""
        exchange.drop()
