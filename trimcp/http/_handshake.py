"""The handshake era of Streamable HTTP: requests of a session, its streams, and its end.

Specification: 2025-11-25, 2025-06-18 and 2025-03-26, Transports (Streamable HTTP).
"""

from __future__ import annotations

import functools
import math
from itertools import islice
from typing import TYPE_CHECKING

import trio

from trimcp._groups import unwrapping
from trimcp.errors import INVALID_REQUEST
from trimcp.protocol import Batch, Notification, Request, encode_failure
from trimcp.protocol.http import (
    EVENT_STREAM,
    LAST_EVENT_ID,
    SESSION_ID,
    encode_comment,
    encode_event,
)

from ._asgi import disconnect_of
from ._content import check_accept
from ._keepalive import watch_sleep
from ._sessions import sessions_of
from ._stateless import answer_alone, revision_of, take_notification
from ._visits import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from trimcp.protocol import Message

    from ._sessions import HttpSession
    from ._settings import Settings
    from ._streams import EventStream
    from ._visits import Visit

__all__ = ["delete_session", "open_stream", "requests_in", "take_message"]


async def take_message(visit: Visit, message: Message | Batch, settings: Settings) -> None:
    """Answer a POST: `initialize` opens a session, anything else belongs to one.

    Raises:
        Refused: The version is not supported (400), or the session is missing (400) or unknown
            (404).
    """
    revision_of(visit)
    if not settings.sessions:
        await _take_alone(visit, message, settings)
        return
    if isinstance(message, Request) and message.method == "initialize" and not _names(visit):
        await _initialize(visit, message, settings)
        return
    session = _find(visit)
    if isinstance(message, Request) and message.method == "initialize":
        # On other transports it would end the session and begin another; here the id names this
        # one.
        flaw = "the session is already initialized: leave out its id to begin another"
        refusal = encode_failure(message.id, INVALID_REQUEST, flaw, None, omit_id=False)
        await visit.response.json(200, refusal)
        return
    if isinstance(message, Batch) and not (session.revision and session.revision.batches):
        raise Refused(400, "batches are not part of this protocol revision")
    if visit.http.principal is not None:
        visit.check_scopes(*requests_in(message, visit.limits.in_flight))
    session.enter()
    try:
        await _converse(visit, session, message, settings)
    finally:
        session.leave()


async def _take_alone(visit: Visit, message: Message | Batch, settings: Settings) -> None:
    if isinstance(message, Request):
        await answer_alone(visit, message, keepalive=settings.keepalive)
    elif isinstance(message, Batch):
        raise Refused(400, "batches need a session, and there are none here")
    elif isinstance(message, Notification):
        await take_notification(visit, message)
    else:
        await visit.response.whole(202)


async def _initialize(visit: Visit, message: Request, settings: Settings) -> None:
    sessions = sessions_of(visit.application)
    session = sessions.admit(settings, visit.owner)
    try:
        await _while_there(visit, session.wait_open)
        await _converse(visit, session, message, settings)
    finally:
        session.leave()
        if not session.has_begun:
            sessions.end(session)


def _names(visit: Visit) -> str | None:
    return visit.headers.get(SESSION_ID)


def _find(visit: Visit) -> HttpSession:
    """The session that a request names. Raises Refused."""
    id = _names(visit)
    if id is None:
        raise Refused(400, f"{SESSION_ID} is missing: begin with initialize")
    return sessions_of(visit.application).find(id, visit.owner)


async def _converse(
    visit: Visit, session: HttpSession, message: Message | Batch, settings: Settings
) -> None:
    """Pass a message on, and answer with the messages about it."""
    side, stream = session.open_way(visit)
    with stream.reading() as reader:
        # From now on the requests hold the params, and the whole body is not held any more.
        visit.release_body()
        is_at_work = side.take(message)
        if not is_at_work and stream.is_empty:
            await visit.response.whole(202)
            return
        if not is_at_work and not _asks(message, visit.limits.in_flight):
            events = await stream.take_events(reader) or []
            with stream.releasing(events):
                await visit.response.json(400, events[0][1])
            return
        await _Telling(visit, session, stream, reader).run(settings.keepalive)


def _asks(message: Message | Batch, most: int) -> bool:
    """Whether the message contains a request, so that an error counts as its answer.

    In a batch only as many messages are read as a batch may have.
    """
    return any(True for _ in requests_in(message, most))


def requests_in(message: Message | Batch, most: int) -> Iterator[Request]:
    """The requests among the messages of a POST, of a batch among so many."""
    messages = islice(message.messages(), most) if isinstance(message, Batch) else [message]
    return (each for each in messages if isinstance(each, Request))


async def open_stream(visit: Visit, settings: Settings) -> None:
    """Answer a GET: with the session's own stream, or one that was interrupted.

    Raises:
        Refused: The session is missing (400) or unknown (404), or the missed events are not kept
            any more (400).
    """
    check_accept(visit.headers, EVENT_STREAM)
    revision_of(visit)
    session = _find(visit)
    last = visit.headers.get(LAST_EVENT_ID)
    stream: EventStream | None = session.standing
    missed: list[tuple[str, bytes]] = []
    if last is not None:
        stream, missed = session.resume(last)
    session.enter()
    try:
        if stream is None:
            events = b"".join(encode_event(data, id=id) for id, data in missed)
            await visit.response.write(events, more=False)
            return
        with stream.reading(missed) as reader:
            telling = _Telling(visit, session, stream, reader, last)
            if visit.http.principal is not None:
                # Its client asks for the rest with another token.
                telling.expires = trio.current_time() + visit.http.principal.seconds_left
            await telling.open()
            await telling.run(settings.keepalive)
    finally:
        session.leave()


async def delete_session(visit: Visit) -> None:
    """Answer a DELETE: the session ends. Raises Refused."""
    revision_of(visit)
    sessions_of(visit.application).end(_find(visit))
    await visit.response.whole(204)


async def _while_there(visit: Visit, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work of a response, at most until the client is gone.

    Raises:
        ConnectionError: The client went away.
    """
    at_gone = disconnect_of(visit.http.scope)
    with trio.CancelScope() as scope:
        leave = functools.partial(scope.cancel, reason="the client went away")
        if at_gone is None:
            await _do_watched(visit, work, leave)
            return
        # The same without a separate task and nursery, which cost as much as a small handler.
        at_gone.add(leave)
        try:
            await work()
        finally:
            at_gone.discard(leave)
    if scope.cancelled_caught:
        raise ConnectionResetError("the client went away")


async def _do_watched(
    visit: Visit, work: Callable[[], Awaitable[None]], leave: Callable[[], None]
) -> None:
    """Do the work beside a task that waits until the client is gone."""
    with unwrapping():
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await visit.wait_gone()
                leave()

            nursery.start_soon(watch)
            await work()
            nursery.cancel_scope.cancel(reason="done")


class _Telling:
    """One response that takes what is said on a stream.

    A client that goes away ends the response, but not the handlers.

    Args:
        visit: The request.
        session: Its session.
        stream: What is said.
        reader: See `EventStream.reading`.
        last: The id of the last event that the client has, if it resumes.

    Attributes:
        expires: When it ends although more will be said.
    """

    def __init__(
        self,
        visit: Visit,
        session: HttpSession,
        stream: EventStream,
        reader: object,
        last: str | None = None,
    ) -> None:
        self.expires = math.inf
        self._last = last
        self._visit = visit
        self._response = visit.response
        self._session = session
        self._stream = stream
        self._reader = reader
        self._is_abandoned = False
        self._keepalive = math.inf

    async def run(self, keepalive: float) -> None:
        """Send all events, then end the response.

        Args:
            keepalive: Seconds of silence after which a comment is sent.

        Raises:
            ConnectionError: The client went away.
        """
        visit = self._visit
        if self._stream is self._session.standing:
            visit.at_drain.add(self._stream.dismiss)
        at_gone = disconnect_of(visit.http.scope)
        if at_gone is None:
            self._keepalive = keepalive
            await _while_there(visit, self._tell_all)
            return
        # Our own hosting ends what is being sent to a client that is gone, so no scope is needed.
        watch_sleep(visit, keepalive, self._stream.note_silence)
        at_gone.add(self._abandon)
        try:
            await self._tell_all()
        finally:
            at_gone.discard(self._abandon)

    def _abandon(self) -> None:
        self._is_abandoned = True
        self._stream.leave(self._reader)

    async def _tell_all(self) -> None:
        while True:
            events = await self._next_events()
            if events is None:
                await self._stay_awake()
            elif not events:
                break
            elif self._is_whole_answer(events):
                with self._stream.releasing(events):
                    await self._answer(events[0][1])
                return
            else:
                await self._tell(events)
        if self._is_abandoned:
            raise ConnectionResetError("the client went away")
        await self._end()

    async def _next_events(self) -> list[tuple[str | None, bytes]] | None:
        """What to send; nothing at the end, and None where something has to be said."""
        until = min(trio.current_time() + self._keepalive, self.expires)
        if until == math.inf:
            return await self._stream.take_events(self._reader)
        with trio.move_on_at(until):
            return await self._stream.take_events(self._reader)
        return [] if trio.current_time() >= self.expires else None

    def _is_whole_answer(self, events: list[tuple[str | None, bytes]]) -> bool:
        """Whether the answer is the only message, so that no event stream is needed."""
        return len(events) == 1 and self._stream.is_closed and not self._response.has_begun

    async def _answer(self, data: bytes) -> None:
        self._name_session()
        await self._response.json(200, data)

    def _name_session(self) -> None:
        if self._session.has_begun:
            self._response.headers[SESSION_ID] = self._session.id

    async def _tell(self, events: list[tuple[str | None, bytes]]) -> None:
        opening = self._opening()
        # Kept before it is sent, so that the client can ask for it if it is lost on the way.
        kept = [(self._stream.keep(data) if id is None else id, data) for id, data in events]
        told = b"".join(encode_event(data, id=id) for id, data in kept)
        with self._stream.releasing(events):
            await self._response.write(opening + told)

    async def _stay_awake(self) -> None:
        if self._response.is_stream:
            await self._response.comment()
        else:
            await self.open()

    async def open(self, retry: float | None = None) -> None:
        """Begin the stream of events, if it has not begun."""
        opening = self._opening(retry)
        if opening:
            await self._response.write(opening)

    def _opening(self, retry: float | None = None) -> bytes:
        """The beginning of the stream, with an event id to resume from if the revision has it."""
        if self._response.has_begun:
            return b""
        self._name_session()
        revision = self._session.revision
        if revision is None or not revision.polling:
            return encode_comment()
        milliseconds = None if retry is None else math.ceil(retry * 1000)
        # A new id would come before those of the events that the client has missed: if it were lost
        # again, it would never get them.
        id = self._stream.keep(b"") if self._last is None else self._last
        return encode_event(b"", id=id, retry=milliseconds)

    async def _end(self) -> None:
        pause = self._stream.pause
        if pause is None:
            await self._response.end()
            return
        if self._response.has_begun:
            await self._response.write(encode_event(b"", retry=math.ceil(pause * 1000)))
        else:
            await self.open(pause)
        await self._response.end()
