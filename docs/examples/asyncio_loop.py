"""Libraries made for asyncio in a server: aiosqlite and aiohttp, on one asyncio loop in Trio."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import aiosqlite
import trio
import trio_asyncio
from trio_asyncio import aio_as_trio, trio_as_aio

from trimcp import Context, Server, open_client

logger = logging.getLogger("asyncio_loop")


@dataclass
class App:
    db: aiosqlite.Connection
    http: aiohttp.ClientSession


@asynccontextmanager
async def opened() -> AsyncIterator[App]:
    """What asyncio code needs. It runs on asyncio, as everything below named `_…` does."""
    async with aiosqlite.connect(":memory:") as db, aiohttp.ClientSession() as http:
        await db.execute("CREATE TABLE notes (title)")
        yield App(db, http)


def log_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    logger.error("%s", context["message"], exc_info=context.get("exception"))


@asynccontextmanager
async def lifespan(server: Server[App]) -> AsyncIterator[App]:
    async with trio_asyncio.open_loop() as loop:
        # Without it, an error in a callback would end the loop, and the server with it.
        loop.set_exception_handler(log_error)
        async with aio_as_trio(opened()) as app:
            yield app


server = Server("asyncio", version="1.0", lifespan=lifespan)


@server.tool
async def add(title: str, ctx: Context[App]) -> int:
    """Add a note; how many there are."""
    return await aio_as_trio(_add)(ctx.lifespan_context.db, title)


async def _add(db: aiosqlite.Connection, title: str) -> int:
    await db.execute("INSERT INTO notes VALUES (?)", (title,))
    async with db.execute("SELECT count(*) FROM notes") as cursor:
        [[count]] = await cursor.fetchall()
    return int(count)


@server.tool
async def fetch(urls: list[str], ctx: Context[App]) -> list[str]:
    """Fetch pages."""
    return await aio_as_trio(_fetch)(ctx, urls)


async def _fetch(ctx: Context[App], urls: list[str]) -> list[str]:
    pages = []
    for number, url in enumerate(urls, 1):
        async with ctx.lifespan_context.http.get(url) as response:
            pages.append(await response.text())
        # From asyncio back to Trio.
        await trio_as_aio(ctx.report_progress)(number, len(urls))
    return pages


@server.tool
async def wait() -> None:
    """Wait until the client cancels the call."""
    await aio_as_trio(_wait)()


async def _wait() -> None:
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        print("asyncio hears that the call was cancelled")
        raise


@server.tool
async def hurry() -> str:
    """A deadline of asyncio cancels code of Trio."""
    return await aio_as_trio(_hurry)()


async def _hurry() -> str:
    try:
        await asyncio.wait_for(trio_as_aio(trio.sleep)(3600), timeout=0.01)
    except TimeoutError:
        return "too slow"
    return "in time"


# -- trying it ----------------------------------------------------------------------------------

pages = Server("pages")


@pages.custom_route("/hello")
async def hello(request: object) -> str:
    return "hello"


async def main() -> None:
    async with open_client(server) as client, trio.open_nursery() as nursery:
        [url] = await nursery.start(pages.serve_http, "127.0.0.1", 0)
        for title in ("milk", "tea"):
            print("notes:", (await client.call_tool("add", {"title": title})).text)
        fetched = await client.call_tool("fetch", {"urls": [f"{url}/hello"]})
        print("fetched:", fetched.structured_content)
        with trio.move_on_after(0.5):
            await client.call_tool("wait")
        print("hurry:", (await client.call_tool("hurry")).text)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
