"""A server's process is killed at whichever moment: every call ends, and nobody is left behind.

Guarantee 17, for each message after which the end may come.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import ProcessDied, open_stdio_client

if TYPE_CHECKING:
    from trimcp import Client

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for processes by pidfd")

#: Seconds after which a promise counts as broken.
PATIENCE = 20.0

#: Calls at a time, and reports of each.
CALLS, REPORTS = 3, 4

PROGRAM = """
import os
import subprocess
import sys

import trio
from trimcp import Context, Server

server = Server("mortal")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])

@server.tool
def processes() -> list[int]:
    return [os.getpid(), child.pid]

@server.tool
async def work(reports: int, ctx: Context) -> str:
    for number in range(reports):
        await ctx.report_progress(number + 1)
        await trio.sleep(0.01)
    return "done"

trio.run(server.serve_stdio)
"""


async def wait_gone(descriptor: int) -> None:
    """Wait until the process of a descriptor has ended."""
    with trio.fail_after(PATIENCE):
        await trio.lowlevel.wait_readable(descriptor)
    os.close(descriptor)


class Killer:
    """Ends a process after so many reports."""

    def __init__(self, pid: int, after: int, signals: list[signal.Signals]) -> None:
        self._pid = pid
        self._left = after
        self._signals = signals

    async def note(self, done: float, total: float | None, message: str | None) -> None:
        await trio.lowlevel.checkpoint()
        self._left -= 1
        if self._left == 0:
            self.strike()

    def strike(self) -> None:
        for number in self._signals:
            os.kill(self._pid, number)


@pytest.mark.parametrize("after", range(0, CALLS * REPORTS, 2))
@pytest.mark.parametrize(
    "signals",
    [[signal.SIGKILL], [signal.SIGSTOP, signal.SIGKILL]],
    ids=["killed", "stopped-and-killed"],
)
async def test_every_call_ends_and_nobody_is_left(
    after: int, signals: list[signal.Signals]
) -> None:
    outcomes: list[str] = []

    async def work(client: Client, killer: Killer) -> None:
        try:
            result = await client.call_tool("work", {"reports": REPORTS}, progress=killer.note)
        except ProcessDied:
            outcomes.append("died")
        else:
            outcomes.append(result.text)

    with trio.fail_after(PATIENCE):
        async with open_stdio_client([sys.executable, "-c", PROGRAM]) as client:
            found: Any = (await client.call_tool("processes")).structured_content
            server, child = found
            left = [os.pidfd_open(each) for each in (server, child)]
            killer = Killer(server, after, signals)
            async with trio.open_nursery() as nursery:
                for _ in range(CALLS):
                    nursery.start_soon(work, client, killer)
                if after == 0:
                    killer.strike()
            if outcomes == ["done"] * CALLS:
                # Some reports were replaced by later ones.
                killer.strike()
            with pytest.raises(ProcessDied):
                await client.call_tool("work", {"reports": 1})
    assert len(outcomes) == CALLS
    assert set(outcomes) <= {"done", "died"}
    for each in left:
        await wait_gone(each)
