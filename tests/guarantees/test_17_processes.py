"""Guarantee 17: processes are tidy.

"The child dies (SIGKILL): pending calls fail at once with a typed error. The client leaves:
stdin closed, grace, SIGTERM, SIGKILL, to the whole process group (a cancelled exit shortens the
grace); no orphan remains, the child's children included. The parent dies: the server exits."
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Client, ProcessDied, RequestError, open_stdio_client
from trimcp.types import TextContent

from .harness import (
    ERAS,
    HANDSHAKE,
    PATIENCE,
    PROMPT,
    ROOT,
    Lines,
    Witness,
    command,
    started,
    stopwatch,
    witness,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

REVISIONS = ["2025-11-25", "2026-07-28"]


@asynccontextmanager
async def family(
    tmp_path: Path, *flags: str, **options: Any
) -> AsyncIterator[tuple[Client, Witness, Lines]]:
    """A client of a server that has a child; the witness sees both end.

    The client is left before the witness, which so can say who outlived it.
    """
    said = Lines()
    argv = command("family", tmp_path / "fifo", *flags)
    async with witness(tmp_path / "fifo") as seen:
        async with open_stdio_client(argv, cwd=ROOT, on_stderr=said.add, **options) as client:
            names = await seen.read_until(2)
            assert sorted(name.split()[0] for name in names) == ["child", "server"]
            yield client, seen, said
        # Nobody is left, and that at once.
        await seen.wait_all_gone(PROMPT)


async def pid_of(client: Client) -> int:
    [content] = (await client.call_tool("pid")).content
    assert isinstance(content, TextContent)
    return int(content.text)


# -- the child dies ---------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [(), ("--share-stdout",)], ids=["alone", "stdout shared"])
@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_child_is_killed(revision: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    failures: list[ProcessDied] = []

    async def fails(client: Client) -> None:
        with pytest.raises(ProcessDied) as caught:
            await client.call_tool("hang")
        failures.append(caught.value)

    async with family(tmp_path, *flags, revision=revision) as (client, _, said):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(fails, client)
            await said.wait_for(lambda _: said.seen.count("hang began") == 3)
            os.kill(await pid_of(client), signal.SIGKILL)
            with trio.fail_after(PROMPT):
                while len(failures) < 3:
                    await trio.testing.wait_all_tasks_blocked(0.01)
        assert {error.returncode for error in failures} == {-signal.SIGKILL}
        # What is asked from now on fails at once too.
        for ask in (client.ping, client.list_tools):
            with trio.fail_after(PROMPT), pytest.raises(ProcessDied):
                await ask()
        with stopwatch() as elapsed:
            pass
    assert elapsed() < PROMPT + PROMPT


async def test_the_child_ends_before_it_answers() -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such configuration')"]

    async def opening() -> None:
        async with open_stdio_client(argv):
            raise AssertionError("opened")

    with trio.fail_after(PATIENCE), pytest.raises(ProcessDied) as caught:
        await opening()
    assert caught.value.returncode == 1
    assert "no such configuration" in str(caught.value)


# -- the client leaves ------------------------------------------------------------------------


async def test_leaving_a_polite_server(tmp_path: Path) -> None:
    """It ends with its input; its child, which it left behind, is told as well."""
    with stopwatch() as elapsed:
        async with family(tmp_path, grace=600) as (client, _, _):
            await client.ping()
    assert elapsed() < PATIENCE


async def test_leaving_in_the_middle_of_a_call(tmp_path: Path) -> None:
    async with family(tmp_path, grace=600) as (client, _, said), trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "hang")
        await said.wait("hang began")
        nursery.cancel_scope.cancel()


async def test_leaving_a_polite_server_with_a_stubborn_child(tmp_path: Path) -> None:
    async with family(tmp_path, "--child-stubborn", grace=0.3) as (client, _, _):
        await client.ping()


async def test_leaving_a_stubborn_server_with_a_stubborn_child(tmp_path: Path) -> None:
    async with family(tmp_path, "--stubborn", "--child-stubborn", grace=0.3) as (client, _, _):
        await client.ping()
        leaving = trio.current_time()
    assert 0.6 <= trio.current_time() - leaving < 0.6 + PROMPT


async def test_a_cancelled_exit_gives_the_documented_grace(tmp_path: Path) -> None:
    """The grace, a second or two more for those who ignore everything, and nobody is left."""
    flags = ("--stubborn", "--child-stubborn")
    with trio.CancelScope() as scope, stopwatch() as elapsed:
        async with family(tmp_path, *flags, grace=0.3) as (client, seen, _):
            await client.ping()
            with stopwatch() as elapsed:
                scope.cancel()
    assert 0.3 + 1 <= elapsed() < 0.3 + 2 + PROMPT
    assert scope.cancelled_caught
    assert len(seen.lines.seen) == 2


async def test_an_exit_that_is_cancelled_half_way(tmp_path: Path) -> None:
    """The grace has begun when the cancellation comes."""
    argv = command("family", tmp_path / "fifo", "--stubborn", "--child-stubborn")
    async with witness(tmp_path / "fifo") as seen:
        with trio.CancelScope() as scope:
            async with open_stdio_client(argv, cwd=ROOT, grace=0.5):
                await seen.read_until(2)
                scope.deadline = trio.current_time() + 0.3
        with stopwatch() as elapsed:
            await seen.wait_all_gone(PROMPT)
        assert elapsed() < PROMPT


async def test_an_exception_leaves_nobody_behind(tmp_path: Path) -> None:
    async def use() -> None:
        async with family(tmp_path, "--child-stubborn", grace=0.3) as (client, _, _):
            await client.call_tool("no such tool")

    with pytest.raises(RequestError):
        await use()


# -- the parent dies --------------------------------------------------------------------------

PARENT = """
import subprocess, sys
subprocess.Popen(sys.argv[1:]).wait()
"""


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
async def test_the_server_notices_the_death_of_its_parent(busy: bool) -> None:
    """Its standard input stays open, in the hands of this test."""
    read, write = os.pipe()
    argv = [sys.executable, "-c", PARENT, *command("waiting", "stdio")]
    async with trio.lowlevel.FdStream(write) as stdin, started(argv, stdin=read) as parent:
        os.close(read)
        parent.sending = stdin
        await parent.shake_hands()
        if busy:
            for each in ERAS:
                await parent.send(each.call(each.revision, "hang", {"label": each.revision}))
            await parent.stderr.wait("2025-11-25 began", "2026-07-28 began")
        await parent.ask(HANDSHAKE.ping("ping"))
        parent.signal(signal.SIGKILL)
        # The server alone holds these ends of the pipes now.
        await parent.receive_all(within=0.5 + PROMPT)
        await parent.stderr.whole(within=PROMPT)
        assert "lifespan left" in parent.stderr.seen
        assert ("2025-11-25 finally" in parent.stderr.seen) is busy


async def test_a_server_is_not_confused_by_the_end_of_a_thread() -> None:
    """The thread that started it ends, the parent process lives: the server goes on."""
    program = (
        "import subprocess, sys, threading\n"
        "started = []\n"
        "def start():\n"
        "    started.append(subprocess.Popen(sys.argv[1:]))\n"
        "thread = threading.Thread(target=start)\n"
        "thread.start()\n"
        "thread.join()\n"
        "print('the thread has ended', file=sys.stderr, flush=True)\n"
        "sys.exit(started[0].wait())\n"
    )
    async with started([sys.executable, "-c", program, *command("waiting", "stdio")]) as parent:
        await parent.stderr.wait("the thread has ended", "listening")
        await parent.shake_hands()
        await parent.ask(HANDSHAKE.ping("ping"))
        await parent.close_stdin()
        assert (await parent.wait_exit(PROMPT))[0] == 0
