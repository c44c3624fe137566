"""A user's own HTTP endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import trio

from trimcp.errors import NotServing
from trimcp.functions import to_json
from trimcp.runtime import HttpResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimcp.runtime import CustomRoute

    from ._visits import Visit

__all__ = ["CustomEndpoint"]


class CustomEndpoint:
    """Answers with what a user's function returns.

    Args:
        route: The function and its HTTP methods.
    """

    def __init__(self, route: CustomRoute) -> None:
        self._route = route

    @property
    def methods(self) -> Sequence[str]:
        """The HTTP methods that it knows."""
        return self._route.methods

    @property
    def scopes(self) -> frozenset[str] | None:
        """What a caller needs beside the server's own required scopes; None for no token."""
        return self._route.scopes

    async def serve(self, visit: Visit) -> None:
        """Answer one HTTP request.

        The function is cancelled when its client goes away, and at the end of a shutdown's grace.

        Raises:
            Refused: The body is too long or too slow.
            NotServing: The function was cancelled by a shutdown.
            Exception: The function's exception; the client gets 500.
        """
        request = attrs.evolve(visit.http, body=await visit.body())
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.deadline = visit.deadline
            visit.scope = nursery.cancel_scope

            async def watch() -> None:
                await visit.wait_gone()
                nursery.cancel_scope.cancel(reason="the client went away")

            nursery.start_soon(watch)
            answer = _response_of(await self._route.function(request))
            await visit.response.whole(answer.status, answer.body, answer.headers)
            nursery.cancel_scope.cancel(reason="answered")
        if not visit.response.has_begun and trio.current_time() >= visit.deadline:
            raise NotServing("the server is shutting down")


def _response_of(value: Any) -> HttpResponse:
    """The response for a handler's result: a response, text, bytes, or else JSON."""
    if isinstance(value, HttpResponse):
        given = {name.lower(): text for name, text in value.headers.items()}
        return attrs.evolve(value, headers={"content-type": "application/octet-stream"} | given)
    if isinstance(value, str):
        return HttpResponse(value.encode(), headers={"content-type": "text/plain; charset=utf-8"})
    if isinstance(value, bytes):
        return HttpResponse(value, headers={"content-type": "application/octet-stream"})
    return HttpResponse(to_json(value), headers={"content-type": "application/json"})
