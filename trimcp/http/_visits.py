"""One HTTP request while it is served."""

from __future__ import annotations

import codecs
import math
from typing import TYPE_CHECKING

import trio

from trimcp.protocol.http import JSON, Headers, accepts, media_type

from ._refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimcp.limits import Limits
    from trimcp.runtime import HttpRequest, Serving

    from ._bodies import RequestBody
    from ._responses import Response

__all__ = ["Visit", "check_accept", "check_content"]


class Visit:
    """A client's HTTP request.

    Args:
        application: The application that serves it.
        http: The request without its body.
        body: Its body.
        response: The answer.

    Attributes:
        at_drain: Called at shutdown: ends what would otherwise never end.
        deadline: When whatever still runs for it should be cancelled.
        keeper: Who breaks silence in its answer, if somebody else does.
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
        self.keeper: object = None
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

    def drain(self, deadline: float) -> None:
        """The server is shutting down."""
        self.deadline = deadline
        if self.scope is not None:
            self.scope.deadline = min(self.scope.deadline, deadline)
        for end in list(self.at_drain):
            end()

    async def body(self) -> bytes:
        """The whole body. Raises Refused, ConnectionError."""
        return await self._body.read(self.headers, self.limits, self.application.budget)

    def release_body(self) -> None:
        """The body is not held any more, or counted otherwise."""
        self._body.release()

    async def json(self) -> bytes:
        """The whole body, which is to be JSON. Raises Refused, ConnectionError.

        A byte order mark before it is ignored (RFC 8259, 8.1).
        """
        return (await self.body()).removeprefix(codecs.BOM_UTF8)

    async def wait_gone(self, keepalive: float = math.inf) -> None:
        """Wait until the client is gone before its answer is complete; send it signs of life.

        Servers say in the same words that the answer is complete. That is not told: whoever is
        still ending the answer must not be cancelled in it.

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


def check_content(headers: Headers) -> None:
    """The body must be plain JSON. Raises Refused (415)."""
    if media_type(headers.get("content-type", "")) != JSON:
        raise Refused(415, f"the Content-Type must be {JSON}", headers={"accept": JSON})
    if headers.get("content-encoding", "identity").lower() != "identity":
        plain = {"accept-encoding": "identity"}
        raise Refused(415, "the body must not be compressed", headers=plain)


def check_accept(headers: Headers, *wanted: str) -> None:
    """The client must take each of these media types. Raises Refused (406)."""
    accept = headers.get("accept")
    if accept is not None and not all(accepts(accept, each) for each in wanted):
        raise Refused(406, f"the client must accept {' and '.join(wanted)}")
