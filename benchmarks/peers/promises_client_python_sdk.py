"""The client of the experiments with the official Python SDK, the way its documentation does it.

Usage: `python promises_client_python_sdk.py STEP URL`, or a command instead of the URL. Each step
is a function; it prints in JSON what it saw.
"""

import json
import os
import sys
from contextlib import AsyncExitStack
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

ERA = "legacy"

Told = dict[str, Any]


def words(error: BaseException) -> str:
    """An error in its own words."""
    return f"{type(error).__name__}: {error}"


def tell(**told: Any) -> None:
    """Say what was seen."""
    print(json.dumps(told), flush=True)


async def progress(target: Any) -> None:
    """Progress callbacks that await, the first ones longest."""
    began, ended = [], []

    async def callback(done: float, total: float | None, message: str | None) -> None:
        began.append(done)
        await anyio.sleep(0.1 * (6 - done))
        ended.append(done)

    async with Client(target, mode=ERA) as client:
        await client.call_tool("countdown", {"steps": 5}, progress_callback=callback)
        tell(began=list(began), ended=list(ended))


async def logs(target: Any) -> None:
    """The same with log messages."""
    began, ended = [], []

    async def callback(params: Any) -> None:
        number = int(params.data)
        began.append(number)
        await anyio.sleep(0.1 * (6 - number))
        ended.append(number)

    async with Client(target, mode=ERA, logging_callback=callback) as client:
        await client.call_tool("chat", {"lines": 5, "size": 1})
        tell(began=list(began), ended=list(ended))


async def first_out(target: Any) -> None:
    """Two clients in one task; the first is closed first."""
    one, two = AsyncExitStack(), AsyncExitStack()
    try:
        await one.enter_async_context(Client(target, mode=ERA))
        client = await two.enter_async_context(Client(target, mode=ERA))
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
        opened.append(await stack.enter_async_context(Client(target, mode=ERA)))

    async def closing() -> None:
        result = await opened[0].call_tool("add", {"a": 2, "b": 3})
        await stack.aclose()
        tell(text=result.content[0].text)

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(opening)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(closing)
    except BaseException as error:
        tell(error=words(error))
        os._exit(0)


class Mine(Exception):
    """An exception of the user's own."""


async def bare(target: Any) -> None:
    """An exception inside of the block."""
    try:
        async with Client(target, mode=ERA):
            raise Mine("mine")
    except BaseException as error:
        tell(type=type(error).__name__)


async def silence(target: Any, **options: float) -> None:
    """A call that is never answered."""
    async with Client(target, mode=ERA) as client:
        began = anyio.current_time()
        try:
            await client.call_tool("hang", **options)
        except Exception as error:
            tell(seconds=anyio.current_time() - began, error=words(error))


async def timeout(target: Any) -> None:
    """With a timeout of its own."""
    await silence(target, read_timeout_seconds=1)


async def outer(target: Any) -> None:
    """Inside a deadline of the caller's."""
    async with Client(target, mode=ERA) as client:
        began = anyio.current_time()
        with anyio.move_on_after(2):
            await client.call_tool("hang")
        tell(seconds=anyio.current_time() - began)


async def leave(target: Any) -> None:
    """Leave the block, and stay alive."""
    async with Client(target, mode=ERA):
        began = anyio.current_time()
    tell(seconds=anyio.current_time() - began)
    await anyio.sleep_forever()


async def siblings(target: Any) -> None:
    """Three calls at once, of which the one of 1.25 s has an accident; then one more."""
    told: Told = {}

    async def one(name: str, seconds: float) -> None:
        try:
            with anyio.fail_after(20):
                result = await client.call_tool("wait", {"seconds": seconds})
            told[name] = result.content[0].text
        except Exception as error:
            told[name] = words(error)
            told["cause"] = type(error.__cause__).__name__

    async with Client(target, mode=ERA) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, "victim", 1.25)
            tasks.start_soon(one, "left", 3)
            tasks.start_soon(one, "right", 3)
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
    is_url = rest[0].startswith("http")
    where = rest[0] if is_url else StdioServerParameters(command=rest[0], args=rest[1:])
    anyio.run(STEPS[step], where)
