"""A session of the handshake era over HTTP: its id, and a new one if the server forgets it.

Specification: 2025-11-25, Streamable HTTP (Session Management).
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

import trio

from trimcp.errors import ProtocolViolation
from trimcp.protocol.http import SESSION_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimcp.transports import HTTPAnswer

__all__ = ["HTTPSession"]

logger = logging.getLogger("trimcp.client")

#: The characters that a session id may have (2025-11-25, Session Management).
_SESSION_ID: Final = re.compile(r"[\x21-\x7e]+")


class HTTPSession:
    """The session that all messages to one server belong to, if the server has sessions.

    Attributes:
        id: The id that the server gave; None if it gave none, and in the stateless era.
        begin_another: Begins another session after this one was forgotten; None until the first
            session has begun.
    """

    def __init__(self) -> None:
        self.id: str | None = None
        self.begin_another: Callable[[], Awaitable[None]] | None = None
        self._renewing = trio.Lock()

    @property
    def headers(self) -> dict[str, str]:
        """The header of every message of the session."""
        return {} if self.id is None else {SESSION_ID: self.id}

    def take_id(self, answer: HTTPAnswer) -> None:
        """Remember the id of the session that an answer begins, if it has one.

        Raises:
            ProtocolViolation: It cannot be sent back.
        """
        found = answer.headers.get(SESSION_ID) or None
        if found is not None and not _SESSION_ID.fullmatch(found):
            raise ProtocolViolation(
                "the server's session id contains characters other than visible ASCII: "
                f"{found[:100]!a}"
            )
        self.id = found

    async def wait(self) -> str | None:
        """Wait while another session is being begun; returns the id in use."""
        if self._renewing.locked() and not self.is_renewing:
            async with self._renewing:
                pass
        return self.id

    @property
    def is_renewing(self) -> bool:
        """Whether the current task is beginning another session."""
        return self._renewing.statistics().owner is trio.lowlevel.current_task()

    async def renew(self, lost: str) -> None:
        """Begin another session, unless a sibling has done so already.

        Args:
            lost: The id of the session that was forgotten.

        Raises:
            MCPError: Another session cannot be begun.
        """
        async with self._renewing:
            if self.id != lost or self.begin_another is None:
                return
            logger.warning("the server no longer knows the session: beginning another one")
            self.id = None
            try:
                await self.begin_another()
            except BaseException:
                # The next request will notice it again, and try again.
                self.id = lost
                raise
