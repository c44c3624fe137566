"""The MCP endpoint: Streamable HTTP of both eras, chosen per request.

Specification: 2026-07-28, Streamable HTTP; 2025-11-25, 2025-06-18 and 2025-03-26, Transports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.protocol import Era, Malformed, Request, decode, encode_failure, find_revision
from trimcp.protocol.http import (
    EVENT_STREAM,
    JSON,
    PROTOCOL_VERSION,
    SESSION_ID,
    is_stateless,
)

from ._refusals import Refused
from ._stateless import answer_request
from ._visits import check_accept, check_content

if TYPE_CHECKING:
    from trimcp.protocol import Batch, Message

    from ._settings import Settings
    from ._visits import Visit

__all__ = ["StreamableEndpoint"]


class StreamableEndpoint:
    """Answers what comes to the MCP endpoint.

    Args:
        settings: What the user chose.
    """

    methods = ("POST", "GET", "DELETE")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def serve(self, visit: Visit) -> None:
        """Answer one HTTP request. Raises Refused."""
        if visit.method == "POST":
            await self._post(visit)
        elif visit.method == "GET":
            check_accept(visit.headers, EVENT_STREAM)
            raise Refused(405, "no sessions yet", headers={"allow": "POST"})
        else:
            raise Refused(405, "no sessions yet", headers={"allow": "POST"})

    async def _post(self, visit: Visit) -> None:
        check_content(visit.headers)
        check_accept(visit.headers, JSON, EVENT_STREAM)
        body = await visit.body()
        message = decode(body, nesting=visit.limits.nesting)
        if isinstance(message, Malformed):
            await visit.response.json(400, _malformed(message))
        elif isinstance(message, Request) and is_stateless(visit.headers, message):
            await answer_request(visit, message, keepalive=self._settings.keepalive)
        elif _says_stateless(visit):
            await self._take_stateless(visit, message)
        else:
            raise Refused(400, f"{SESSION_ID} is missing: begin with initialize")

    async def _take_stateless(self, visit: Visit, message: Message | Batch) -> None:
        """What is no request, in the era where nothing but requests means anything."""
        if type(message).__name__ != "Notification":
            raise Refused(400, "only a request or a notification may be posted")
        await visit.response.whole(202)


def _says_stateless(visit: Visit) -> bool:
    revision = find_revision(visit.headers.get(PROTOCOL_VERSION, ""))
    return revision is not None and revision.era is Era.STATELESS


def _malformed(message: Malformed) -> bytes:
    return encode_failure(message.id, message.code, message.message, None, omit_id=True)
