"""Making a client's requests: with all their rounds, from the cache, page by page, or raw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import trio

from trimcp._groups import unwrapping
from trimcp.errors import ProtocolViolation, RequestError
from trimcp.protocol import Era, codec_for
from trimcp.types import InputRequiredResult

from ._cache import Answered, Kept, ResponseCache, key_of
from ._checks import check_callback, check_seconds
from ._known import KnownTools
from ._negotiation import decode_result, read_result
from ._offered import check_offered
from ._pages import Pauses, whole_list
from ._repeating import reached
from ._streamable import StreamablePeer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.protocol import Call, Revision, Terms
    from trimcp.runtime import Chunks, ConnectedPeer, ProgressCallback
    from trimcp.types import ListToolsResult, Tool

    from ._answers import Answerer
    from ._inbox import Inbox
    from ._negotiation import Agreement

__all__ = ["Requester"]

ItemT = TypeVar("ItemT")


class Requester:
    """Makes the requests of one client.

    Args:
        answerer: Answers the questions of the server.
        inbox: The notifications that arrived before an answer are delivered before it.
        limits: Bounds.
        timeout: Seconds to wait for an answer, if a request has no timeout of its own.
        max_rounds: Rounds of questions that one request may take.
        result_types: Types of results in addition to those of the specification, for raw requests.

    Attributes:
        cache: The cached results.
        known: The server's tools, as they were last listed.
        pauses: The time spent in answering questions of the server.
        timeout: The same as the argument.
        peer: The server; set when the client has connected, like `agreement`.
        agreement: What was agreed with it.
    """

    peer: ConnectedPeer
    agreement: Agreement

    def __init__(
        self,
        answerer: Answerer,
        inbox: Inbox,
        limits: Limits,
        *,
        timeout: float,
        max_rounds: int,
        result_types: Iterable[str],
    ) -> None:
        self.cache = ResponseCache()
        self.known = KnownTools()
        self.pauses = Pauses()
        self.timeout = timeout
        self._answerer = answerer
        self._inbox = inbox
        self._limits = limits
        self._max_rounds = max_rounds
        self._result_types = tuple(result_types)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Called for what is not set yet.
            if name in ("agreement", "peer"):
                raise RuntimeError(
                    "the client is not connected: start it with `await nursery.start(client.run)`"
                )
            raise AttributeError(name)

    @property
    def is_stateless(self) -> bool:
        """Whether the revision in use is one of the stateless era."""
        return self.agreement.terms.revision.era is Era.STATELESS

    def use_terms(self, terms: Terms) -> None:
        """Send further requests under these terms."""
        self.agreement = attrs.evolve(self.agreement, terms=terms)
        self.peer.connection.terms = terms

    # -- requests -------------------------------------------------------------------------

    async def ask(
        self,
        method: str,
        params: Any,
        *,
        timeout: float | None,
        progress: ProgressCallback | None = None,
        chunks: Chunks | None = None,
    ) -> Any:
        """Make a request with all its rounds. Returns the decoded result."""
        return (await self._ask_sized(method, params, timeout, progress, chunks)).result

    async def ask_cached(self, method: str, params: Any, *, timeout: float | None) -> Any:
        """The same, or a fresh result from the cache."""
        return (await self._ask_kept(method, params, timeout)).result

    async def ask_list(
        self, method: str, items_of: Callable[[Any], tuple[ItemT, ...]], timeout: float | None
    ) -> list[ItemT]:
        """All items of a list, page by page."""
        return await whole_list(
            method,
            self._ask_kept,
            items_of,
            limits=self._limits,
            timeout=self.timeout if timeout is None else timeout,
            pauses=self.pauses,
        )

    async def ask_raw(
        self, method: str, params: dict[str, Any] | None, timeout: float | None
    ) -> dict[str, Any]:
        """Make a request. Returns its result in wire form."""
        call, raw = await self._request(method, params, timeout)
        return read_result(call, raw, self._result_types)

    async def _ask_sized(
        self,
        method: str,
        params: Any,
        timeout: float | None,
        progress: ProgressCallback | None = None,
        chunks: Chunks | None = None,
    ) -> Answered:
        size = 0
        seconds = timeout
        for round_number in range(self._max_rounds):
            call, raw = await self._request(method, params, seconds, progress, chunks)
            seconds = call.owner.left
            size += len(bytes(raw))
            expected = call.terms.revision.client_requests[method].result
            result = decode_result(call, raw, expected)
            if not isinstance(result, InputRequiredResult):
                return Answered(result, size, round_number + 1)
            responses = await self._answered(result, call.terms.revision)
            params = attrs.evolve(
                params, input_responses=responses, request_state=result.request_state
            )
        raise ProtocolViolation(f"the server asked more than {self._max_rounds} times")

    async def _answered(
        self, result: InputRequiredResult, revision: Revision
    ) -> dict[str, Any] | None:
        """The answers to the questions of a round, by key.

        Raises:
            ConnectionLost: They cannot be sent any more; who is asked is cancelled.
        """
        life = self.peer.life
        responses: list[dict[str, Any] | None] = []

        async def answer() -> None:
            responses.append(await self._answerer.answer_all(result, revision))
            nursery.cancel_scope.cancel(reason="all questions are answered")

        with unwrapping():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer)
                await life.wait_lost()
                nursery.cancel_scope.cancel(reason="the connection is lost")
        if not responses:
            raise life.loss(self.peer.failure)
        return responses.pop()

    async def _ask_kept(self, method: str, params: Any, timeout: float | None) -> Answered | Kept:
        """A fresh result from the cache, or the result of a request."""
        revision = self.agreement.terms.revision
        if method not in revision.cacheable:
            return await self._ask_sized(method, params, timeout)
        key = key_of(method, codec_for(revision).encode(params))
        kept = self.cache.find(key)
        if kept is not None:
            await trio.lowlevel.checkpoint()
            return kept
        try:
            with self.cache.asking(key) as asking:
                answered = await self._ask_sized(method, params, timeout)
                if answered.rounds == 1:
                    # A result that needed questions is never kept (Caching).
                    self.cache.keep(asking, answered.size, answered.result)
        except RequestError:
            if getattr(params, "cursor", None) is not None:
                # The kept pages that led to an invalid cursor are invalid too.
                self.cache.drop_method(method)
            raise
        return answered

    async def _request(
        self,
        method: str,
        params: Any,
        timeout: float | None,
        progress: ProgressCallback | None = None,
        chunks: Chunks | None = None,
    ) -> tuple[Call, Raw]:
        """Make one round of a request."""
        check_offered(method, self.agreement.capabilities, self.agreement.terms.revision)
        seconds = self.timeout if timeout is None else timeout
        check_seconds("timeout=", seconds)
        check_callback("progress=", progress)
        call, raw = await reached(
            self.peer, self.known, self._relist, method, params, seconds, progress, chunks
        )
        # Log messages that arrived before the answer are delivered before it, if there is time.
        await self._inbox.wait_caught_up(call.owner.left)
        return call, raw

    # -- tools ----------------------------------------------------------------------------

    async def list_tools(self, timeout: float | None) -> list[Tool]:
        """All tools that may be used, page by page."""
        return await self.ask_list("tools/list", lambda page: self.learn(page).tools, timeout)

    def learn(self, page: ListToolsResult) -> ListToolsResult:
        """Record the tools of a page. Returns the page without tools that must not be used."""
        if self.agreement.terms.revision.mirrored_headers and isinstance(self.peer, StreamablePeer):
            page = attrs.evolve(page, tools=self.peer.mirror.screen(page.tools))
        self.known.learn(page.tools)
        return page

    async def _relist(self, seconds: float) -> None:
        """List the tools again, since they may have changed, and so the headers of their calls."""
        self.cache.drop_method("tools/list")
        await self.list_tools(seconds)
