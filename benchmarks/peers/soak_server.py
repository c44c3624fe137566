"""The server under load in a soak, which tells what it holds.

`soak_server.py DOOR [--leak KIND,…]`; DOOR is `stdio`, `http` or `websocket`. With `--leak` it
is faulty on purpose, so that it can be seen that the verdict notices it.
"""

from __future__ import annotations

import argparse
import gc
import logging
import math
import os
import resource
import sys
from collections.abc import AsyncIterator  # noqa: TC003
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from pydantic import BaseModel

from trimcp import Context, Limits, RequestError, Server, ToolError
from trimcp.runtime._deadlines import Deadlines
from trimcp.runtime._workers import _Worker

#: What `--leak` makes it do.
LEAKS: Final = ("memory", "tasks", "descriptors", "log", "answers")

#: Bytes that a server that leaks memory keeps each time, and how often something is leaked: a fault
#: on purpose need not bring the machine down. The seconds in between leave enough of them for the
#: time after the warming up.
LEAKED_BYTES: Final = 1_000_000
MOST_LEAKS: Final = 200
LEAK_SECONDS: Final = 0.5

#: What peers leave behind is given up while somebody watches. An idle connection is kept for long:
#: on a busy machine a client may need seconds to use one that it has just seen open.
SHORT: Final = Limits(
    session_seconds=15, parked_seconds=15, body_seconds=15, send_seconds=15, header_seconds=60
)


class OnPurpose(Exception):
    """The unexpected error of a tool; it belongs to the load, and not to the faults of the log."""


class Sure(BaseModel):
    """What the client is asked."""

    sure: bool


def is_unwanted(record: logging.LogRecord) -> bool:
    """Whether a record is about anything but the error that is raised on purpose."""
    return record.exc_info is None or not isinstance(record.exc_info[1], OnPurpose)


#: Where a task waits that is kept for what may come: of these there is a bound.
_KEPT: Final = {_Worker._wait.__code__, Deadlines._run.__code__}


def all_tasks() -> int:
    """How many tasks there are in this process, besides those that are kept for what may come."""
    count, waiting = 0, [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        assert task is not None
        count += all(frame.f_code not in _KEPT for frame, _ in task.iter_await_frames())
        waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return count


def holdings(server: Server[Any], *, collect: bool) -> dict[str, Any]:
    """What this process holds.

    Args:
        server: Its statistics belong to it.
        collect: Whether the garbage is collected first.
    """
    if collect:
        gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "pid": os.getpid(),
        "memory": pages * resource.getpagesize(),
        "blocks": sys.getallocatedblocks(),
        "tasks": all_tasks(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "statistics": attrs.asdict(server.statistics()),
    }


class Leaky:
    """Does with calls, now and then, what no server should.

    Args:
        kinds: Those of `LEAKS` that it does.
    """

    def __init__(self, kinds: set[str]) -> None:
        self._kinds = kinds
        self._kept: list[object] = []
        self._count = 0
        self._sums = 0
        self._last = -math.inf

    def leak(self, nursery: trio.Nursery) -> None:
        """Once more, if it is time."""
        now = trio.current_time()
        if self._count >= MOST_LEAKS or now - self._last < LEAK_SECONDS:
            return
        self._count += 1
        self._last = now
        if "memory" in self._kinds:
            self._kept.append(bytearray(b"x" * LEAKED_BYTES))
        if "tasks" in self._kinds:
            nursery.start_soon(trio.sleep_forever)
        if "descriptors" in self._kinds:
            self._kept.append(os.open(os.devnull, os.O_RDONLY))
        if "log" in self._kinds:
            logging.getLogger("soak").error("an error on purpose")

    def sum(self, a: int, b: int) -> int:
        """Of two numbers; wrong every other time."""
        self._sums += 1
        return a + b + ("answers" in self._kinds and self._sums % 2)


def make_server(leaky: Leaky) -> Server[trio.Nursery]:
    """A server with a tool for each kind of load."""

    @asynccontextmanager
    async def lifespan(_: Server[trio.Nursery]) -> AsyncIterator[trio.Nursery]:
        async with trio.open_nursery() as nursery:
            yield nursery
            nursery.cancel_scope.cancel()

    server: Server[trio.Nursery] = Server("soak", limits=SHORT, lifespan=lifespan)

    @server.tool
    async def add(a: int, b: int, ctx: Context[trio.Nursery]) -> int:
        """The sum of two numbers."""
        leaky.leak(ctx.lifespan_context)
        return leaky.sum(a, b)

    @server.tool
    def add_in_thread(a: int, b: int) -> int:
        """The same in a worker thread."""
        return a + b

    @server.tool
    async def count(to: int) -> AsyncIterator[int]:
        """Numbers, one after another."""
        for number in range(to):
            yield number
            await trio.sleep(0.001)

    @server.tool
    async def steps(ctx: Context[Any]) -> str:
        """Says how far it is."""
        for step in range(5):
            await ctx.report_progress(step + 1, 5)
        return "done"

    @server.tool
    async def ask(ctx: Context[Any]) -> str:
        """Asks the user."""
        answer = await ctx.elicit("Sure?", Sure)
        return str(answer.sure)

    @server.tool
    async def hang() -> None:
        """Never ends by itself, and waits in a task of its own."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)

    @server.tool
    async def fail(how: str) -> None:
        """Fails in one of three ways."""
        raise {"tool": ToolError, "unexpected": OnPurpose}.get(how, _refused)("on purpose")

    @server.tool
    async def touch() -> None:
        """The resource changes."""
        await server.notify_resource_updated("soak://data")

    @server.resource("soak://data")
    async def data() -> str:
        """Something that changes."""
        return "data" * 100

    @server.tool
    async def holds(collect: bool) -> dict[str, Any]:
        """What the process holds."""
        return holdings(server, collect=collect)

    return server


def _refused(text: str) -> RequestError:
    return RequestError(1, text)


async def serve(server: Server[trio.Nursery], door: str) -> None:
    """Serve until told to end, and say at which port."""
    if door == "stdio":
        await server.serve_stdio()
        return
    served = trio.Event()

    async def serve_port(task_status: trio.TaskStatus[Any]) -> None:
        door_of = server.serve_http if door == "http" else server.serve_websocket
        await door_of("127.0.0.1", 0, task_status=task_status)
        served.set()

    async def follow_input() -> None:
        # Nothing is ever written to it: it becomes readable when whoever started this has gone.
        await trio.lowlevel.wait_readable(sys.stdin)
        server.shutdown()

    async with trio.open_nursery() as nursery:
        [address] = await nursery.start(serve_port)
        print(address.rpartition(":")[2] if door == "http" else address[1], flush=True)
        nursery.start_soon(follow_input)
        await served.wait()
        nursery.cancel_scope.cancel()


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("door", choices=["stdio", "http", "websocket"])
    parser.add_argument("--leak", type=lambda text: set(text.split(",")), default=set())
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger().handlers[0].addFilter(is_unwanted)
    trio.run(serve, make_server(Leaky(options.leak)), options.door)


if __name__ == "__main__":
    main()
