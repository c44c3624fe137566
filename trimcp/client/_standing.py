"""The stream on which the server of a session sends messages unasked (handshake era).

It is requested when a session begins, and again whenever it ends, as `Reconnection` decides. If it
cannot be restored, the listeners are told.

Specification: 2025-11-25, Streamable HTTP (Listening for Messages from the Server; Resumability;
Session Management).
"""

from __future__ import annotations

import enum
import logging
from typing import TYPE_CHECKING, Final

import trio

from trimcp.errors import ConnectionLost, MCPError, ProtocolViolation
from trimcp.protocol.http import SESSION_ID

from ._http import message_of, status_error
from ._reconnection import Reconnection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimcp.errors import HTTPStatusError
    from trimcp.transports import HTTPAnswer, HTTPLink, Incoming

__all__ = ["StandingStream"]

logger = logging.getLogger("trimcp.client")

#: Seconds for the answer to the request for the stream; some servers answer only when they have a
#: message to send.
_ANSWER_SECONDS: Final = 1.0

#: Statuses with which a server says that it offers no such stream.
_NOT_OFFERED: Final = frozenset({405, 501})


class _Next(enum.Enum):
    """What to do after an attempt."""

    AGAIN = "ask again"
    RENEW = "begin another session"
    STOP = "ask no more"


class StandingStream:
    """Keeps the stream open, for one session after another.

    Args:
        link: The connection to the server.
        headers: Gives the headers of the session.
        receive: Takes a message.
        renew: Begins another session after the one with this id, unless there is one already; calls
            `open`.
        start_soon: Starts a task that lives as long as the connection.

    Attributes:
        on_gap: Called when the stream is open again but was not resumed, so that messages in
            between are lost.
    """

    def __init__(
        self,
        link: HTTPLink,
        headers: Callable[[], dict[str, str]],
        receive: Callable[[Incoming], None],
        renew: Callable[[str], Awaitable[None]],
        start_soon: Callable[..., object],
    ) -> None:
        self.on_gap: Callable[[], None] = lambda: None
        self._link = link
        self._headers = headers
        self._receive = receive
        self._renew = renew
        self._start_soon = start_soon
        self._going_on = Reconnection()
        self._session = trio.CancelScope()
        self._attempt = trio.CancelScope()
        self._was_opened = False  # in this session
        self._was_ever_opened = False
        self._is_again = False  # whether this session was begun since the stream was refused
        self._deafness: ConnectionLost | None = None
        self._deaf = trio.lowlevel.ParkingLot()

    # -- for the peer -----------------------------------------------------------------------

    async def open(self) -> None:
        """Request the stream of a new session. Waits for the answer, but not for long."""
        self._session.cancel(reason="the session is another one")
        self._session = trio.CancelScope()
        self._going_on.last_id = ""
        answered = trio.Event()
        self._start_soon(self._keep, self._session, answered)
        with trio.move_on_after(_ANSWER_SECONDS):
            await answered.wait()

    def close(self) -> None:
        """Stop requesting the stream."""
        self._session.cancel(reason="the client was closed")

    def break_off(self) -> None:
        """End the open stream, since the server seems to be gone."""
        self._attempt.cancel(reason="the server is silent")

    async def wait_deaf(self) -> ConnectionLost:
        """Wait until the stream is lost, or will be missing for long; returns the error for it."""
        while self._deafness is None:
            await self._deaf.park()
        return self._deafness

    # -- one session ------------------------------------------------------------------------

    async def _keep(self, session: trio.CancelScope, answered: trio.Event) -> None:
        with session:
            if self._is_again:
                # Two sessions in a row had no stream, so this does not hurry.
                answered.set()
                await self._going_on.wait()
            self._was_opened = False
            while await self._ask(answered):
                pass
        answered.set()

    async def _ask(self, answered: trio.Event) -> bool:
        """Request the stream once and read it to its end. Returns whether to request it again."""
        headers = self._headers()
        todo = _Next.AGAIN
        failure: MCPError = ConnectionLost("the server is silent")
        with trio.CancelScope() as self._attempt:
            try:
                async with self._link.get(headers | self._going_on.headers) as answer:
                    if answer.is_stream:
                        answered.set()
                        await self._read(answer)
                        failure = ConnectionLost("the stream ended")
                    else:
                        failure = refusal = status_error(answer, b"")
                        todo = self._judge(answer, refusal, headers)
            except ConnectionLost as error:
                failure = error
            except ProtocolViolation as error:
                todo, failure = _Next.STOP, error
        if todo is _Next.RENEW:
            await self._begin_another_session(headers[SESSION_ID])
        answered.set()
        if todo is _Next.STOP or self._going_on.is_hopeless:
            self._tell(failure, is_final=todo is _Next.STOP)
        if todo is not _Next.STOP:
            logger.debug("the server's stream: %s", failure)
            await self._going_on.wait()
        return todo is not _Next.STOP

    async def _read(self, answer: HTTPAnswer) -> None:
        """Pass on the messages of the stream, until it ends."""
        self._going_on.opened()
        if self._was_ever_opened and not self._going_on.headers:
            self.on_gap()
        self._was_opened = self._was_ever_opened = True
        self._is_again = False
        self._deafness = None
        try:
            while events := await answer.take():
                self._going_on.brought()
                for event in events:
                    self._receive(message_of(event))
        finally:
            self._going_on.ended(answer)

    def _judge(
        self, answer: HTTPAnswer, refusal: HTTPStatusError, headers: dict[str, str]
    ) -> _Next:
        """Decide what to do after an answer that is not an event stream."""
        status = answer.status
        is_passing = self._going_on.may_follow(refusal)
        if answer.is_success or status in _NOT_OFFERED:
            return _Next.STOP
        if status == 400:
            self._going_on.last_id = ""
        if is_passing:
            return _Next.AGAIN
        if self._going_on.is_exhausted:
            return _Next.STOP
        if status != 404:
            return _Next.AGAIN
        # For a request with a session id it means that the session is gone. But a server that
        # answers this to a new session too, and never had a stream, just does not offer it.
        is_gone = SESSION_ID in headers and (self._was_ever_opened or not self._is_again)
        return _Next.RENEW if is_gone else _Next.STOP

    async def _begin_another_session(self, lost: str) -> None:
        """Let another session begin, which cancels this task. Returns if that fails."""
        self._is_again = not self._was_opened
        failed = trio.Event()
        self._start_soon(self._try_to_renew, lost, failed)
        await failed.wait()

    async def _try_to_renew(self, lost: str, failed: trio.Event) -> None:
        try:
            await self._renew(lost)
        except MCPError as error:
            logger.warning("the session is gone, and another cannot be begun yet: %s", error)
        finally:
            failed.set()

    def _tell(self, failure: MCPError, *, is_final: bool) -> None:
        """Tell the listeners that the server's messages cannot be received."""
        if self._was_ever_opened and self._deafness is None:
            more = "" if is_final else "; it will be asked for again"
            logger.warning("the server's own stream is lost: %s%s", failure, more)
        elif is_final:
            logger.debug("the server offers no stream of its own: %s", failure)
        error = ConnectionLost(f"the server cannot be heard: {failure}")
        error.__cause__ = failure
        self._deafness = error
        self._deaf.unpark_all()
