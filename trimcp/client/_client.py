"""The client: its life, and how it handles messages that the server sends unasked."""

from __future__ import annotations

import functools
import logging
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from trimcp._asyncio_errors import PAGE
from trimcp._groups import unwrapping
from trimcp.errors import MCPError, ProcessDied
from trimcp.protocol import DecodeError, InvalidShape, read_object, reader_for
from trimcp.transports import HTTPLink
from trimcp.types import Implementation, LoggingMessageNotificationParams, SubscriptionFilter

from ._checks import check_callback, wire_mapping
from ._connect import connect
from ._garbage import Garbage
from ._inbox import Inbox
from ._listening import Listening
from ._negotiation import Offer, handshake_only, initialize, revisions_of
from ._requester import Requester
from ._streamable import StreamablePeer
from ._verbs import Verbs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator
    from contextlib import AbstractAsyncContextManager

    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.protocol import Revision
    from trimcp.runtime import ConnectedPeer, Peer, Round
    from trimcp.transports import ChildProcess, MessageChannel
    from trimcp.types import LoggingLevel, ServerCapabilities

    from ._answers import Answerer
    from ._listen import Changes

__all__ = ["Client", "Connector", "LogCallback"]

logger = logging.getLogger("trimcp.client")

_Link: TypeAlias = "tuple[MessageChannel | HTTPLink, ChildProcess | None]"

#: Connects to a server during its block; may be called again when the connection has ended.
Connector: TypeAlias = "Callable[[], AbstractAsyncContextManager[_Link]]"

#: Called with each log message of the server, one after another; may be async.
LogCallback: TypeAlias = "Callable[[LoggingMessageNotificationParams], object]"

#: Seconds to write the messages that still wait when a client is closed.
_FLUSH_SECONDS: Final = 1.0


class Client(Verbs):
    """A connection to one MCP server; `open_client` and the other `open_*` functions yield it."""

    def __init__(
        self,
        connector: Connector,
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
        self._connector = connector
        self._limits = limits
        self._answerer = answerer
        self._revisions = revisions_of(revision)
        identity = Implementation(name=name, version=version)
        self._offer = Offer(identity, answerer.capabilities, probe_timeout, timeout)
        self._inbox = Inbox()
        requester = Requester(
            answerer,
            self._inbox,
            limits,
            timeout=timeout,
            max_rounds=max_rounds,
            result_types=result_types,
        )
        super().__init__(requester)
        self._listening = Listening(requester, self.notified)
        self._callbacks: dict[str, Callable[[Any], object]] = {}
        self._on_log = logging
        self._log_level = log_level
        self._closing = trio.Event()
        self._was_opened = False
        self._child: ChildProcess | None = None

    # -- about the server -----------------------------------------------------------------

    @property
    def revision(self) -> str:
        """The protocol revision in use, such as `2026-07-28`."""
        return self._requester.agreement.terms.revision.date

    @property
    def server_info(self) -> Implementation | None:
        """The name and version that the server gives, or None; for display only."""
        return self._requester.agreement.server_info

    @property
    def capabilities(self) -> ServerCapabilities:
        """What the server offers."""
        return self._requester.agreement.capabilities

    @property
    def instructions(self) -> str | None:
        """The server's instructions for its use."""
        return self._requester.agreement.instructions

    # -- its life -------------------------------------------------------------------------

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """Connect, find the era, and disconnect at the end.

        Raises:
            RuntimeError: The client was opened before, or Trio is not running.
        """
        if not trio.lowlevel.in_trio_run():
            raise RuntimeError(
                f"a client of trimcp needs Trio, and this program runs another event loop: start "
                f"it with trio.run; see the page {PAGE}"
            )
        if self._was_opened:
            raise RuntimeError("a client connects only once: make another one")
        self._was_opened = True
        async with AsyncExitStack() as stack:
            await self._connect(stack)
            yield self

    async def _connect(self, stack: AsyncExitStack) -> None:
        """Open a connection; a server process that ends during the probe is started again."""
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
        """Open a connection in one of these revisions."""
        self._garbage = Garbage()
        requester = self._requester
        with unwrapping() as whole:
            async with self._connector() as (link, child), trio.open_nursery() as nursery:
                self._child = child
                nursery.start_soon(self._inbox.run)
                peer, requester.agreement = await connect(
                    nursery, link, child, self, self._offer, revisions, self._limits, self._garbage
                )
                requester.peer = peer
                if isinstance(link, HTTPLink):
                    link.while_waiting = functools.partial(self._waiting, peer)
                    link.on_login(requester.cache.drop)
                try:
                    if isinstance(peer, StreamablePeer) and not requester.is_stateless:
                        peer.session.begin_another = self._begin_another_session
                        peer.standing.on_gap = self._listening.miss
                        await peer.standing.open()
                    await self._ask_for_logs()
                    with whole.block():
                        yield
                finally:
                    # A callback that is calling the server is cancelled, and does not fail.
                    self._inbox.stop()
                    peer.connection.drop()
                    # The cancellations of calls that were given up still wait to be written.
                    peer.lose("the client was closed", tell=True)
                    with trio.CancelScope(shield=True, relative_deadline=_FLUSH_SECONDS):
                        await peer.flush()
                    nursery.cancel_scope.cancel(reason="the client was closed")

    @contextmanager
    def _waiting(self, peer: ConnectedPeer) -> Iterator[None]:
        """What a request waits for the user in: no deadline counts the time."""
        with self._requester.pauses.pause(), peer.pausing():
            yield

    async def _begin_another_session(self) -> None:
        """Begin another HTTP session, in the same way as the one that the server has forgotten."""
        requester, peer = self._requester, self._requester.peer
        assert isinstance(peer, StreamablePeer)
        revision = requester.agreement.terms.revision
        requester.agreement = await initialize(peer, self._offer, (revision,), self._garbage)
        await peer.standing.open()
        try:
            await self._ask_for_logs()
            await self._listening.subscribe_again()
        except MCPError as error:
            logger.warning("the new session lacks settings of the old one: %s", error)

    async def _ask_for_logs(self) -> None:
        """Ask for log messages if the client wants them and the server would not send them."""
        level = self._log_level
        is_stateless = self._requester.is_stateless
        if level is None and self._on_log is not None and is_stateless:
            level = "info"
        if level is not None and (is_stateless or self.capabilities.logging is not None):
            await self.set_log_level(level)

    async def run(self, *, task_status: trio.TaskStatus[Client] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the connection open until `close()`: for `await nursery.start(client.run)`."""
        async with self.opened():
            task_status.started(self)
            await self._closing.wait()

    def close(self) -> None:
        """End `run()`. May be called more than once."""
        self._closing.set()

    def kill_server(self) -> None:
        """Kill the server's process group at once, if this client has started it."""
        if self._child is not None:
            self._child.kill()

    @property
    def dropped_notifications(self) -> int:
        """How many notifications were dropped, since they came faster than the callbacks ran."""
        return self._inbox.dropped

    def clear_cache(self) -> None:
        """Drop all results in the cache."""
        self._requester.cache.drop()

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
        """Receive changes while the block runs::

            async with client.listen(resources=["messages://all"]) as changes:
                async for change in changes:
                    ...

        Several may be open at the same time. Changes before the block are not reported.

        Args:
            resources: URIs; each change of one is a `ResourceUpdated`.
            tools_list_changed: Whether to receive `ToolsListChanged`.
            prompts_list_changed: Whether to receive `PromptsListChanged`.
            resources_list_changed: Whether to receive `ResourcesListChanged`.
            timeout: Seconds for the server's agreement; listening itself has no bound.

        Raises:
            ValueError: No resource and no list is given.
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
        seconds = self._requester.timeout if timeout is None else timeout
        with unwrapping() as whole:
            async with self._listening.hear(wanted, seconds) as changes:
                try:
                    with whole.block():
                        yield changes
                finally:
                    changes.leave()

    # -- messages that the server sends unasked ----------------------------------------------------

    def on_notification(self, method: str, callback: Callable[[Any], object]) -> None:
        """Call a function, async or not, with the params of each notification of this method.

        Callbacks run one after another, in the order of arrival; when too many wait, the newest
        notifications are dropped and counted in `dropped_notifications`. An exception of a
        callback ends the client.

        Args:
            method: Such as `notifications/tools/list_changed`, or one of an extension.
            callback: Called with the params in wire form.
        """
        check_callback("the callback", callback, is_optional=False)
        self._callbacks[method] = callback

    async def notify(self, method: str, params: dict[str, Any] | None = None) -> None:
        """Send a notification to the server; for extensions."""
        peer = self._requester.peer
        await peer.send(peer.connection.notify(method, wire_mapping("params=", params)))

    async def notify_roots_changed(self) -> None:
        """Tell the server that the roots have changed.

        In the stateless era nothing is sent, since the server asks each time.

        Specification: Roots, Root List Changes (handshake era).
        """
        method = "notifications/roots/list_changed"
        peer = self._requester.peer
        known = method in self._requester.agreement.terms.revision.client_notifications
        await peer.send(peer.connection.notify(method) if known else None)

    async def handle(self, round_: Round) -> Any:
        """Handle one request of the server (handshake era)."""
        with self._requester.pauses.pause(), round_.peer.answering():
            return await self._answerer.handle(round_)

    def notified(self, peer: Peer, method: str, params: Raw | None) -> None:
        """Take a notification that belongs to no call."""
        try:
            wire = read_object(params)
            terms = None if peer.connection is None else peer.connection.terms
            if method == "notifications/message" and self._on_log is not None and terms is not None:
                said = reader_for(terms.revision).decode(wire, LoggingMessageNotificationParams)
                self._inbox.put(self._on_log, said)
        except (InvalidShape, DecodeError) as error:
            logger.debug("malformed %s: %s", method, error)
            return
        self._requester.cache.note_change(method)
        self._listening.tell(method, wire)
        callback = self._callbacks.get(method)
        if callback is not None:
            self._inbox.put(callback, wire)
