"""Streamable HTTP: every request is a POST, and its answer is read by the task that asked.

In the stateless era that is all: nothing is read beside the calls, and leaving a call closes its
stream, which cancels it. In the handshake era there is a session around the calls: an id, a
stream for what the server says by itself, and streams that can be resumed.

Specification: 2026-07-28, Streamable HTTP; 2025-11-25, Streamable HTTP.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from typing import TYPE_CHECKING, Any, Final

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
from trimcp.protocol import Era
from trimcp.protocol.http import JSON, PROTOCOL_VERSION, SESSION_ID

from ._http import HTTPPeer, message_of, status_error
from ._mirror import HeaderMirror
from ._reconnection import Reconnection, is_temporary
from ._standing import StandingStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Raw

    from trimcp.protocol import Call
    from trimcp.runtime import ProgressCallback
    from trimcp.transports import HTTPAnswer

__all__ = ["StreamablePeer"]

logger = logging.getLogger("trimcp.client")

#: What the id of a session may hold (2025-11-25, Session Management).
_SESSION_ID: Final = re.compile(r"[\x21-\x7e]+")


class StreamablePeer(HTTPPeer):
    """A server that speaks Streamable HTTP, of either era.

    Attributes:
        mirror: Makes the headers of requests.
        renew: Begins another session when the server has forgotten this one.
        standing: The stream on which the server of a session speaks by itself.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.mirror = HeaderMirror()
        self.renew: Callable[[], Awaitable[None]] | None = None
        self.standing = StandingStream(
            self._link, self._headers, self._receive, self._renew, self.life.start_soon
        )
        self._session_id: str | None = None
        self._renewing = trio.Lock()

    async def _read(self) -> None:
        """Whatever comes is read by who asked for it."""
        await trio.sleep_forever()

    # -- requests -------------------------------------------------------------------------

    async def request(self, method: str, params: Any, **options: Any) -> tuple[Call, Raw]:
        """As `Peer.request`; a session that the server has forgotten is begun anew, once.

        Raises:
            HTTPStatusError: The server answered with a status and no message.
        """
        await self._wait_for_session()
        session_id = self._session_id
        try:
            return await super().request(method, params, **options)
        except (HTTPStatusError, RequestError) as error:
            status = error.status if isinstance(error, HTTPStatusError) else error.http_status
            if status != 404 or session_id is None or self._is_renewing:
                raise
            refusal = error
        await self._renew(session_id)
        if isinstance(refusal, RequestError) and refusal.code == METHOD_NOT_FOUND:
            # It may be a handler's own word, and what has run must not run again.
            raise refusal
        return await super().request(method, params, **options)

    async def send(self, data: bytes | None) -> None:
        """As `HTTPPeer.send`; once more, if the server has forgotten the session meanwhile."""
        await self._wait_for_session()
        session_id = self._session_id
        await super().send(data)
        if session_id not in (None, self._session_id):
            await super().send(data)

    async def _deliver(self, data: bytes) -> int | None:
        session_id = self._session_id
        status = await super()._deliver(data)
        if status == 404 and session_id is not None and not self._is_renewing:
            try:
                await self._renew(session_id)
            except MCPError as error:
                logger.warning("the session is gone, and another cannot be begun: %s", error)
        return status

    async def _wait_for_session(self) -> None:
        """Between two sessions there is none in which anything could be sent."""
        if self._renewing.locked() and not self._is_renewing:
            async with self._renewing:
                pass

    @property
    def _is_renewing(self) -> bool:
        """Whether it is this task that is about to begin another session."""
        return self._renewing.statistics().owner is trio.lowlevel.current_task()

    async def _renew(self, lost: str) -> None:
        """Begin another session, unless a sibling has done so already."""
        async with self._renewing:
            if self._session_id != lost or self.renew is None:
                return
            logger.warning("the server has forgotten the session: beginning another one")
            self._session_id = None
            try:
                await self.renew()
            except BaseException:
                # The next request finds out again, and tries again.
                self._session_id = lost
                raise

    async def _carry(
        self, call: Call, data: bytes, timeout: float, on_progress: ProgressCallback | None
    ) -> Raw:
        pending = call.owner
        # A session must be told of a call's end; elsewhere the closed stream tells it.
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
        headers = {}
        if self._session_id is not None:
            headers[SESSION_ID] = self._session_id
        terms = self.connection.terms
        if terms is not None and terms.revision.version_header:
            headers[PROTOCOL_VERSION] = terms.revision.date
        return headers

    async def _converse(self, call: Call, data: bytes, headers: dict[str, str]) -> None:
        """Send a request and read until it is answered; an error is an outcome, too."""
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
        """Pass on what came in answer to a request, up to its answer."""
        if not answer.is_success:
            await self._refused(call, answer)
            return
        if call.method == "initialize":
            self._take_session_id(answer)
        if answer.is_stream:
            await self._follow(call, answer, cursor)
        elif answer.media_type == JSON:
            self._receive(await answer.read(), call)
            if call.is_open:
                raise ProtocolViolation("what the server answered is not about the request")
        else:
            said = answer.media_type or "no content"
            raise ProtocolViolation(f"the server answered with HTTP {answer.status} and {said}")

    async def _follow(self, call: Call, answer: HTTPAnswer, cursor: Reconnection) -> None:
        """Read events until the call is answered or the stream ends."""
        cursor.opened()
        try:
            while call.is_open and (events := await answer.take()):
                cursor.brought()
                for event in events:
                    self._receive(message_of(event), call)
                    await call.owner.deliver()
        finally:
            cursor.ended(answer)

    def _may_resume(self, call: Call, cursor: Reconnection) -> bool:
        return bool(cursor.headers) and call.terms.revision.era is Era.HANDSHAKE

    async def _resume(self, call: Call, cursor: Reconnection) -> None:
        """Go on where the stream of an answer has ended, if the server offers that.

        Raises:
            ConnectionLost: It does not, or it brings nothing.
        """
        if not self._may_resume(call, cursor) or cursor.is_hopeless:
            raise ConnectionLost("the stream ended before the answer") from EOFError()
        await cursor.wait()
        session_id = self._session_id
        try:
            async with self._link.get(self._headers() | cursor.headers) as answer:
                if answer.is_stream:
                    await self._follow(call, answer, cursor)
                    return
                refusal = status_error(answer, await answer.read())
        except ConnectionLost as error:
            logger.debug("resuming: %s", error)
            return
        if is_temporary(refusal.status):
            cursor.defer(refusal)
            return
        if refusal.status == 404 and session_id is not None:
            await self._renew(session_id)
        raise ConnectionLost("the stream of the answer cannot be resumed") from refusal

    # -- the session ------------------------------------------------------------------------

    def _take_session_id(self, answer: HTTPAnswer) -> None:
        """Remember the id of the session that an answer begins, if it has one.

        Raises:
            ProtocolViolation: It cannot be sent back.
        """
        found = answer.headers.get(SESSION_ID) or None
        if found is not None and not _SESSION_ID.fullmatch(found):
            raise ProtocolViolation(
                f"the server's session id holds more than visible ASCII: {found[:100]!a}"
            )
        self._session_id = found

    def break_off(self, reason: str) -> None:
        self.standing.break_off()

    async def wait_lost(self) -> ConnectionLost:
        """Wait until the server cannot be heard any more, or not soon."""
        return await self.standing.wait_deaf()

    async def flush(self) -> None:
        """Wait until everything has been sent, and give the session back."""
        self.standing.close()
        await super().flush()
        if self._session_id is None:
            return
        with contextlib.suppress(MCPError):
            status = await self._link.delete(self._headers())
            logger.debug("the session was given back: HTTP status %d", status)
