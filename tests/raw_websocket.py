"""A WebSocket client that sends what no library would: bytes, frames, halves of them."""

from __future__ import annotations

import json
import os
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterable

#: Seconds after which something promised counts as not done.
PATIENCE: Final = 10.0

#: The key of every handshake.
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def upgrade(
    host: str = "127.0.0.1",
    path: str = "/ws",
    *headers: tuple[str, str],
    subprotocol: str | None = "mcp",
    without: Iterable[str] = (),
) -> bytes:
    """The head of a handshake."""
    given = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", KEY),
        ("Sec-WebSocket-Version", "13"),
        *([] if subprotocol is None else [("Sec-WebSocket-Protocol", subprotocol)]),
        *headers,
    ]
    lines = [f"GET {path} HTTP/1.1", *(f"{n}: {v}" for n, v in given if n not in without), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def frame(
    opcode: int, payload: bytes = b"", *, last: bool = True, masked: bool = True, rsv: int = 0
) -> bytes:
    """One frame, as a client sends it."""
    head = bytes([(0x80 if last else 0) | rsv << 4 | opcode])
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        head += bytes([mask | len(payload)])
    elif len(payload) < 65536:
        head += struct.pack("!BH", mask | 126, len(payload))
    else:
        head += struct.pack("!BQ", mask | 127, len(payload))
    if not masked:
        return head + payload
    key = os.urandom(4)
    repeated = (key * (len(payload) // 4 + 1))[: len(payload)]
    number = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
    return head + key + number.to_bytes(len(payload), "big")


def text(message: object) -> bytes:
    """A message in one frame."""
    return frame(TEXT, json.dumps(message).encode())


def close_code(payload: bytes) -> int | None:
    """What a close frame says."""
    return int(struct.unpack("!H", payload[:2])[0]) if payload else None


@attrs.define(eq=False)
class RawWebSocket:
    """A connection, before or after its handshake."""

    stream: trio.abc.Stream
    _buffer: bytearray = attrs.field(factory=bytearray)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        with trio.fail_after(PATIENCE):
            await self.stream.send_all(data)

    async def head(self, within: float = PATIENCE) -> tuple[int, dict[str, str]]:
        """The head of an HTTP answer: its status and its headers. Raises EOFError."""
        with trio.fail_after(within):
            while b"\r\n\r\n" not in self._buffer:
                await self._receive()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        self._buffer = bytearray(rest)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}

    async def open(self, **options: Any) -> dict[str, str]:
        """Shake hands; the headers of the answer."""
        await self.send(upgrade(**options))
        status, headers = await self.head()
        assert status == 101, status
        return headers

    async def frame(self, within: float = PATIENCE) -> tuple[int, bytes]:
        """The next frame: opcode and payload. Raises EOFError."""
        with trio.fail_after(within):
            first, second = await self._take(2)
            size = second & 0x7F
            assert not second & 0x80, "a server must not mask"
            assert first & 0x80, "our side never sends fragments"
            if size >= 126:
                size = int.from_bytes(await self._take(2 if size == 126 else 8), "big")
            return first & 0x0F, await self._take(size)

    async def message(self, within: float = PATIENCE) -> Any:
        """The next frame, which must be a message."""
        opcode, payload = await self.frame(within)
        assert opcode == TEXT, (opcode, payload)
        return json.loads(payload)

    async def closed(self, within: float = PATIENCE) -> int | None:
        """The code of the next close frame; None if the stream ends without one."""
        try:
            with trio.fail_after(within):
                while True:
                    opcode, payload = await self.frame()
                    if opcode == CLOSE:
                        return close_code(payload)
        except (EOFError, trio.BrokenResourceError):
            return None

    async def ended(self, within: float = PATIENCE) -> None:
        """Wait for the end of the stream."""
        with trio.fail_after(within):
            try:
                while True:
                    await self._receive()
            except (EOFError, trio.BrokenResourceError):
                return

    async def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._receive()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _receive(self) -> None:
        data = await self.stream.receive_some()
        if not data:
            raise EOFError
        self._buffer += data


@asynccontextmanager
async def raw_websocket(
    port: int, ssl_context: ssl.SSLContext | None = None
) -> AsyncIterator[RawWebSocket]:
    """A TCP connection to a port of this machine, closed at the end."""
    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", port)
    if ssl_context is not None:
        stream = trio.SSLStream(
            stream,  # type: ignore[arg-type]
            ssl_context,
            server_hostname="localhost",
            https_compatible=True,
        )
    async with stream:
        yield RawWebSocket(stream)
