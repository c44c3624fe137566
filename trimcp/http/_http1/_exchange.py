"""One request and its answer, as an ASGI application sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote

import trio

from .._asgi import GONE, Disconnect
from .._running import ClientGone
from .._waiting import Waiting
from ._answer import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._heads import RequestHead

__all__ = ["Exchange", "Owner"]

_GONE_EVENT: Final = "http.disconnect"

_START: Final = "http.response.start"

_CONTINUE: Final = b"HTTP/1.1 100 \r\n\r\n"

#: What a waiting request occupies besides its head and body, in bytes.
_OVERHEAD: Final = 1024


class Owner(Protocol):
    """The connection of an exchange."""

    is_draining: bool

    async def send(self, data: bytes) -> bool:
        """Send data. Returns whether the client can still be reached."""

    def make_room(self) -> None:
        """Read on, since less is held than before."""


class Exchange:
    """One request and its answer.

    Args:
        head: The head of the request.
        owner: The connection.

    Attributes:
        answer: The answer.
        disconnect: Reports that the client is gone. Its event is there when the answer is complete,
            too; but then nothing is called.
        is_received: Whether the whole request has come.
        is_malformed: Whether its body cannot be read.
        held: Bytes of it that are held.
    """

    __slots__ = (
        "_body",
        "_expects",
        "_is_told",
        "_news",
        "_owner",
        "answer",
        "disconnect",
        "head",
        "held",
        "is_malformed",
        "is_received",
    )

    def __init__(self, head: RequestHead, owner: Owner) -> None:
        self.head = head
        self.answer = Answer(head)
        self.disconnect = Disconnect()
        self.is_received = False
        self.is_malformed = False
        self.held = head.size + _OVERHEAD
        self._owner = owner
        self._expects = head.expects
        self._body: list[bytes] = []
        #: Whether the application knows that the body is complete.
        self._is_told = False
        self._news = Waiting()

    def scope(self, base: Mapping[str, Any]) -> dict[str, Any]:
        """The ASGI scope.

        Args:
            base: What all requests of the connection have in common.
        """
        head = self.head
        raw_path, _, query = head.target.partition(b"?")
        path = raw_path.decode("ascii")
        return {
            **base,
            "http_version": head.version,
            "method": head.method,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": head.headers,
            "state": {},
            "extensions": {GONE: self.disconnect},
        }

    # -- the connection's side ----------------------------------------------------------------

    def put(self, piece: bytes) -> None:
        """Take a piece of the body; the application gets it when it asks."""
        self._expects = False
        if not self.answer.is_complete:
            self.held += len(piece)
            self._body.append(piece)
            self._news.wake()

    def complete(self) -> None:
        """Note that the whole request has come."""
        self.is_received = self.disconnect.has_body = True
        self._expects = False
        self._news.wake()

    def lose(self) -> None:
        """Note that the client is gone."""
        if self.disconnect.event is None:
            self.disconnect.tell({"type": _GONE_EVENT})
            self._news.wake()

    # -- the application's side ---------------------------------------------------------------

    async def receive(self) -> dict[str, Any]:
        """The ASGI callable."""
        if self._expects:
            self._expects = False
            await self._owner.send(_CONTINUE)
        while True:
            if self.disconnect.event is not None:
                await trio.lowlevel.checkpoint()
                return {**self.disconnect.event}
            if self._body or (self.is_received and not self._is_told):
                return self._take()
            await self._news.park()

    def _take(self) -> dict[str, Any]:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body.clear()
        self._is_told = self.is_received
        self.held -= len(body)
        self._owner.make_room()
        return {"type": "http.request", "body": body, "more_body": not self.is_received}

    async def send(self, event: Mapping[str, Any]) -> None:
        """The ASGI callable.

        Raises:
            ClientGone: The client is gone, or the answer is complete.
            ValueError: The event is not allowed.
        """
        if self.disconnect.event is not None:
            raise ClientGone("the client is gone, or the answer is complete")
        answer = self.answer
        # Without the invitation the body will not come, or the next request in its place.
        answer.is_last = answer.is_last or self._expects or self._owner.is_draining
        data = answer.encode(event)
        if event["type"] == _START:
            # It waits for the first piece of the body. An application can send it only once, so
            # this needs no checkpoint.
            return
        if not answer.is_complete:
            if data and not await self._owner.send(data):
                raise ClientGone("the client is gone")
            await trio.lowlevel.checkpoint()
            return
        # Before it is sent: who has read the end of the answer may leave.
        self.disconnect.event = {"type": _GONE_EVENT}
        is_sent = await self._owner.send(data)
        self._news.wake()
        if not is_sent:
            raise ClientGone("the client is gone")
