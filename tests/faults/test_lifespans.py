"""A lifespan that fails on entry or exit, over every door: its error comes out, nothing is left.

Guarantees 1, 14 and 23.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from tests.network import Network
from trimcp import Server, open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DOORS = ["tcp", "http", "websocket", "stream", "memory"]


class LifespanFailed(Exception):
    """What the lifespan of a test raises."""


def a_server(when: str, seen: list[str]) -> Server[None]:
    """Its inner lifespan fails; the outer one notes that it was left."""

    @asynccontextmanager
    async def lifespan(_: Server[None]) -> AsyncIterator[None]:
        try:
            if when == "entry":
                raise LifespanFailed
            yield
            raise LifespanFailed
        finally:
            seen.append("left")

    server: Server[None] = Server("s", lifespan=lifespan)

    @server.background_task
    async def ticking() -> None:
        seen.append("begun")
        try:
            await trio.sleep_forever()
        finally:
            seen.append("ended")

    return server


async def serve(server: Server[None], door: str) -> None:
    """Open the door and close it again in good order."""
    if door == "memory":
        async with open_client(server):
            return
    if door == "stream":
        ours, theirs = memory_stream_pair()
        async with theirs:
            await ours.aclose()
            await server.serve_stream(theirs)
        return
    async with trio.open_nursery() as relays:
        with Network(relays).installed():
            async with trio.open_nursery() as nursery:
                door_of: Any = getattr(server, f"serve_{door}")
                await nursery.start(functools.partial(door_of, "127.0.0.1", 0))
                server.shutdown()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("when", ["entry", "exit"])
async def test_its_error_comes_out(when: str, door: str, autojump_clock: MockClock) -> None:
    """Once, as it is; and the same server can be served again."""
    seen: list[str] = []
    server = a_server(when, seen)
    for _ in range(2):
        with (
            trio.fail_after(60),
            pytest.RaisesGroup(LifespanFailed, flatten_subgroups=True, allow_unwrapped=True),
        ):
            await serve(server, door)
        await wait_all_tasks_blocked()
        expected = ["left"] if when == "entry" else ["begun", "ended", "left"]
        assert seen == expected
        assert server.running is None
        seen.clear()


PROGRAM = """
import sys
from contextlib import asynccontextmanager

import trio
from trimcp import Server

class LifespanFailed(Exception):
    pass

@asynccontextmanager
async def lifespan(server):
    if sys.argv[1] == "entry":
        raise LifespanFailed("meant to fail")
    yield
    raise LifespanFailed("meant to fail")

trio.run(Server("s", lifespan=lifespan).serve_stdio)
"""


@pytest.mark.parametrize("when", ["entry", "exit"])
def test_a_program_over_standard_streams_ends_with_its_error(when: str) -> None:
    """What was asked before is answered, and nothing but the answer is on the wire."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, when],
        input='{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "LifespanFailed: meant to fail"
    answers = done.stdout.splitlines()
    assert len(answers) == (when == "exit")
    assert all('"id":1' in each for each in answers)
