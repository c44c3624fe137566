"""A server inside a program that runs on asyncio: Trio as the guest of its loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx2
import trio

from trimcp import Server

server = Server("guest", version="1.0")


@server.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@asynccontextmanager
async def serving(server: Server[Any]) -> AsyncIterator[str]:
    """Serve on HTTP while the block runs; for asyncio. Yields the URL."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[str] = loop.create_future()
    done: asyncio.Future[Any] = loop.create_future()
    scope = trio.CancelScope()

    async def guest() -> None:
        async with trio.open_nursery() as nursery:
            with scope:
                [url] = await nursery.start(server.serve_http, "127.0.0.1", 0)
                ready.set_result(url)
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()

    async def end() -> None:
        scope.cancel()
        (await done).unwrap()

    trio.lowlevel.start_guest_run(
        guest,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        done_callback=done.set_result,
        host_uses_signal_set_wakeup_fd=True,
    )
    async with AsyncExitStack() as stack:
        # Whatever happens, Trio ends before the loop of asyncio does.
        stack.push_async_callback(end)
        # If it ends before it serves, its error must not be lost.
        await asyncio.wait([ready, done], return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            done.result().unwrap()
        yield ready.result()


async def main() -> None:
    async with serving(server) as url, httpx2.AsyncClient() as http:
        print("asyncio goes on while Trio serves")
        params = {"name": "add", "arguments": {"a": 2, "b": 3}}
        headers = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": "tools/call",
            "Mcp-Name": "add",
        }
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        call = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {**params, "_meta": meta},
        }
        answer = await http.post(f"{url}/mcp", json=call, headers=headers)
        print(answer.json()["result"]["structuredContent"])


if __name__ == "__main__":
    asyncio.run(main())
