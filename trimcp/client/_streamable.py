"""Streamable HTTP: every request is a POST, and its answer is read by the task that asked.

In the stateless era nothing else is read, and leaving a call closes its stream, which cancels the
call. In the handshake era there is a session around the calls: an id, a stream for messages that
the server sends unasked, and streams that can be resumed.

Specification: 2026-07-28, Streamable HTTP; 2025-11-25, Streamable HTTP.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any

import trio

from trimcp._groups import unwrapping
from trimcp.errors import (
    METHOD_NOT_FOUND,
    ConnectionLost,
    HTTPStatusError,
    MCPError,
    ProtocolViolation,
    RequestError,
)
from trimcp.protocol import Era, Ignored
from trimcp.protocol.http import JSON, PROTOCOL_VERSION
from trimcp.transports import Oversized

from ._http import HTTPPeer, message_of, status_error
from ._mirror import HeaderMirror
from ._reconnection import Reconnection
from ._session import HTTPSession
from ._standing import StandingStream

if TYPE_CHECKING:
    from msgspec import Raw

    from trimcp.protocol import Call
    from trimcp.runtime import ProgressCallback
    from trimcp.transports import HTTPAnswer, Incoming

__all__ = ["StreamablePeer"]

logger = logging.getLogger("trimcp.client")


class StreamablePeer(HTTPPeer):
    """A server that speaks Streamable HTTP, of either era.

    Attributes:
        mirror: Makes the headers of requests.
        session: The session of the messages in the handshake era.
        standing: The stream on which the server of a session sends messages unasked.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.mirror = HeaderMirror()
        self.session = HTTPSession()
        self.standing = StandingStream(
            self._link, self._headers, self._receive, self.session.renew, self.life.try_start
        )

    async def _read(self) -> None:
        """Nothing is read here: each answer is read by the task that made the request."""
        await trio.sleep_forever()

    # -- requests -------------------------------------------------------------------------

    async def request(self, method: str, params: Any, **options: Any) -> tuple[Call, Raw]:
        """Make a request; repeat it in a new session if the server has forgotten the session.

        Raises:
            HTTPStatusError: The server answered with a status and no message.
        """
        session_id = await self.session.wait()
        try:
            return await super().request(method, params, **options)
        except (HTTPStatusError, RequestError) as error:
            status = error.status if isinstance(error, HTTPStatusError) else error.http_status
            if status != 404 or session_id is None or self.session.is_renewing:
                raise
            refusal = error
        await self.session.renew(session_id)
        if isinstance(refusal, RequestError) and refusal.code == METHOD_NOT_FOUND:
            # The error may come from a handler, which must not run twice.
            raise refusal
        return await super().request(method, params, **options)

    async def send(self, data: bytes | None) -> None:
        """As `HTTPPeer.send`; repeated if the server has forgotten the session meanwhile."""
        session_id = await self.session.wait()
        await super().send(data)
        if session_id not in (None, self.session.id):
            await super().send(data)

    async def _deliver(self, data: bytes) -> int | None:
        session_id = self.session.id
        status = await super()._deliver(data)
        if status == 404 and session_id is not None and not self.session.is_renewing:
            try:
                await self.session.renew(session_id)
            except MCPError as error:
                logger.warning("the session is gone, and another cannot be begun: %s", error)
        return status

    async def _carry(
        self, call: Call, data: bytes, timeout: float, on_progress: ProgressCallback | None
    ) -> Raw:
        pending = call.owner
        # In a session the end of a call needs a message; otherwise the closed stream is enough.
        pending.sent = call.terms.revision.era is Era.HANDSHAKE
        pending.paced = True
        read = functools.partial(self._converse, call, data, self._headers_of(call))
        if on_progress is None:
            return await pending.run(timeout, read)  # type: ignore[no-any-return]
        with unwrapping():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                raw: Raw = await pending.wait(timeout, on_progress)
                nursery.cancel_scope.cancel(reason="answered")
        return raw

    def _headers_of(self, call: Call) -> dict[str, str]:
        if call.terms.revision.mirrored_headers:
            return self.mirror.headers(call)
        return {} if call.method == "initialize" else self._headers()

    def _headers(self) -> dict[str, str]:
        headers = self.session.headers
        terms = self.connection.terms
        if terms is not None and terms.revision.version_header:
            headers[PROTOCOL_VERSION] = terms.revision.date
        return headers

    async def _converse(self, call: Call, data: bytes, headers: dict[str, str]) -> None:
        """Send a request and read until it is answered. An error is an outcome too."""
        cursor = Reconnection()
        try:
            try:
                async with self._slot(call), self._link.post(data, headers) as answer:
                    await self._take(call, answer, cursor)
            except ConnectionLost:
                if not self._may_resume(call, cursor):
                    raise
            while call.is_open:
                await self._resume(call, cursor)
        except MCPError as error:
            call.owner.settle(error)

    async def _take(self, call: Call, answer: HTTPAnswer, cursor: Reconnection) -> None:
        """Pass on the messages in the answer to a request, up to the response."""
        if not answer.is_success:
            await self._refused(call, answer)
            return
        if call.method == "initialize":
            self.session.take_id(answer)
        if answer.is_stream:
            await self._follow(call, answer, cursor)
        elif answer.media_type == JSON:
            self._receive(await answer.read(), call)
            if call.is_open:
                raise ProtocolViolation("the server's answer is not about the request")
        else:
            said = answer.media_type or "no content"
            raise ProtocolViolation(f"the server answered with HTTP {answer.status} and {said}")

    async def _follow(self, call: Call, answer: HTTPAnswer, cursor: Reconnection) -> None:
        """Read events until the call is answered or the stream ends."""
        cursor.opened()
        stray = b""
        try:
            while call.is_open and (events := await answer.take()):
                cursor.brought()
                for event in events:
                    stray = self._take_event(message_of(event), call) or stray
                    await call.owner.deliver()
        finally:
            cursor.ended(answer)
        if stray and call.is_open and not self._may_resume(call, cursor):
            # There was nothing else, so it was meant as the answer.
            self._receive(stray, call)

    def _take_event(self, message: Incoming, call: Call) -> bytes:
        """Take one event of an answer's stream; return it if it names no request.

        It may belong to anything then, and the answer may still arrive.
        """
        if isinstance(message, Oversized):
            self._receive(message, call)
            return b""
        events = self.connection.receive(message) if message.strip() else []
        self._dispatch(events)
        is_stray = any(isinstance(event, Ignored) and event.garbage for event in events)
        return message if is_stray else b""

    def _may_resume(self, call: Call, cursor: Reconnection) -> bool:
        return bool(cursor.headers) and call.terms.revision.era is Era.HANDSHAKE

    async def _resume(self, call: Call, cursor: Reconnection) -> None:
        """Resume the stream of an answer where it ended, if the server offers that.

        Raises:
            ConnectionLost: It does not, or resuming brings no events.
        """
        if not self._may_resume(call, cursor) or cursor.is_hopeless:
            raise ConnectionLost("the stream ended before the answer") from EOFError()
        await cursor.wait()
        session_id = self.session.id
        try:
            async with self._link.get(self._headers() | cursor.headers) as answer:
                if answer.is_stream:
                    await self._follow(call, answer, cursor)
                    return
                refusal = status_error(answer, await answer.read())
        except ConnectionLost as error:
            logger.debug("resuming: %s", error)
            return
        if cursor.may_follow(refusal):
            return
        if refusal.status == 404 and session_id is not None:
            await self.session.renew(session_id)
        raise ConnectionLost("the stream of the answer cannot be resumed") from refusal

    # -- its end and its silence ------------------------------------------------------------

    def break_off(self, reason: str) -> None:
        self.standing.break_off()

    async def wait_lost(self) -> ConnectionLost:
        """Wait until the server's messages cannot be received any more, or not soon."""
        return await self.standing.wait_deaf()

    async def flush(self) -> None:
        """Wait until everything has been sent, and end the session."""
        self.standing.close()
        await super().flush()
        if self.session.id is None:
            return
        with contextlib.suppress(MCPError):
            status = await self._link.delete(self._headers())
            logger.debug("the session was deleted: HTTP status %d", status)
