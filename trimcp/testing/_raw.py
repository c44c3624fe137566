"""Exchanging JSON-RPC messages with a server, without a client."""

from __future__ import annotations

import collections
import itertools
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp._groups import unwrapping
from trimcp.limits import Limits
from trimcp.protocol import (
    HANDSHAKE_REVISIONS,
    LATEST,
    LATEST_HANDSHAKE,
    Connection,
    Role,
    Terms,
    find_revision,
)
from trimcp.transports import Oversized, open_memory_channels
from trimcp.types import ClientCapabilities, Implementation, InitializeRequestParams

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from trimcp.transports import MessageChannel
    from trimcp.types import LoggingLevel

    from ._stand_in import Served, Serving

__all__ = ["RawPeer", "open_raw_peer", "stateless"]

_IDENTITY: Final = Implementation("raw peer", "1")

#: How many messages may stay unread while `request` waits for its answer.
_UNREAD: Final = 10_000

#: Seconds that the server's requests in flight get at shutdown.
_GRACE: Final = 5.0


def stateless(
    params: Mapping[str, Any] | None = None,
    *,
    revision: str = LATEST.date,
    capabilities: ClientCapabilities | None = None,
    log_level: LoggingLevel | None = None,
) -> dict[str, Any]:
    """Params with the `_meta` that every request of the stateless era carries.

    Args:
        params: The request's own params; existing members of `_meta` are kept.
        revision: The revision of the request, which may be an unknown one.
        capabilities: What the client can do; nothing by default.
        log_level: How severe a log message must be for the server to send it; by default it
            sends none.

    Specification: 2026-07-28, Versioning and Compatibility.
    """
    terms = Terms(LATEST, _IDENTITY, capabilities or ClientCapabilities(), log_level)
    wire = dict(params or {})
    meta = {
        key: revision if value == LATEST.date else value
        for key, value in _wire_of("server/discover", {}, terms)["_meta"].items()
    }
    return {**wire, "_meta": {**meta, **wire.get("_meta", {})}}


def _wire_of(method: str, params: Any, terms: Terms) -> dict[str, Any]:
    """The params of a request in the form that a client sends."""
    _, data = Connection(Role.CLIENT, _IDENTITY, Limits()).call(method, params, terms=terms)
    wire: dict[str, Any] = json.loads(data)["params"]
    return wire


class RawPeer:
    """One end of a connection, with messages as decoded JSON. For one task at a time.

    Attributes:
        channel: The connection.
    """

    def __init__(self, channel: MessageChannel) -> None:
        self.channel = channel
        self._unread: collections.deque[Any] = collections.deque()
        self._arrived: collections.deque[Any] = collections.deque()
        self._ids = itertools.count(1)
        self._conflict = trio.Lock()

    async def send(self, *messages: Any) -> None:
        """Send messages, each as one line.

        Args:
            messages: JSON-RPC messages as mappings, lists of them for batches, or bytes that are
                sent unchanged.

        Raises:
            trio.BrokenResourceError, trio.ClosedResourceError: The other side is gone, or
                `close` was called.
        """
        for message in messages:
            data = message if isinstance(message, bytes) else json.dumps(message).encode()
            await self.channel.outbox.send(data)

    async def receive(self) -> Any:
        """The next message that was not the answer to a `request`; a list for a batch.

        Raises:
            trio.EndOfChannel: The other side is gone.
            ValueError: The message is not JSON, or too large.
        """
        if self._unread:
            await trio.lowlevel.checkpoint()
            return self._unread.popleft()
        return await self._next()

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        id: int | str | None = None,
    ) -> dict[str, Any]:
        """Send a request and wait for the message that answers it.

        Other messages that arrive meanwhile are kept for `receive`.

        Args:
            method: The method.
            params: Its params; for the stateless era `stateless(...)`.
            id: Its id; by default the next number.

        Returns:
            The whole answer, with `result` or `error`.

        Raises:
            trio.EndOfChannel: The other side is gone.
            RuntimeError: Too many other messages arrived.
        """
        identity = next(self._ids) if id is None else id
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": identity, "method": method}
        if params is not None:
            message["params"] = dict(params)
        await self.send(message)
        while True:
            received = await self._next()
            if _answers(received, identity):
                answer: dict[str, Any] = received
                return answer
            if len(self._unread) >= _UNREAD:
                raise RuntimeError(f"more than {_UNREAD} messages, and no answer to {method}")
            self._unread.append(received)

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification. Raises as `send`."""
        message = {"jsonrpc": "2.0", "method": method}
        await self.send(message if params is None else {**message, "params": dict(params)})

    async def initialize(
        self,
        revision: str = LATEST_HANDSHAKE.date,
        *,
        capabilities: ClientCapabilities | None = None,
    ) -> dict[str, Any]:
        """Open a session of the handshake era.

        Args:
            revision: The requested revision.
            capabilities: What the client can do; nothing by default.

        Returns:
            The server's whole answer.

        Specification: 2025-11-25, Lifecycle.
        """
        spoken = find_revision(revision)
        # The request itself is always written in a revision of this era.
        written = spoken if spoken in HANDSHAKE_REVISIONS else LATEST_HANDSHAKE
        params = InitializeRequestParams(revision, capabilities or ClientCapabilities(), _IDENTITY)
        answer = await self.request(
            "initialize", _wire_of("initialize", params, Terms(written, _IDENTITY))
        )
        if "result" in answer:
            await self.notify("notifications/initialized")
        return answer

    async def close(self) -> None:
        """Send nothing more, like a peer that disconnects. Messages can still be received."""
        await self.channel.flush()

    async def _next(self) -> Any:
        if self._conflict.locked():
            raise trio.BusyResourceError("another task is receiving from this peer")
        async with self._conflict:
            while not self._arrived:
                self._arrived.extend(await self.channel.incoming.receive())
            data = self._arrived.popleft()
        if isinstance(data, Oversized):
            raise ValueError(f"a message of {data.size} bytes is longer than the limit")
        return json.loads(data)


def _answers(message: Any, identity: int | str) -> bool:
    return isinstance(message, dict) and "method" not in message and message.get("id") == identity


@asynccontextmanager
async def open_raw_peer(server: Served, *, limits: Limits | None = None) -> AsyncIterator[RawPeer]:
    """Connect to a server in this process without a client.

    Args:
        server: A `Server`, or a `StandIn` for one.
        limits: The limits of this end; `message_bytes` bounds what it receives.

    Raises:
        NotServing: The server already serves, outside an `application()`.
    """
    async with (
        server.joined(signals=False) as serving,
        open_memory_channels(limits or Limits(), server.limits) as (ours, theirs),
    ):
        with unwrapping() as whole:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_serve, serving, theirs)
                try:
                    with whole.block():
                        yield RawPeer(ours)
                finally:
                    nursery.cancel_scope.cancel(reason="the raw peer was closed")


async def _serve(serving: Serving, channel: MessageChannel) -> None:
    try:
        await serving.serve(channel, grace=_GRACE)
    finally:
        channel.outbox.close()
        channel.incoming.close()
