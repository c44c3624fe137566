"""The MCP endpoint: Streamable HTTP of both eras, chosen per request.

Specification: 2026-07-28, Streamable HTTP; 2025-11-25, 2025-06-18 and 2025-03-26, Transports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.protocol import (
    Era,
    Malformed,
    Notification,
    Request,
    decode,
    encode_failure,
    find_revision,
)
from trimcp.protocol.http import (
    EVENT_STREAM,
    JSON,
    PROTOCOL_VERSION,
    is_stateless,
)

from ._access import note_message
from ._content import check_accept, check_content
from ._handshake import delete_session, open_stream, take_message
from ._stateless import answer_request, take_notification
from ._visits import Refused

if TYPE_CHECKING:
    from trimcp.protocol import Batch, Message

    from ._settings import Settings
    from ._visits import Visit

__all__ = ["StreamableEndpoint"]


class StreamableEndpoint:
    """Answers requests to the MCP endpoint.

    Args:
        settings: The user's options.
    """

    methods = ("POST", "GET", "DELETE")
    scopes: frozenset[str] = frozenset()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def serve(self, visit: Visit) -> None:
        """Answer one HTTP request. Raises Refused."""
        if visit.method == "POST":
            await self._post(visit)
        elif _says_stateless(visit) or not self._settings.sessions:
            raise Refused(405, "there are no sessions here", headers={"allow": "POST"})
        elif visit.method == "GET":
            await open_stream(visit, self._settings)
        else:
            await delete_session(visit)

    async def _post(self, visit: Visit) -> None:
        check_content(visit.headers)
        check_accept(visit.headers, JSON, EVENT_STREAM)
        message = decode(await visit.body(), nesting=visit.limits.nesting)
        note_message(visit.response, message)
        if isinstance(message, Malformed):
            await visit.response.json(400, _malformed(message))
        elif isinstance(message, Request) and is_stateless(visit.headers, message):
            await answer_request(visit, message, keepalive=self._settings.keepalive)
        elif _says_stateless(visit):
            await _take_stateless(visit, message)
        else:
            await take_message(visit, message, self._settings)


async def _take_stateless(visit: Visit, message: Message | Batch) -> None:
    """Handle a message of the stateless era that is not a request."""
    if not isinstance(message, Notification):
        raise Refused(400, "only a request or a notification may be posted")
    await take_notification(visit, message)


def _says_stateless(visit: Visit) -> bool:
    revision = find_revision(visit.headers.get(PROTOCOL_VERSION, ""))
    return revision is not None and revision.era is Era.STATELESS


def _malformed(message: Malformed) -> bytes:
    # The id of a response is one of ours: a request of the client may have the same.
    identity = None if message.is_answer else message.id
    return encode_failure(identity, message.code, message.message, None, omit_id=True)
