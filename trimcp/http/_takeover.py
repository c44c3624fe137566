"""Taking the connection of a WebSocket over from the ASGI server, where that is our own hosting.

ASGI carries messages alone: whether a ping was answered, what was too long and what was lost is not
told. So `serve_http` offers the connection below a handshake over HTTP/1.1 in its scope, and
whoever takes it answers the handshake and carries the frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from ._asgi import Receive, Scope, Send
    from ._http1 import Upgrade
    from ._sending import Sender

__all__ = ["Takeover", "takeover_of"]

#: An ASGI extension of our own hosting: a `Takeover`.
_TAKEOVER: Final = "trimcp.takeover"

_KEY: Final = b"sec-websocket-key"


class Takeover:
    """The receiving side of a connection, from the handshake of a WebSocket on.

    hypercorn's protocol receives from it, so that it notices a client that leaves, or does not
    wait for the answer to its handshake. After either it cannot be taken any more.

    Args:
        stream: The connection.
        sender: Writes to it until it is taken.
        upgrade: The handshake.

    Attributes:
        key: The key of the handshake.
        is_taken: Whether the application has the connection.
    """

    def __init__(self, stream: trio.abc.Stream, sender: Sender, upgrade: Upgrade) -> None:
        self.key = dict(upgrade.head.headers).get(_KEY, b"")
        self.is_taken = False
        self._stream = stream
        self._sender = sender
        self._beginning = upgrade.replayed()
        self._rest = b""
        self._callables: tuple[Receive, Send] | None = None
        #: The scope of waiting for the first bytes after the handshake.
        self._waiting = trio.CancelScope()
        self._has_waited = trio.Event()
        if upgrade.rest:
            self._has_waited.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive data; at first the handshake, and nothing when the application takes over."""
        beginning, self._beginning = self._beginning, b""
        if beginning:
            await trio.lowlevel.checkpoint()
            return beginning
        if self._has_waited.is_set():
            return await self._stream.receive_some(max_bytes)
        data: bytes | bytearray = b""
        try:
            with self._waiting:
                data = await self._stream.receive_some(max_bytes)
        finally:
            self._has_waited.set()
        if self.is_taken:
            # It has arrived in the same moment.
            self._rest, data = bytes(data), b""
        return data

    def offer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Offer the connection to the application that is called with these."""
        self._callables = receive, send
        scope["extensions"][_TAKEOVER] = self

    def is_offered_to(self, receive: Receive, send: Send) -> bool:
        """Whether an application may take the connection that was called with these callables.

        If they are not our own, somebody in between wants to see the messages.
        """
        is_open = not (self.is_taken or self._has_waited.is_set())
        return is_open and (receive, send) == self._callables

    async def take(self) -> tuple[trio.abc.Stream, bytes]:
        """The connection, and what was received after the handshake, which is not answered yet.

        Only where it is offered. For the ASGI server this is the end: it neither reads nor writes
        any more. Whoever takes the connection closes it.
        """
        self.is_taken = True
        self._sender.give_up()
        self._waiting.cancel(reason="the application takes the connection over")
        await self._has_waited.wait()
        return self._stream, self._rest


def takeover_of(scope: Scope, receive: Receive, send: Send) -> Takeover | None:
    """What an application may take over; None where it is not offered."""
    found: Takeover | None = (scope.get("extensions") or {}).get(_TAKEOVER)
    return found if found is not None and found.is_offered_to(receive, send) else None
