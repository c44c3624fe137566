"""One HTTP request while it is served: its body, its answer, and how it is refused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from trimcp.errors import FORBIDDEN, INVALID_REQUEST, LIMIT_EXCEEDED, SHUTTING_DOWN
from trimcp.protocol import encode_failure
from trimcp.protocol.http import (
    EVENT_STREAM,
    JSON,
    Headers,
    encode_comment,
    encode_event,
)
from trimcp.transports import Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trimcp.limits import Limits
    from trimcp.protocol import Request
    from trimcp.runtime import Denied, HttpRequest, Serving

    from ._asgi import Receive, Send

__all__ = [
    "Refused",
    "RequestBody",
    "Response",
    "Visit",
    "no_room",
    "refused_as",
]

# -- refusing ---------------------------------------------------------------------------------

_CODES: Final = {
    403: FORBIDDEN,
    408: LIMIT_EXCEEDED,
    413: LIMIT_EXCEEDED,
    503: SHUTTING_DOWN,
}


class Refused(Exception):
    """The request is answered with a status; its body is an error response without an id.

    Args:
        status: The HTTP status.
        message: One sentence.
        headers: Further headers of the answer.
        code: The error code, if it does not follow from the status.
        data: More about the error, as a JSON value.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        code: int | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.code = _CODES.get(status, INVALID_REQUEST) if code is None else code
        self.data = data

    @property
    def body(self) -> bytes:
        """The error response."""
        return encode_failure(None, self.code, self.message, self.data, omit_id=True)


def no_room() -> Refused:
    """The refusal of a request whose body exceeds the budget for held bytes."""
    message = "too much is held for clients at the moment: try again later"
    return Refused(503, message, headers={"retry-after": "1"}, code=LIMIT_EXCEEDED)


def refused_as(denied: Denied) -> Refused:
    """What is answered to a client that was denied something."""
    return Refused(denied.status, denied.message, headers=denied.headers, data=denied.data)


# -- the body ---------------------------------------------------------------------------------

#: Seconds and bytes for which the rest of a refused body is read: if the connection were closed at
#: once, its sender could not read the answer.
_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 4 * 1024 * 1024

#: The maximum number of pieces that are taken without a checkpoint.
_PIECES: Final = 64

_DISCONNECT: Final = "http.disconnect"

#: Seconds between two checks whether the client is gone, if middleware repeats the body.
_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 1.0


#: Counts nothing, for a body that nobody reads.
_NO_BUDGET: Final = Budget()


class RequestBody:
    """A body that is being received.

    Args:
        receive: The ASGI callable.
        is_here: Whether it gives the whole body without waiting.
    """

    def __init__(self, receive: Receive, *, is_here: bool = False) -> None:
        self._receive = receive
        self._is_here = is_here
        self._is_read = False
        self._pieces = 0
        self._budget = _NO_BUDGET
        self._held = 0

    async def read(self, headers: Headers, limits: Limits, budget: Budget) -> bytes:
        """The whole body, which is held until `release`.

        Args:
            headers: The request's headers.
            limits: `message_bytes` and `body_seconds` are used.
            budget: Counts the bytes that have been received.

        Raises:
            Refused: It is too long (413), takes too long (408), or there is no room for it (503).
            ConnectionError: The client went away before it was complete.
        """
        limit = limits.message_bytes
        declared = _declared_size(headers)
        if declared > limit:
            raise Refused(413, f"the body is longer than {limit} bytes")
        if declared > budget.room:
            raise no_room()
        self._budget = budget
        if self._is_here:
            return await self._read(limit)
        with trio.move_on_after(limits.body_seconds):
            return await self._read(limit)
        raise Refused(408, f"the body took longer than {limits.body_seconds:g} s")

    async def _read(self, limit: int) -> bytes:
        """Read the body into one growing buffer, since there may be very many pieces."""
        body: bytes | bytearray = b""
        while not self._is_read:
            piece = await self._next()
            if self._held + len(piece) > limit:
                raise Refused(413, f"the body is longer than {limit} bytes")
            if not self._budget.take(len(piece)):
                raise no_room()
            self._held += len(piece)
            if not body:
                body = piece
                continue
            if isinstance(body, bytes):
                body = bytearray(body)
            body += piece
        return bytes(body)

    def release(self) -> None:
        """Stop counting the body against the budget."""
        self._budget.give(self._held)
        self._held = 0

    async def _next(self) -> bytes:
        event = await self._receive()
        if event["type"] == _DISCONNECT:
            raise ConnectionResetError("the client went away")
        self._is_read = not event.get("more_body", False)
        piece: bytes = event.get("body", b"")
        self._pieces += 1
        if not self._is_read and (not piece or self._pieces % _PIECES == 0):
            # Middleware that has read the body already returns without waiting, and may never end.
            await trio.lowlevel.checkpoint()
        return piece

    async def wait_gone(self) -> None:
        """Wait until the client is gone, or its answer is complete.

        Middleware may repeat the body instead, once or forever, and without waiting. So `receive`
        is called again after growing pauses.
        """
        pause = 0.0
        while (await self._receive())["type"] != _DISCONNECT:
            await trio.sleep(pause)
            pause = min(2 * pause + _FIRST_PAUSE, _LONGEST_PAUSE)

    async def linger(self) -> None:
        """Read and discard the rest of the body, within bounds. Raises ConnectionError."""
        size = 0
        with trio.move_on_after(_LINGER_SECONDS):
            while not self._is_read and size < _LINGER_BYTES:
                size += len(await self._next())


def _declared_size(headers: Headers) -> int:
    size = headers.get("content-length", "0")
    return int(size) if size.isascii() and size.isdigit() else 0


# -- the answer -------------------------------------------------------------------------------

_STREAM_HEADERS: Final = {
    "content-type": EVENT_STREAM,
    "cache-control": "no-cache, no-transform",
    # Otherwise nginx would hold events back to fill its buffer.
    "x-accel-buffering": "no",
}

_JSON_HEADERS: Final = {"content-type": JSON}

_Event: TypeAlias = "dict[str, object]"


def _encoded(name: str, text: str) -> tuple[bytes, bytes]:
    return name.encode("latin-1"), text.encode("latin-1")


def _piece(data: bytes, *, more: bool) -> _Event:
    return {"type": "http.response.body", "body": data, "more_body": more}


#: The headers that nearly every answer has, encoded.
_PAIRS: Final = {
    each: _encoded(*each) for each in (*_JSON_HEADERS.items(), *_STREAM_HEADERS.items())
}

#: Statuses of answers that end with their head (RFC 9110, 8.6).
_WITHOUT_CONTENT: Final = (204, 304)


class Response:
    """One answer: a whole body, or an event stream that opens with its first event.

    Sending waits while the client reads slowly. If the client is gone, nothing is sent and nothing
    is raised; the task that waits for the client's end handles it.

    Args:
        send: The ASGI callable.
        headers: Headers of every answer.

    Attributes:
        has_begun: Whether the status is decided.
        status: The status; None before it is sent.
        about: What the access log says of the request's body.
        is_stream: Whether it is a stream of events.
        has_ended: Whether the answer is complete.
        last_sent: When something was sent last in a stream; at first, when this object was made.
        is_sending: Whether something is being sent, or waits to be sent.
    """

    def __init__(self, send: Send, headers: Mapping[str, str] | None = None) -> None:
        self.headers = dict(headers or {})
        self.has_begun = False
        self.status: int | None = None
        self.about = ""
        self.is_stream = False
        self.has_ended = False
        self.last_sent = trio.current_time()
        self.is_sending = False
        self._send = send
        self._turn: trio.Lock | None = None

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
            more: Whether the answer stays open; the caller then calls `end`.
        """
        given = {**(headers or {}), "content-length": str(len(body))}
        if status in _WITHOUT_CONTENT:
            body = b""
            del given["content-length"]
        self.has_begun = True
        self.has_ended = not more
        await self._pass_on(self._start(status, given), _piece(body, more=more))

    async def json(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        more: bool = False,
    ) -> None:
        """Answer with one JSON text."""
        given = {**_JSON_HEADERS, **headers} if headers else _JSON_HEADERS
        await self.whole(status, body, given, more=more)

    async def event(self, data: bytes, *, id: str | None = None, retry: int | None = None) -> None:
        """Send one event."""
        await self.write(encode_event(data, id=id, retry=retry))

    async def comment(self) -> None:
        """Send a comment, which keeps the connection alive, unless the answer is complete."""
        await self.write(encode_comment())

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Send a piece of the stream, and open it if necessary; does nothing after its end."""
        if self._turn is None:
            # Most answers are whole, and need none.
            self._turn = trio.Lock()
        async with self._turn:
            if self.has_ended:
                return
            self.has_ended = not more
            if not self.has_begun:
                self.has_begun = self.is_stream = True
                await self._pass_on(self._start(200, _STREAM_HEADERS))
            await self._pass_on(_piece(data, more=more))
            self.last_sent = trio.current_time()

    async def end(self) -> None:
        """End the answer."""
        await self.write(b"", more=False)

    def _start(self, status: int, headers: Mapping[str, str]) -> _Event:
        self.status = status
        together = {**self.headers, **headers} if self.headers else headers
        pairs = [_PAIRS.get(each) or _encoded(*each) for each in together.items()]
        return {"type": "http.response.start", "status": status, "headers": pairs}

    async def _pass_on(self, *events: _Event) -> None:
        self.is_sending = True
        try:
            for event in events:
                await self._send(event)
        except OSError:
            # In ASGI this means that the client is gone.
            self.has_ended = True
        finally:
            self.is_sending = False


# -- the request ------------------------------------------------------------------------------


class Visit:
    """A client's HTTP request.

    Args:
        application: The application that serves it.
        http: The request without its body.
        body: Its body.
        response: The answer.

    Attributes:
        at_drain: Called at shutdown, to end what would otherwise never end.
        deadline: When everything that still runs for it should be cancelled.
        lent: A scope in which its task is already, and which its handler may use; see `Disconnect`.
        keeper: The object that sends keepalive comments in its answer, or None.
        at_silence: Called when such a comment is due, in place of sending it; or None.
    """

    def __init__(
        self, application: Serving, http: HttpRequest, body: RequestBody, response: Response
    ) -> None:
        self.application = application
        self.http = http
        self.response = response
        self.at_drain: set[Callable[[], None]] = set()
        self.deadline = math.inf
        self.scope: trio.CancelScope | None = None
        self.lent: trio.CancelScope | None = None
        self.keeper: object = None
        self.at_silence: Callable[[], None] | None = None
        self._body = body

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.http.method

    @property
    def headers(self) -> Headers:
        """The request's headers."""
        return self.http.headers

    @property
    def limits(self) -> Limits:
        """The server's bounds."""
        return self.application.limits

    @property
    def owner(self) -> object:
        """To whom belongs what this request begins; None where the server does not ask."""
        principal = self.http.principal
        return None if principal is None else principal.identity

    def check_scopes(self, *requests: Request) -> None:
        """Whether the caller's token allows these, before the answer begins. Raises Denied."""
        self.application.check_scopes(self.http, requests)

    def drain(self, deadline: float) -> None:
        """Set the deadline, since the server is shutting down."""
        self.deadline = deadline
        if self.scope is not None:
            self.scope.deadline = min(self.scope.deadline, deadline)
        for end in list(self.at_drain):
            end()

    async def body(self) -> bytes:
        """The whole body. Raises Refused, ConnectionError."""
        return await self._body.read(self.headers, self.limits, self.application.budget)

    def release_body(self) -> None:
        """Stop counting the body, since it is not held any more, or is counted elsewhere."""
        self._body.release()

    async def wait_gone(self, keepalive: float = math.inf) -> None:
        """Wait until the client is gone before its answer is complete; send keepalive comments.

        ASGI servers send the same event when the answer is complete. In that case this never
        returns, so that the task that is ending the answer is not cancelled.

        Args:
            keepalive: Seconds of silence after which a comment is sent, which opens the stream.
        """
        is_gone = False
        while not is_gone:
            with trio.move_on_after(keepalive):
                await self._body.wait_gone()
                is_gone = True
            if not is_gone:
                await self.response.comment()
        if self.response.has_ended:
            await trio.sleep_forever()
