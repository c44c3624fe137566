"""Requests to an HTTP server that demands authorization: the one place where they get it."""

from __future__ import annotations

import functools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from ._authorizing import Refusal
from ._http import HTTPLink, open_http_link

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trimcp.limits import Limits

    from ._authorizing import Authorizer, Authorizing
    from ._http import HTTPAnswer

__all__ = ["AuthorizedLink", "open_authorized_link"]

#: Statuses with which a server demands authorization, or more of it.
_DEMANDS: Final = frozenset({401, 403})


class AuthorizedLink(HTTPLink):
    """A link whose requests are made once more when they can be authorized better.

    Attributes:
        authorizer: Authorizes them.
    """

    def __init__(self, authorizer: Authorizer, *args: Any) -> None:
        super().__init__(*args)
        self.authorizer = authorizer

    def on_login(self, callback: Callable[[], object]) -> None:
        self.authorizer.on_login(callback)

    async def authorization(self) -> str | None:
        credentials = await self.authorizer.authorization((), may_wait=False)
        return None if credentials is None else credentials.header

    def _met(self, answer: HTTPAnswer) -> None:
        if (nonce := answer.headers.get("dpop-nonce")) is not None:
            self.authorizer.take_nonce(answer.url, nonce)

    @asynccontextmanager
    async def _ask(
        self,
        method: str,
        headers: dict[str, str],
        data: bytes | None = None,
        *,
        may_wait: bool = False,
    ) -> AsyncIterator[HTTPAnswer]:
        refusals: list[Refusal] = []
        credentials = await self.authorizer.authorization((), may_wait=may_wait)
        while True:
            async with self._follow(method, headers, data, credentials) as answer:
                if answer.status not in _DEMANDS:
                    yield answer
                    return
                sent = None if credentials is None else credentials.header
                refusals.append(Refusal(self.url, answer.status, answer.challenges, sent))
                with self.while_waiting():
                    credentials = await self.authorizer.authorization(refusals, may_wait=may_wait)
                if credentials is None:
                    yield answer
                    return


@asynccontextmanager
async def open_authorized_link(
    url: str, limits: Limits, authorizing: Authorizing, **options: Any
) -> AsyncIterator[HTTPLink]:
    """As `open_http_link`, with requests that are authorized.

    Args:
        url: The endpoint.
        limits: See `open_http_link`.
        authorizing: Authorizes them.
        options: See `open_http_link`.
    """
    async with authorizing.opened(url) as authorizer:
        link = functools.partial(AuthorizedLink, authorizer)
        async with open_http_link(url, limits, link=link, **options) as opened:
            yield opened
