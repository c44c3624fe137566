"""The smallest web server that serves one page."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["web_server"]


@asynccontextmanager
async def web_server(page: str) -> AsyncIterator[str]:
    """Answer every request with the page; its address."""
    async with trio.open_nursery() as nursery:
        handler = partial(_answer, page.encode())
        (listener,) = await nursery.start(
            partial(trio.serve_tcp, handler, 0, host="127.0.0.1", handler_nursery=nursery)
        )
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def _answer(page: bytes, stream: trio.SocketStream) -> None:
    async with stream:
        request = b""
        while b"\r\n\r\n" not in request:
            data = await stream.receive_some()
            if not data:
                return
            request += data
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        await stream.send_all(head.encode() + page)
