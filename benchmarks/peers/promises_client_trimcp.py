"""The client of the experiments, as a user of trimcp writes one.

Usage: `python promises_client_trimcp.py STEP URL`, or a command instead of the URL. Each step is a
function; it prints in JSON what it saw.
"""

import json
import sys
from typing import Any

import trio

from trimcp import client_for, open_client

ERA = "handshake"

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
        await trio.sleep(0.1 * (6 - done))
        ended.append(done)

    async with open_client(target, revision=ERA) as client:
        await client.call_tool("countdown", {"steps": 5}, progress=callback)
        tell(began=list(began), ended=list(ended))


async def logs(target: Any) -> None:
    """The same with log messages."""
    began, ended = [], []

    async def callback(message: Any) -> None:
        number = int(message.data)
        began.append(number)
        await trio.sleep(0.1 * (6 - number))
        ended.append(number)

    async with open_client(target, revision=ERA, logging=callback) as client:
        await client.call_tool("chat", {"lines": 5, "size": 1})
        tell(began=list(began), ended=list(ended))


async def first_out(target: Any) -> None:
    """Two clients in one task; the first is closed first."""
    async with trio.open_nursery() as nursery:
        one = await nursery.start(client_for(target, revision=ERA).run)
        two = await nursery.start(client_for(target, revision=ERA).run)
        one.close()
        result = await two.call_tool("add", {"a": 2, "b": 3})
        two.close()
    tell(text=result.content[0].text)


async def other_task(target: Any) -> None:
    """Opened in one task, closed in another."""
    async with trio.open_nursery() as nursery:
        opened: list[Any] = []

        async def opening() -> None:
            opened.append(await nursery.start(client_for(target, revision=ERA).run))

        async def closing() -> None:
            result = await opened[0].call_tool("add", {"a": 2, "b": 3})
            opened[0].close()
            tell(text=result.content[0].text)

        async with trio.open_nursery() as first:
            first.start_soon(opening)
        nursery.start_soon(closing)


class Mine(Exception):
    """An exception of the user's own."""


async def bare(target: Any) -> None:
    """An exception inside of the block."""
    try:
        async with open_client(target, revision=ERA):
            raise Mine("mine")
    except BaseException as error:
        tell(type=type(error).__name__)


async def silence(target: Any, **options: float) -> None:
    """A call that is never answered."""
    async with open_client(target, revision=ERA) as client:
        began = trio.current_time()
        try:
            await client.call_tool("hang", **options)
        except Exception as error:
            tell(seconds=trio.current_time() - began, error=words(error))


async def timeout(target: Any) -> None:
    """With a timeout of its own."""
    await silence(target, timeout=1)


async def outer(target: Any) -> None:
    """Inside a deadline of the caller's."""
    async with open_client(target, revision=ERA) as client:
        began = trio.current_time()
        with trio.move_on_after(2):
            await client.call_tool("hang")
        tell(seconds=trio.current_time() - began)


async def leave(target: Any) -> None:
    """Leave the block, and stay alive."""
    async with open_client(target, revision=ERA):
        began = trio.current_time()
    tell(seconds=trio.current_time() - began)
    await trio.sleep_forever()


async def siblings(target: Any) -> None:
    """Three calls at once, of which the one of 1.25 s has an accident; then one more."""
    told: Told = {}

    async def one(name: str, seconds: float) -> None:
        try:
            with trio.fail_after(20):
                result = await client.call_tool("wait", {"seconds": seconds})
            told[name] = result.content[0].text
        except Exception as error:
            told[name] = words(error)
            told["cause"] = type(error.__cause__).__name__

    async with open_client(target, revision=ERA) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "victim", 1.25)
            nursery.start_soon(one, "left", 3)
            nursery.start_soon(one, "right", 3)
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
    trio.run(STEPS[step], rest[0] if rest[0].startswith("http") else rest)
