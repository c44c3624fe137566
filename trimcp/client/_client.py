"""The client: its life, and how its requests are made."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import attrs
import trio

from trimcp._groups import unwrapping
from trimcp.errors import (
    MCPError,
    ProcessDied,
    ProtocolViolation,
    RequestError,
)
from trimcp.protocol import (
    DecodeError,
    InvalidShape,
    codec_for,
    read_object,
    reader_for,
)
from trimcp.types import (
    Implementation,
    InputRequiredResult,
    LoggingMessageNotificationParams,
    SubscriptionFilter,
)

from ._cache import Answered, Kept, ResponseCache, key_of
from ._checks import check_callback, check_seconds
from ._connect import connect
from ._garbage import Garbage
from ._inbox import Inbox
from ._listening import Listening
from ._negotiation import (
    Offer,
    decode_result,
    handshake_only,
    initialize,
    read_result,
    revisions_of,
)
from ._offered import check_offered
from ._pages import Pauses, whole_list
from ._repeating import reached
from ._streamable import StreamablePeer
from ._verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.protocol import Call, Revision, Terms
    from trimcp.runtime import Chunks, ConnectedPeer, Peer, ProgressCallback, Round
    from trimcp.transports import ChildProcess, HTTPLink, MessageChannel
    from trimcp.types import ListToolsResult, LoggingLevel

    from ._answers import Answerer
    from ._listen import Changes

__all__ = ["Client", "LogCallback", "Way"]

logger = logging.getLogger("trimcp.client")

_Link: TypeAlias = "tuple[MessageChannel | HTTPLink, ChildProcess | None]"

#: Opens the way to a server; may be used again when it has been left.
Way: TypeAlias = "Callable[[], AbstractAsyncContextManager[_Link]]"

#: Called with each log message of the server, one after another; may be async.
LogCallback: TypeAlias = "Callable[[LoggingMessageNotificationParams], object]"

ItemT = TypeVar("ItemT")

#: Seconds for what still waits to be written when a client is left.
_FLUSH_SECONDS: Final = 1.0


class Client(Verbs):
    """A connection to one MCP server, as `open_client` and its kin yield it."""

    def __init__(
        self,
        way: Way,
        limits: Limits,
        answerer: Answerer,
        *,
        name: str,
        version: str,
        revision: str | None,
        timeout: float,
        probe_timeout: float,
        max_rounds: int,
        result_types: Iterable[str],
        logging: LogCallback | None,
        log_level: LoggingLevel | None,
    ) -> None:
        super().__init__()
        self._way = way
        self._limits = limits
        self._answerer = answerer
        self._revisions = revisions_of(revision)
        self._timeout = timeout
        self._max_rounds = max_rounds
        self._result_types = tuple(result_types)
        identity = Implementation(name=name, version=version)
        self._offer = Offer(identity, answerer.capabilities, probe_timeout, timeout)
        self._cache = ResponseCache()
        self._pauses = Pauses()
        self._inbox = Inbox()
        self._listening = Listening(self)
        self._callbacks: dict[str, Callable[[Any], object]] = {}
        self._on_log = logging
        self._log_level = log_level
        self._closing = trio.Event()
        self._child: ChildProcess | None = None
        self._peer: ConnectedPeer

    # -- its life -------------------------------------------------------------------------

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """Connect, find the era, and disconnect at the end. Used once."""
        async with AsyncExitStack() as stack:
            await self._connect(stack)
            yield self

    async def _connect(self, stack: AsyncExitStack) -> None:
        """Enter a connection; a server that does not survive the probe is started again."""
        older = handshake_only(self._revisions)
        try:
            await stack.enter_async_context(self._connected(self._revisions))
        except ProcessDied as error:
            if older in ((), self._revisions):
                raise
            # Some servers of the handshake era end on a method that they do not know.
            logger.info("%s: starting it again, with initialize", error)
            await stack.enter_async_context(self._connected(older))

    @asynccontextmanager
    async def _connected(self, revisions: tuple[Revision, ...]) -> AsyncIterator[None]:
        """A connection in one of these revisions."""
        self._garbage = Garbage()
        with unwrapping():
            async with self._way() as (link, child), trio.open_nursery() as nursery:
                self._child = child
                nursery.start_soon(self._inbox.run)
                self._peer, self._agreement = await connect(
                    nursery, link, child, self, self._offer, revisions, self._limits, self._garbage
                )
                try:
                    if isinstance(self._peer, StreamablePeer) and not self._is_stateless:
                        self._peer.renew = self._renew
                        self._peer.standing.on_gap = self._listening.miss
                        await self._peer.standing.open()
                    await self._ask_for_logs()
                    yield
                finally:
                    # Calls that are given up have cancellations waiting to be written.
                    self._peer.lose("the client was closed", tell=True)
                    with trio.CancelScope(shield=True, relative_deadline=_FLUSH_SECONDS):
                        await self._peer.flush()
                    nursery.cancel_scope.cancel(reason="the client was closed")

    async def _renew(self) -> None:
        """Begin another HTTP session, as the one that the server has forgotten was begun."""
        assert isinstance(self._peer, StreamablePeer)
        revision = self._agreement.terms.revision
        self._agreement = await initialize(self._peer, self._offer, (revision,), self._garbage)
        await self._peer.standing.open()
        try:
            await self._ask_for_logs()
            await self._listening.subscribe_again()
        except MCPError as error:
            logger.warning("the new session lacks what the old one had: %s", error)

    async def _ask_for_logs(self) -> None:
        """A client that wants log messages says so, where the server would not send any."""
        level = self._log_level
        if level is None and self._on_log is not None and self._is_stateless:
            level = "info"
        if level is not None and (self._is_stateless or self.capabilities.logging is not None):
            await self.set_log_level(level)

    async def run(self, *, task_status: trio.TaskStatus[Client] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the connection open until `close()`: for `await nursery.start(client.run)`."""
        async with self.opened():
            task_status.started(self)
            await self._closing.wait()

    def close(self) -> None:
        """End `run()`. Harmless when repeated."""
        self._closing.set()

    def kill_server(self) -> None:
        """Kill the server's process group at once, if this client has started it."""
        if self._child is not None:
            self._child.kill()

    @property
    def dropped_notifications(self) -> int:
        """Notifications that came faster than the callbacks could take them."""
        return self._inbox.dropped

    def clear_cache(self) -> None:
        """Forget every result that the server allowed to keep."""
        self._cache.drop()

    # -- requests -------------------------------------------------------------------------

    async def _ask(
        self,
        method: str,
        params: Any,
        *,
        timeout: float | None,
        progress: ProgressCallback | None = None,
        chunks: Chunks | None = None,
    ) -> Any:
        return (await self._ask_sized(method, params, timeout, progress, chunks)).result

    async def _ask_sized(
        self,
        method: str,
        params: Any,
        timeout: float | None,
        progress: ProgressCallback | None = None,
        chunks: Chunks | None = None,
    ) -> Answered:
        """One request with all its rounds."""
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
            responses = await self._answerer.answer_all(result, call.terms.revision)
            params = attrs.evolve(
                params, input_responses=responses, request_state=result.request_state
            )
        raise ProtocolViolation(f"the server asked more than {self._max_rounds} times")

    async def _ask_cached(self, method: str, params: Any, *, timeout: float | None) -> Any:
        return (await self._ask_kept(method, params, timeout)).result

    async def _ask_kept(self, method: str, params: Any, timeout: float | None) -> Answered | Kept:
        """A result that is still fresh, or that of a request."""
        revision = self._agreement.terms.revision
        if method not in revision.cacheable:
            return await self._ask_sized(method, params, timeout)
        key = key_of(method, codec_for(revision).encode(params))
        kept = self._cache.find(key)
        if kept is not None:
            await trio.lowlevel.checkpoint()
            return kept
        try:
            with self._cache.asking(key) as asking:
                answered = await self._ask_sized(method, params, timeout)
                if answered.rounds == 1:
                    # What took questions and answers is never kept (Caching).
                    self._cache.keep(asking, answered.size, answered.result)
        except RequestError:
            if getattr(params, "cursor", None) is not None:
                # Pages that lead to a cursor which is no longer good are not good either.
                self._cache.drop(lambda key: key.startswith(method.encode() + b"\n"))
            raise
        return answered

    async def _list(
        self, method: str, items_of: Callable[[Any], tuple[ItemT, ...]], timeout: float | None
    ) -> list[ItemT]:
        return await whole_list(
            method,
            self._ask_kept,
            items_of,
            limits=self._limits,
            timeout=self._timeout if timeout is None else timeout,
            pauses=self._pauses,
        )

    async def _ask_raw(
        self, method: str, params: dict[str, Any] | None, timeout: float | None
    ) -> dict[str, Any]:
        call, raw = await self._request(method, params, timeout)
        return read_result(call, raw, self._result_types)

    async def _request(
        self,
        method: str,
        params: Any,
        timeout: float | None,
        progress: ProgressCallback | None = None,
        chunks: Chunks | None = None,
    ) -> tuple[Call, Raw]:
        check_offered(method, self.capabilities, self._agreement.terms.revision)
        seconds = self._timeout if timeout is None else timeout
        check_seconds("timeout=", seconds)
        check_callback("progress=", progress)
        call, raw = await reached(
            self._peer, self._known, self._relist, method, params, seconds, progress, chunks
        )
        # Log messages that arrived before the answer are delivered before it, if there is time.
        await self._inbox.wait_caught_up(call.owner.left)
        return call, raw

    async def _relist(self, seconds: float) -> None:
        """The tools may have changed, and with them the headers that their calls need."""
        self._cache.drop(lambda key: key.startswith(b"tools/list\n"))
        await self.list_tools(timeout=seconds)

    def _screen(self, result: ListToolsResult) -> ListToolsResult:
        mirrors = self._agreement.terms.revision.mirrored_headers
        if not mirrors or not isinstance(self._peer, StreamablePeer):
            return result
        return attrs.evolve(result, tools=self._peer.mirror.screen(result.tools))

    def _use_terms(self, terms: Terms) -> None:
        self._agreement = attrs.evolve(self._agreement, terms=terms)
        self._peer.connection.terms = terms

    # -- changes --------------------------------------------------------------------------

    @asynccontextmanager
    async def listen(
        self,
        *,
        resources: Iterable[str] = (),
        tools_list_changed: bool = False,
        prompts_list_changed: bool = False,
        resources_list_changed: bool = False,
        timeout: float | None = None,
    ) -> AsyncIterator[Changes]:
        """Hear of changes for the duration::

            async with client.listen(resources=["messages://all"]) as changes:
                async for change in changes:
                    ...

        Several may be open at once. Changes that happened before it was entered are not told.

        Args:
            resources: URIs; each change of one is a `ResourceUpdated`.
            tools_list_changed: Whether to hear `ToolsListChanged`.
            prompts_list_changed: Whether to hear `PromptsListChanged`.
            resources_list_changed: Whether to hear `ResourcesListChanged`.
            timeout: Seconds until the server must have agreed; listening itself has no bound.

        Raises:
            ValueError: Nothing is asked for.
            RequestError: The server refuses, or does not know a resource (handshake era; in the
                stateless era it is left out of `changes.granted`).

        Specification: 2026-07-28, Subscriptions; to 2025-11-25, Resources (Subscriptions).
        """
        wanted = SubscriptionFilter(
            tools_list_changed or None,
            prompts_list_changed or None,
            resources_list_changed or None,
            tuple(dict.fromkeys(resources)) or None,
        )
        if wanted == SubscriptionFilter():
            raise ValueError("nothing to listen for: name resources or lists")
        listening = self._listening
        way = listening.by_request if self._is_stateless else listening.by_session
        seconds = self._timeout if timeout is None else timeout
        with unwrapping():
            async with way(self._peer, wanted, seconds) as changes:
                yield changes

    # -- what the server sends by itself ----------------------------------------------------

    def on_notification(self, method: str, callback: Callable[[Any], object]) -> None:
        """Call a function, async or not, with the params of each notification of this method.

        Callbacks run one after another, in the order of arrival; when too many wait, the newest
        notifications are dropped and counted in `dropped_notifications`. An exception of a
        callback ends the client.

        Args:
            method: Such as `notifications/tools/list_changed`, or one of an extension.
            callback: Gets the params as they stand on the wire.
        """
        check_callback("the callback", callback, is_optional=False)
        self._callbacks[method] = callback

    async def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Send a notification to the server; for extensions."""
        await self._peer.send(self._peer.connection.notify(method, params))

    async def notify_roots_changed(self) -> None:
        """Tell the server that the roots have changed; nothing in the stateless era, where it
        asks anew each time.

        Specification: Roots, Root List Changes (handshake era).
        """
        method = "notifications/roots/list_changed"
        known = method in self._agreement.terms.revision.client_notifications
        await self._peer.send(self._peer.connection.notify(method) if known else None)

    async def handle(self, round_: Round) -> Any:
        """Handle one request of the server (handshake era)."""
        with self._pauses.pause(), round_.peer.answering():
            return await self._answerer.handle(round_)

    def notified(self, peer: Peer, method: str, params: Raw | None) -> None:
        """A notification that concerns no single call."""
        try:
            wire = read_object(params)
            terms = peer.connection.terms
            if method == "notifications/message" and self._on_log is not None and terms is not None:
                said = reader_for(terms.revision).decode(wire, LoggingMessageNotificationParams)
                self._inbox.put(self._on_log, said)
        except (InvalidShape, DecodeError) as error:
            logger.debug("malformed %s: %s", method, error)
            return
        self._cache.note_change(method)
        self._listening.tell(method, wire)
        callback = self._callbacks.get(method)
        if callback is not None:
            self._inbox.put(callback, wire)
