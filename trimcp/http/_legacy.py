"""HTTP+SSE: one event stream for each client, which sends its messages as POSTs.

It exists for clients that know no newer transport. A connection lasts as long as its stream.

Specification: 2024-11-05, Transports (HTTP with SSE); deprecated since 2025-03-26.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp._groups import unwrapping
from trimcp.protocol import Connection, Role, decode
from trimcp.protocol.http import EVENT_STREAM, encode_event
from trimcp.runtime import NETWORK_GRACE, ChannelPeer, quoted_path, root_of
from trimcp.transports import Incoming, MessageChannel, Outbox, write_out

from ._content import check_accept, check_content
from ._handshake import requests_in
from ._sessions import check_alone
from ._visits import Refused

if TYPE_CHECKING:
    from trimcp.runtime import HttpRequest, Principal, Serving

    from ._settings import Settings
    from ._visits import Visit

__all__ = ["MessagesEndpoint", "StreamEndpoint"]

_PARAMETER: Final = "session_id"


@attrs.frozen
class _Posted:
    """One message, and who posted it where the server asks that."""

    data: bytes
    principal: Principal | None


@attrs.frozen
class _Feed:
    """Where the messages of one client go.

    Attributes:
        owner: Whose stream it is; see `Principal.identity`.
        channel: Its end of it.
    """

    owner: object
    channel: trio.MemorySendChannel[_Posted]


@attrs.frozen
class _Streams:
    """The open streams, by the name that their client was told."""

    feeds: dict[str, _Feed] = attrs.field(factory=dict)


class _PostingPeer(ChannelPeer):
    """A client that posts its messages: each is of whoever posted it, with their token's scopes.

    Args:
        application: The application.
        channel: What is told to it.
        posted: What it posts.
        http: The request that has opened its stream.
    """

    def __init__(
        self,
        application: Serving,
        channel: MessageChannel,
        posted: trio.MemoryReceiveChannel[_Posted],
        http: HttpRequest,
    ) -> None:
        limits = application.limits
        connection = Connection(Role.SERVER, application.identity, limits)
        super().__init__(connection, channel, application, limits, budget=application.budget)
        self.http = http
        self.principal = http.principal
        self._posted = posted

    async def _read(self) -> None:
        async for each in self._posted:
            self.principal = each.principal
            self._dispatch(self.connection.receive(each.data))


def _streams_of(visit: Visit) -> _Streams:
    streams = visit.application.state.setdefault(_Streams, _Streams())
    assert isinstance(streams, _Streams)
    return streams


class StreamEndpoint:
    """Opens the event stream, whose first event tells the URL for POSTs.

    Args:
        settings: The user's options.
        messages_path: The path for POSTs.
    """

    methods = ("GET",)
    scopes: frozenset[str] = frozenset()

    def __init__(self, settings: Settings, messages_path: str) -> None:
        self._settings = settings
        self._messages_path = messages_path

    async def serve(self, visit: Visit) -> None:
        """Serve one client as long as its stream is open. Raises Refused."""
        check_accept(visit.headers, EVENT_STREAM)
        check_alone(visit.application)
        streams = _streams_of(visit)
        id = secrets.token_urlsafe(32)
        feed, posted = trio.open_memory_channel[_Posted](1)
        outbox = Outbox(visit.limits.outbox_bytes, visit.application.budget)
        _, nothing = trio.open_memory_channel[list[Incoming]](0)
        channel = MessageChannel(nothing, outbox, "HTTP+SSE client")
        peer = _PostingPeer(visit.application, channel, posted, visit.http)
        opened = trio.Event()

        def begin() -> None:
            streams.feeds[id] = _Feed(visit.owner, feed)
            opened.set()

        async def write() -> None:
            # Not before its messages are accepted, since a client may send a POST at once.
            await opened.wait()
            await visit.response.write(encode_event(self._endpoint(visit, id), event="endpoint"))
            await write_out(channel, deliver)

        async def deliver(batch: list[bytes]) -> None:
            events = [encode_event(data, event="message") for data in batch]
            await visit.response.write(b"".join(events))

        try:
            with unwrapping():
                async with trio.open_nursery() as nursery:

                    async def watch() -> None:
                        await visit.wait_gone(self._settings.keepalive)
                        nursery.cancel_scope.cancel(reason="the client went away")

                    nursery.start_soon(watch)
                    nursery.start_soon(write)
                    await visit.application.serve_peer(
                        peer, grace=NETWORK_GRACE, id=id, at_open=begin
                    )
                    nursery.cancel_scope.cancel(reason="the connection has ended")
        finally:
            streams.feeds.pop(id, None)
            feed.close()
        await visit.response.end()

    def _endpoint(self, visit: Visit, id: str) -> bytes:
        """The URL for POSTs, as the client sees it."""
        root = quoted_path(root_of(visit.http.scope))
        return f"{root}{self._messages_path}?{_PARAMETER}={id}".encode()


class MessagesEndpoint:
    """Takes the messages of the clients whose streams are open."""

    methods = ("POST",)
    scopes: frozenset[str] = frozenset()

    async def serve(self, visit: Visit) -> None:
        """Take one message. Raises Refused."""
        check_content(visit.headers)
        named = visit.http.query.get(_PARAMETER, [])
        feed = _streams_of(visit).feeds.get(named[0]) if len(named) == 1 else None
        if feed is None or feed.owner != visit.owner:
            # A stranger is told the same as one who guesses.
            raise Refused(404, "there is no such stream: open a new one")
        body = await visit.body()
        if visit.http.principal is not None:
            # A status can be told here only; the stream of events is open already.
            message = decode(body, nesting=visit.limits.nesting)
            visit.check_scopes(*requests_in(message, visit.limits.in_flight))
        try:
            await feed.channel.send(_Posted(body, visit.http.principal))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Refused(404, "the stream has ended: open a new one") from None
        await visit.response.whole(202)
