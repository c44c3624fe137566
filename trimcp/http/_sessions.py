"""Sessions of the handshake era: what outlives the requests of one client.

::

    application          its nursery owns each session, and the one sweeper of them all
    └── session          a connection whose messages come in many POSTs
        └── exchange     goes on when the POST that brought it is cut off

A session counts from the request that begins it until its task has ended, so sessions that are
being opened or closed count as well.

Specification: 2025-11-25, Streamable HTTP, Session Management.
"""

from __future__ import annotations

import collections
import logging
import math
import secrets
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp._groups import logged
from trimcp.errors import NotServing
from trimcp.protocol import Connection, Role
from trimcp.runtime import NETWORK_GRACE, OutboxPeer

from ._asgi import ENDINGS
from ._replay import MemoryEventStore
from ._side import SidePeer
from ._streams import EventStream
from ._visits import Refused

if TYPE_CHECKING:
    from trimcp.protocol import Revision
    from trimcp.runtime import Serving

    from ._settings import Settings
    from ._visits import Visit

__all__ = ["HttpSession", "Sessions", "check_alone", "sessions_of"]

logger = logging.getLogger("trimcp.http")

#: The name of a session's own stream.
_STANDING: Final = "0"


class HttpSession:
    """One session. The request with its `initialize` opens it.

    Args:
        id: What names it; whoever knows it is the client, unless it has an owner.
        application: The application.
        settings: What the user chose.
        owner: To whom it belongs, where the server asks who calls.

    Attributes:
        owner: The same.
        streams: The streams that more will be said on, by name.
    """

    def __init__(
        self, id: str, application: Serving, settings: Settings, owner: object = None
    ) -> None:
        self.id = id
        self.owner = owner
        self._application = application
        self._limits = application.limits
        make_store = settings.event_store
        self._store = (
            MemoryEventStore(self._limits.replay_bytes, application.budget)
            if make_store is None
            else make_store(id)
        )
        # A store need not have it.
        self._end_in_store = getattr(self._store, "end", None)
        self.standing = self._new_stream(_STANDING, is_standing=True)
        self.streams = {_STANDING: self.standing}
        self._peer: OutboxPeer | None = None
        self._life = trio.CancelScope()
        self._opened = trio.Event()
        self._ended = trio.Event()
        self._named = 0
        self._visitors = 1
        self._last_seen = trio.current_time()

    def _new_stream(self, name: str, *, is_standing: bool) -> EventStream:
        limit = self._limits.replay_bytes if is_standing else self._limits.outbox_bytes
        return EventStream(
            name,
            self._store,
            limit,
            is_standing=is_standing,
            at_end=self._forget_stream,
            budget=self._application.budget,
        )

    def _forget_stream(self, stream: EventStream) -> None:
        # Its client may have been cut off; from now on it has the time to ask for the answer.
        self._last_seen = trio.current_time()
        if self.streams.pop(stream.name, None) is not None and self._end_in_store is not None:
            self._end_in_store(stream.name)

    async def run(self, predecessor: HttpSession | None = None) -> None:
        """Serve the session to its end. Raises nothing but Cancelled.

        Args:
            predecessor: The session whose place this one takes, once that has ended.
        """
        try:
            with self._life:
                if predecessor is not None:
                    await predecessor.wait_ended()
                await self._serve()
        except* ENDINGS:
            raise
        except* NotServing:
            logger.debug("an HTTP session arrived after the application was closed")
        except* BaseException as failure:
            logger.error("an HTTP session crashed", exc_info=logged(failure))
        finally:
            self._opened.set()
            self._ended.set()
            for stream in list(self.streams.values()):
                stream.close()
            if isinstance(self._store, MemoryEventStore):
                self._store.close()

    async def _serve(self) -> None:
        application = self._application
        peer = OutboxPeer(
            Connection(Role.SERVER, application.identity, self._limits),
            self.standing,
            application,
            self._limits,
            "HTTP session",
            budget=application.budget,
        )

        def begin() -> None:
            self._peer = peer
            self._opened.set()

        await application.serve_peer(peer, grace=NETWORK_GRACE, id=self.id, at_open=begin)

    async def wait_open(self) -> None:
        """Wait until it is being served. Raises Refused if it ended before (500)."""
        await self._opened.wait()
        if self._peer is None:
            raise Refused(500, "the session could not be opened")

    async def wait_ended(self) -> None:
        """Wait until the session's task has ended."""
        await self._ended.wait()

    def close(self) -> None:
        """End the session and all that runs in it, also while it is being opened."""
        if self._peer is None:
            self._life.cancel(reason="the session was ended")
        else:
            self._peer.close()

    @property
    def has_begun(self) -> bool:
        """Whether the handshake went well."""
        return self._peer is not None and self._peer.connection.terms is not None

    @property
    def revision(self) -> Revision | None:
        """What was agreed in the handshake."""
        terms = None if self._peer is None else self._peer.connection.terms
        return None if terms is None else terms.revision

    # -- its client -----------------------------------------------------------------------

    def enter(self) -> None:
        """Count one more request of the client that is being served."""
        self._visitors += 1

    def leave(self) -> None:
        """Count one request less: it is not served any more."""
        self._visitors -= 1
        self._last_seen = trio.current_time()

    @property
    def idle_since(self) -> float:
        """Since when the client has sent nothing and no call has run; infinity while one does."""
        is_working = self._peer is not None and self._peer.connection.open_exchanges > 0
        return math.inf if self._visitors or is_working else self._last_seen

    def open_way(self, visit: Visit) -> tuple[SidePeer, EventStream]:
        """A separate peer for the message of a POST, and the stream of messages that answer it."""
        assert self._peer is not None
        if self._peer.life.is_draining:
            raise Refused(503, "the session is ending")
        self._named += 1
        stream = self._new_stream(str(self._named), is_standing=False)
        self.streams[stream.name] = stream
        return SidePeer(self._peer, stream, visit.http), stream

    def resume(self, id: str) -> tuple[EventStream | None, list[tuple[str, bytes]]]:
        """Find where a client stopped reading.

        Args:
            id: The last event that it saw.

        Returns:
            The stream, if more will be said on it, and what the client has missed.

        Raises:
            Refused: The events after it are not kept any more (400).
        """
        found = self._store.after(id)
        if found is None:
            raise Refused(400, "the events after this one are not kept any more")
        name, missed = found
        return self.streams.get(name), missed


class Sessions:
    """The sessions of one application.

    Args:
        application: The application.
    """

    def __init__(self, application: Serving) -> None:
        self._application = application
        self._limits = application.limits
        self._by_id: dict[str, HttpSession] = {}
        #: Those that take a place, the oldest first; also those that cannot be found any more.
        self._alive: dict[HttpSession, None] = {}
        application.start_soon(self._sweep)

    def admit(self, settings: Settings, owner: object = None) -> HttpSession:
        """A new session, with the caller as its visitor; it is open after `wait_open`.

        Args:
            settings: What the user chose.
            owner: To whom it will belong; see `Principal.identity`.

        Raises:
            Refused: The server is shutting down, or there are too many sessions (503).
        """
        check_alone(self._application)
        if self._application.is_closing:
            raise Refused(503, "the server is shutting down")
        predecessor = self._make_room(owner)
        session = HttpSession(secrets.token_urlsafe(32), self._application, settings, owner)
        self._by_id[session.id] = session
        self._alive[session] = None
        # Not `nursery.start`: that would keep this request's task as long as the session.
        self._application.start_soon(self._run, session, predecessor)
        return session

    async def _run(self, session: HttpSession, predecessor: HttpSession | None) -> None:
        try:
            await session.run(predecessor)
        finally:
            self._by_id.pop(session.id, None)
            self._alive.pop(session, None)

    def find(self, id: str, owner: object = None) -> HttpSession:
        """The session of this name.

        Args:
            id: The name.
            owner: Who asks for it; a stranger is told the same as one who guesses.

        Raises:
            Refused: There is none (404).
        """
        session = self._by_id.get(id)
        if session is None or not session.has_begun or session.owner != owner:
            raise Refused(404, "there is no such session: begin a new one with initialize")
        return session

    def end(self, session: HttpSession) -> None:
        """End a session; its name means nothing from now on."""
        self._by_id.pop(session.id, None)
        session.close()

    def _make_room(self, owner: object) -> HttpSession | None:
        """The session whose place a new one gets when it has ended; None if there is a free one.

        Args:
            owner: To whom the new one will belong.

        Raises:
            Refused: None may be ended for it (503).
        """
        if len(self._alive) < self._limits.http_sessions:
            return None
        leaving = next((each for each in self._alive if each.id not in self._by_id), None)
        if leaving is None:
            leaving = self._idle_for(owner)
            if leaving is None:
                raise Refused(503, "too many sessions", headers={"retry-after": "10"})
            logger.warning("more than %d sessions: an idle one ends", self._limits.http_sessions)
            self.end(leaving)
        del self._alive[leaving]
        return leaving

    def _idle_for(self, owner: object) -> HttpSession | None:
        """The idle session that ends for a new one; None if there is none.

        It is of an owner with the most sessions, and of theirs the one idle for longest. Nobody
        loses one to an owner who would have more than they.
        """
        held = collections.Counter(session.owner for session in self._by_id.values())
        held[owner] += 1
        idle = [
            session
            for session in self._by_id.values()
            if session.idle_since < math.inf and held[session.owner] >= held[owner]
        ]
        return min(idle, key=lambda each: (-held[each.owner], each.idle_since), default=None)

    async def _sweep(self) -> None:
        """End the sessions that have been idle for too long."""
        seconds = self._limits.session_seconds
        while True:
            await trio.sleep(seconds / 4)
            horizon = trio.current_time() - seconds
            for session in list(self._by_id.values()):
                if session.idle_since <= horizon:
                    logger.info("an idle session ends")
                    self.end(session)


def check_alone(application: Serving) -> None:
    """Check that only one process serves, as sessions require. Raises Refused (500)."""
    if not application.is_alone:
        logger.error(
            "sessions do not work with several workers: make the application that is served "
            "with sessions=False"
        )
        raise Refused(500, "sessions are not available with several workers")


def sessions_of(application: Serving) -> Sessions:
    """The sessions of an application, for all of its endpoints."""
    sessions: Any = application.state.get(Sessions)
    if sessions is None:
        sessions = application.state[Sessions] = Sessions(application)
    assert isinstance(sessions, Sessions)
    return sessions
