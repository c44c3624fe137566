"""The client of the experiments with FastMCP, the way its documentation does it.

Usage: `python promises_client_fastmcp.py STEP URL`, or a command instead of the URL. Each step is a
function; it prints in JSON what it saw.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport

ERA = "legacy"

Told = dict[str, Any]


def words(error: BaseException) -> str:
    """An error in its own words."""
    return f"{type(error).__name__}: {error}"


def tell(**told: Any) -> None:
    """Say what was seen."""
    print(json.dumps(told), flush=True)


def to(target: Any) -> Any:
    """A transport of its own for each client, "for complete isolation between connections"."""
    if isinstance(target, str):
        return target
    return StdioTransport(command=target[0], args=target[1:], keep_alive=False)


async def progress(target: Any) -> None:
    """Progress callbacks that await, the first ones longest."""
    began, ended = [], []

    async def callback(done: float, total: float | None, message: str | None) -> None:
        began.append(done)
        await asyncio.sleep(0.1 * (6 - done))
        ended.append(done)

    async with Client(to(target), mode=ERA) as client:
        await client.call_tool("countdown", {"steps": 5}, progress_handler=callback)
        tell(began=list(began), ended=list(ended))


async def logs(target: Any) -> None:
    """The same with log messages."""
    began, ended = [], []

    async def callback(message: Any) -> None:
        # A text is wrapped into {"msg": …}.
        number = int(message.data["msg"] if isinstance(message.data, dict) else message.data)
        began.append(number)
        await asyncio.sleep(0.1 * (6 - number))
        ended.append(number)

    async with Client(to(target), mode=ERA, log_handler=callback) as client:
        await client.call_tool("chat", {"lines": 5, "size": 1})
        tell(began=list(began), ended=list(ended))


async def first_out(target: Any) -> None:
    """Two clients in one task; the first is closed first."""
    one, two = AsyncExitStack(), AsyncExitStack()
    try:
        await one.enter_async_context(Client(to(target), mode=ERA))
        client = await two.enter_async_context(Client(to(target), mode=ERA))
        await one.aclose()
        result = await client.call_tool("add", {"a": 2, "b": 3})
        await two.aclose()
    except BaseException as error:
        tell(error=words(error))
        os._exit(0)
    tell(text=result.content[0].text)


async def other_task(target: Any) -> None:
    """Opened in one task, closed in another."""
    stack = AsyncExitStack()
    opened: list[Any] = []

    async def opening() -> None:
        opened.append(await stack.enter_async_context(Client(to(target), mode=ERA)))

    async def closing() -> None:
        result = await opened[0].call_tool("add", {"a": 2, "b": 3})
        await stack.aclose()
        tell(text=result.content[0].text)

    try:
        await asyncio.create_task(opening())
        await asyncio.create_task(closing())
    except BaseException as error:
        tell(error=words(error))
        os._exit(0)


class Mine(Exception):
    """An exception of the user's own."""


async def bare(target: Any) -> None:
    """An exception inside of the block."""
    try:
        async with Client(to(target), mode=ERA):
            raise Mine("mine")
    except BaseException as error:
        tell(type=type(error).__name__)


async def silence(target: Any, **options: float) -> None:
    """A call that is never answered."""
    async with Client(to(target), mode=ERA) as client:
        began = asyncio.get_running_loop().time()
        try:
            await client.call_tool("hang", **options)
        except Exception as error:
            tell(seconds=asyncio.get_running_loop().time() - began, error=words(error))


async def timeout(target: Any) -> None:
    """With a timeout of its own."""
    await silence(target, timeout=1)


async def outer(target: Any) -> None:
    """Inside a deadline of the caller's."""
    async with Client(to(target), mode=ERA) as client:
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(2):
                await client.call_tool("hang")
        except TimeoutError:
            tell(seconds=asyncio.get_running_loop().time() - began)


async def leave(target: Any) -> None:
    """Leave the block, and stay alive."""
    async with Client(to(target), mode=ERA):
        began = asyncio.get_running_loop().time()
    tell(seconds=asyncio.get_running_loop().time() - began)
    await asyncio.Event().wait()


async def siblings(target: Any) -> None:
    """Three calls at once, of which the one of 1.25 s has an accident; then one more."""
    told: Told = {}

    async def one(name: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(20):
                result = await client.call_tool("wait", {"seconds": seconds})
            told[name] = result.content[0].text
        except Exception as error:
            told[name] = words(error)
            told["cause"] = type(error.__cause__).__name__

    async with Client(to(target), mode=ERA) as client:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(one("victim", 1.25))
            tasks.create_task(one("left", 3))
            tasks.create_task(one("right", 3))
        await one("after", 0.1)
    tell(**told)


STEPS = {
    each.__name__: each
    for each in (
        progress,
        logs,
        first_out,
        other_task,
        bare,
        silence,
        timeout,
        outer,
        leave,
        siblings,
    )
}

if __name__ == "__main__":
    step, *rest = sys.argv[1:]
    asyncio.run(STEPS[step](rest[0] if rest[0].startswith("http") else rest))
