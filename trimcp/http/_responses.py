"""The answer to one HTTP request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trimcp.protocol.http import EVENT_STREAM, JSON, encode_comment, encode_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._asgi import Send

__all__ = ["Response"]

_STREAM_HEADERS: Final = {
    "content-type": EVENT_STREAM,
    "cache-control": "no-cache, no-transform",
    # nginx would hold events back to fill its buffer.
    "x-accel-buffering": "no",
}

#: Statuses of answers that end with their head (RFC 9110, 8.6).
_WITHOUT_CONTENT: Final = (204, 304)


class Response:
    """One answer: a whole body, or a stream of events that opens with the first of them.

    Sending waits while the client is slow to read. To a client that is gone nothing is sent, and
    nothing is raised: whoever watches for its end acts on it.

    Args:
        send: The ASGI callable.
        headers: Headers of every answer.

    Attributes:
        has_begun: Whether the status is decided.
        is_stream: Whether it is a stream of events.
        has_ended: Whether all has been said.
        last_sent: When something was sent last, or else when this began.
        is_sending: Whether something is being sent, or waits for that.
    """

    def __init__(self, send: Send, headers: Mapping[str, str] | None = None) -> None:
        self.headers = dict(headers or {})
        self.has_begun = False
        self.is_stream = False
        self.has_ended = False
        self.last_sent = trio.current_time()
        self.is_sending = False
        self._send = send
        self._turn = trio.Lock()

    async def whole(
        self,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        more: bool = False,
    ) -> None:
        """Answer with a status and a body.

        Args:
            status: The HTTP status.
            body: The whole body.
            headers: Further headers.
            more: Whether the request is not to be forgotten yet; `end` follows then.
        """
        given = {**(headers or {}), "content-length": str(len(body))}
        if status in _WITHOUT_CONTENT:
            body = b""
            del given["content-length"]
        self.has_begun = True
        self.has_ended = not more
        await self._begin(status, given)
        await self._put(body, more=more)

    async def json(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        more: bool = False,
    ) -> None:
        """Answer with one JSON text."""
        await self.whole(status, body, {"content-type": JSON, **(headers or {})}, more=more)

    async def event(self, data: bytes, *, id: str | None = None, retry: int | None = None) -> None:
        """Send one event."""
        await self.write(encode_event(data, id=id, retry=retry))

    async def comment(self) -> None:
        """Send a sign of life, unless the answer is on its way anyway."""
        await self.write(encode_comment())

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Send a piece of the stream, and open it if need be; nothing once all has been said."""
        async with self._turn:
            if self.has_ended:
                return
            self.has_ended = not more
            if not self.has_begun:
                self.has_begun = self.is_stream = True
                await self._begin(200, _STREAM_HEADERS)
            await self._put(data, more=more)

    async def end(self) -> None:
        """End the answer."""
        await self.write(b"", more=False)

    async def _begin(self, status: int, headers: Mapping[str, str]) -> None:
        pairs = {**self.headers, **headers}
        encoded = [(name.encode("latin-1"), text.encode("latin-1")) for name, text in pairs.items()]
        await self._pass_on({"type": "http.response.start", "status": status, "headers": encoded})

    async def _put(self, data: bytes, *, more: bool) -> None:
        await self._pass_on({"type": "http.response.body", "body": data, "more_body": more})

    async def _pass_on(self, event: dict[str, object]) -> None:
        self.is_sending = True
        try:
            await self._send(event)
        except OSError:
            # ASGI's way to say that the client is gone.
            self.has_ended = True
        finally:
            self.is_sending = False
            self.last_sent = trio.current_time()
