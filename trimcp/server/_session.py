"""One client, as long as it is connected."""

from __future__ import annotations

import functools
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic

import trio

from trimcp._groups import unwrapping
from trimcp.errors import INVALID_REQUEST, LimitExceeded, RequestError
from trimcp.protocol import (
    Era,
    PromptsListChanged,
    ResourcesListChanged,
    ToolsListChanged,
    method_of,
    params_of,
)

from ._hearing import Hearing
from ._lifespans import CLEANUP_SECONDS, entered, grant_cleanup
from ._typevars import LifespanT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from trimcp.protocol import Terms
    from trimcp.runtime import ConnectedPeer, Subscriber
    from trimcp.types import ClientCapabilities, Implementation

    from ._server import Server
    from ._services import Services

__all__ = ["Session"]

logger = logging.getLogger("trimcp.server")


class Session(Generic[LifespanT]):
    """A connection, or a session of the handshake era over HTTP.

    Requests of the stateless era over HTTP belong to no session.

    Attributes:
        id: The id of the session over HTTP; None elsewhere.
        context: What the server's `session_lifespan` yielded.
        hearing: Its notifications of extensions.
    """

    def __init__(
        self, application: Services, peer: ConnectedPeer, *, id: str | None = None
    ) -> None:
        self.id = id
        self.context: Any = None
        self._application = application
        self._peer = peer
        self._subscriber: Subscriber | None = None
        self._has_ended = False
        self.start_soon: Callable[..., bool] = peer.life.try_start
        handle = functools.partial(application.hear, self)
        limit = application.limits.in_flight
        self.hearing = Hearing(handle, limit, application.budget, self._start_soon)
        peer.data = self

    @property
    def server(self) -> Server[LifespanT]:
        """The server that serves it."""
        server: Server[LifespanT] = self._application.server
        return server

    @property
    def lifespan_context(self) -> LifespanT:
        """What the server's lifespan yielded."""
        value: LifespanT = self._application.value
        return value

    @property
    def client_info(self) -> Implementation | None:
        """The name and version from the client's handshake; None before it, or without one."""
        terms = self._terms
        return None if terms is None else terms.client_info

    @property
    def client_capabilities(self) -> ClientCapabilities | None:
        """What the client declared in the handshake; None before it, or without one."""
        terms = self._terms
        return None if terms is None else terms.capabilities

    @property
    def _terms(self) -> Terms | None:
        return None if self._has_ended else self._peer.connection.terms

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification of an extension, at any time.

        In the stateless era servers send only messages about a request: use `Context.notify` there.

        Args:
            method: Such as `notifications/com.example/moved`.
            params: A JSON object.

        Raises:
            RequestError: There was no handshake.
            LimitExceeded: It is longer than `Limits.message_bytes`.
        """
        connection, terms = self._peer.connection, self._terms
        if terms is None or terms.revision.era is not Era.HANDSHAKE:
            raise RequestError(INVALID_REQUEST, "without a handshake there is nobody to notify")
        wire = None if params is None else dict(params)
        await self._peer.send(connection.notify(method, wire))

    # -- for the application ----------------------------------------------------------------

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Session[LifespanT]]:
        """Keep the session's lifespan open during the block."""
        lifespan = self.server.session_lifespan
        try:
            if lifespan is None:
                yield self
                return
            with trio.CancelScope() as life, unwrapping():
                async with entered(lifespan(self)) as self.context:
                    try:
                        yield self
                    finally:
                        grant_cleanup(life)
            if life.cancelled_caught:
                logger.error("the cleanup of a session took longer than %g s", CLEANUP_SECONDS)
        finally:
            self.end_subscription()

    def _start_soon(self, function: Callable[..., Any], *args: Any) -> bool:
        return self.start_soon(function, *args)

    def begin(self) -> None:
        """Tell the client of changes from now on, since the handshake is complete."""
        if self._subscriber is not None:
            return
        lists = (ToolsListChanged, PromptsListChanged, ResourcesListChanged)
        try:
            self._subscriber = self._application.hub.join(lists)
        except LimitExceeded as error:
            logger.warning("a session gets no notifications of changes: %s", error)
            return
        self._peer.at_drain.add(self._subscriber.close)
        self.start_soon(self._tell, self._subscriber)

    async def _tell(self, subscriber: Subscriber) -> None:
        connection = self._peer.connection
        while (change := await subscriber.next()) is not None:
            try:
                data = connection.notify(method_of(change), params_of(change))
            except LimitExceeded as error:
                logger.warning("a client does not get a notification: %s", error)
            else:
                await self._peer.send(data)

    def subscribe(self, uri: str) -> None:
        """Tell the client of changes of this resource. Raises RequestError."""
        if not self._peer.connection.is_initialized:
            raise RequestError(INVALID_REQUEST, "the client has not finished the handshake")
        if self._subscriber is None:
            raise LimitExceeded("there are too many subscribers for this session to be one")
        self._application.hub.add(self._subscriber, uri)

    def unsubscribe(self, uri: str) -> None:
        """Undo `subscribe`; does nothing if there was none."""
        if self._subscriber is not None:
            self._application.hub.remove(self._subscriber, uri)

    def end_subscription(self) -> None:
        """Tell its client of no more changes, and send it nothing more."""
        self._has_ended = True
        if self._subscriber is not None:
            self._peer.at_drain.discard(self._subscriber.close)
            self._subscriber.close()
            self._application.hub.leave(self._subscriber)
            self._subscriber = None
