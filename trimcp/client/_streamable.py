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
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp._groups import unwrapping
from trimcp.errors import ConnectionLost, HTTPStatusError, MCPError, ProtocolViolation, RequestError
from trimcp.protocol import Era
from trimcp.protocol.http import JSON, LAST_EVENT_ID, PROTOCOL_VERSION, SESSION_ID

from ._http import HTTPPeer, message_of, status_error
from ._mirror import HeaderMirror

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from msgspec import Raw

    from trimcp.protocol import Call
    from trimcp.runtime import ProgressCallback
    from trimcp.transports import HTTPAnswer

__all__ = ["StreamablePeer"]

logger = logging.getLogger("trimcp.client")

#: Seconds before a stream is asked for again, unless the server says how many.
_RECONNECT_SECONDS: Final = 1.0

#: Seconds for the answer to the request for the session's own stream.
_STREAM_SECONDS: Final = 1.0

#: Attempts in a row that bring nothing, after which an answer is given up.
_MOST_ATTEMPTS: Final = 5

#: What such attempts add to the delay is doubled up to here.
_LONGEST_BACKOFF: Final = 60.0


@attrs.define
class Cursor:
    """Where a stream of events has been read to.

    Attributes:
        last_id: The id to go on from; empty if the server gave none.
        delay: Seconds to wait before asking again.
        barren: Attempts in a row that brought nothing.
    """

    last_id: str = ""
    delay: float = _RECONNECT_SECONDS
    barren: int = 0

    def note(self, answer: HTTPAnswer) -> None:
        """Remember how far an answer has been read."""
        if answer.events.last_id != self.last_id and answer.events.last_id:
            self.last_id = answer.events.last_id
            self.barren = 0
        if answer.events.retry is not None:
            self.delay = answer.events.retry / 1000

    async def wait(self) -> None:
        """Wait before asking again; longer, the more attempts have brought nothing."""
        backoff = _RECONNECT_SECONDS * (2 ** min(self.barren, 10) - 1)
        await trio.sleep(self.delay + min(backoff, _LONGEST_BACKOFF))
        self.barren += 1

    @property
    def headers(self) -> dict[str, str]:
        """What asks the server to go on from here."""
        return {LAST_EVENT_ID: self.last_id} if self.last_id else {}


class StreamablePeer(HTTPPeer):
    """A server that speaks Streamable HTTP, of either era.

    Attributes:
        mirror: Makes the headers of requests.
        renew: Begins another session when the server has forgotten this one.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.mirror = HeaderMirror()
        self.renew: Callable[[], Awaitable[None]] | None = None
        self._session_id: str | None = None
        self._listening = trio.CancelScope()
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
        if self._renewing.locked() and not self._is_renewing:
            async with self._renewing:
                pass  # between two sessions there is none that a request could be sent in
        session_id = self._session_id
        try:
            return await super().request(method, params, **options)
        except (HTTPStatusError, RequestError) as error:
            status = error.status if isinstance(error, HTTPStatusError) else error.http_status
            if status != 404 or session_id is None or self._is_renewing:
                raise
        await self._renew(session_id)
        return await super().request(method, params, **options)

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
            self._listening.cancel(reason="the session is gone")
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
        cursor = Cursor()
        try:
            try:
                async with self._link.post(data, headers) as answer:
                    await self._take(call, answer, cursor)
            except ConnectionLost:
                if not self._may_resume(call, cursor):
                    raise
            while call.is_open:
                await self._resume(call, cursor)
        except MCPError as error:
            call.owner.settle(error)

    async def _take(self, call: Call, answer: HTTPAnswer, cursor: Cursor) -> None:
        """Pass on what came in answer to a request, up to its answer."""
        if not answer.is_success:
            await self._refused(call, answer)
            return
        if call.method == "initialize":
            self._session_id = answer.headers.get(SESSION_ID)
        if answer.is_stream:
            await self._follow(call, answer, cursor)
        elif answer.media_type == JSON:
            self._receive(await answer.read(), call)
            if call.is_open:
                raise ProtocolViolation("what the server answered is not about the request")
        else:
            said = answer.media_type or "no content"
            raise ProtocolViolation(f"the server answered with HTTP {answer.status} and {said}")

    async def _follow(self, call: Call, answer: HTTPAnswer, cursor: Cursor) -> None:
        """Read events until the call is answered or the stream ends."""
        try:
            while call.is_open and (events := await answer.take()):
                cursor.barren = 0
                for event in events:
                    self._receive(message_of(event), call)
                    await call.owner.deliver()
        finally:
            cursor.note(answer)

    def _may_resume(self, call: Call, cursor: Cursor) -> bool:
        return bool(cursor.last_id) and call.terms.revision.era is Era.HANDSHAKE

    async def _resume(self, call: Call, cursor: Cursor) -> None:
        """Go on where the stream of an answer has ended, if the server offers that.

        Raises:
            ConnectionLost: It does not, or it brings nothing.
        """
        if not self._may_resume(call, cursor) or cursor.barren >= _MOST_ATTEMPTS:
            raise ConnectionLost("the stream ended before the answer") from EOFError()
        await cursor.wait()
        try:
            async with self._link.get(self._headers() | cursor.headers) as answer:
                if not answer.is_stream:
                    raise status_error(answer, await answer.read())
                await self._follow(call, answer, cursor)
        except HTTPStatusError as error:
            raise ConnectionLost("the stream of the answer cannot be resumed") from error
        except ConnectionLost as error:
            logger.debug("resuming: %s", error)

    # -- the session ------------------------------------------------------------------------

    async def listen(self) -> None:
        """Open the session's own stream, if the server offers one, and keep it open.

        Returns once the server has answered, so that it may ask and tell from now on; but one
        that answers only when it has something to say is not waited for.
        """
        self._listening = trio.CancelScope()
        answered = trio.Event()
        self.start_soon(self._listen, self._listening, answered)
        with trio.move_on_after(_STREAM_SECONDS):
            await answered.wait()

    async def _listen(self, scope: trio.CancelScope, answered: trio.Event) -> None:
        cursor = Cursor()
        with scope:
            while await self._listen_once(cursor, answered):
                answered.set()
                await cursor.wait()
        answered.set()

    async def _listen_once(self, cursor: Cursor, answered: trio.Event) -> bool:
        """Read the session's stream to its end; whether it is worth asking for again."""
        try:
            async with self._link.get(self._headers() | cursor.headers) as answer:
                if not answer.is_stream:
                    logger.debug("the server offers no stream: HTTP status %d", answer.status)
                    return False
                answered.set()
                try:
                    while events := await answer.take():
                        cursor.barren = 0
                        for event in events:
                            self._receive(message_of(event))
                finally:
                    cursor.note(answer)
        except ConnectionLost as error:
            logger.debug("the session's stream: %s", error)
        except ProtocolViolation as error:
            logger.warning("the session's stream: %s", error)
            return False
        return True

    async def flush(self) -> None:
        """Wait until everything has been sent, and give the session back."""
        self._listening.cancel(reason="the client was closed")
        await super().flush()
        if self._session_id is None:
            return
        with contextlib.suppress(MCPError):
            status = await self._link.delete(self._headers())
            logger.debug("the session was given back: HTTP status %d", status)
