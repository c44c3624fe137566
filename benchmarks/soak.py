"""Load servers in every way for a time, watch what they hold, and judge it.

Servers run in processes of their own, over stdio, HTTP and WebSocket. After a warming up their load
is stopped, and what they hold is noted; then they are loaded for the time given, and afterwards
they must hold the same. See README.md.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import trio
from peers.soak_server import LEAKS, all_tasks
from soak_load import (
    HTTP_EXCHANGES,
    PATIENT,
    REVISIONS,
    WEBSOCKET_EXCHANGES,
    WORK,
    Done,
    Load,
    answer,
    raw,
    work_at,
    work_over_pipes,
)
from soak_report import Holdings, Run, Watched, draw, findings, report

from trimcp import open_client, open_stdio_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp import Client

SERVER: Final = Path(__file__).resolve().parent / "peers" / "soak_server.py"

#: How often each kind of work is done at least: while warming up, so that everything that is loaded
#: or made at its first use is there; and afterwards. A slow machine gets more time for it.
WARM: Final = 8
LEAST: Final = 1

#: How long the warming up lasts, as a part of the load. Resident memory grows with the first peaks
#: of a load and stays; only what grows further can be kept for pieces of work.
WARMING: Final = 0.5

#: Seconds after which a kind of work that is not done counts as missing.
MISSING: Final = 300.0

#: Seconds in which nothing must change before a process counts as idle.
QUIET: Final = 3

#: Lines of a log that are kept to say what an error was.
MOST_LINES: Final = 20

#: Seconds for a server to end after SIGTERM.
ENDING: Final = 15.0


@dataclass
class Subject:
    """A server that is loaded and watched.

    Attributes:
        door: What its work is counted under.
        watched: What was seen of it.
        control: A client that asks what it holds.
        port: Where it listens; None over stdio.
        command: How another one is started.
    """

    door: str
    watched: Watched
    control: Client
    command: list[str]
    port: int | None = None
    _turn: trio.Lock = field(default_factory=trio.Lock)

    async def holdings(self, *, collect: bool = False) -> Holdings:
        """What it holds now, by its own account."""
        # Two at once would need a second connection over HTTP, which would be counted.
        async with self._turn:
            result = await self.control.call_tool("holds", {"collect": collect})
        told: dict[str, Any] = dict(result.structured_content)
        del told["pid"]
        return Holdings(**told)

    async def work(self, load: Load) -> None:
        """Do everything with it until the load stops."""
        if self.port is None:
            await work_over_pipes(load, self.door, self.control, self.command)
            return
        ways = {"http": [f"http://127.0.0.1:{self.port}/mcp", f"ws://127.0.0.1:{self.port}/ws",
                         f"http://127.0.0.1:{self.port}/sse"],
                "websocket": [f"ws://127.0.0.1:{self.port}/ws"]}  # fmt: skip
        exchanges = HTTP_EXCHANGES if self.door == "http" else WEBSOCKET_EXCHANGES
        port = self.port
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work_at, load, self.door, ways[self.door])
            nursery.start_soon(
                load.repeat, self.door, "raw", lambda number: raw(port, exchanges, number)
            )


@dataclass
class Loader:
    """This process, which is watched like the servers."""

    watched: Watched = field(default_factory=lambda: Watched("client"))

    async def holdings(self, *, collect: bool = False) -> Holdings:
        """What it holds now."""
        if collect:
            gc.collect()
        await trio.lowlevel.checkpoint()
        return Holdings(
            resident(os.getpid()),
            all_tasks(),
            len(os.listdir("/proc/self/fd")),
            sys.getallocatedblocks(),
        )


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def children() -> list[str]:
    """The processes that this one has started and that still live, with their names."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = path.read_text().rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == os.getpid():
            found.append(f"{head})")
    return found


# -- servers ------------------------------------------------------------------------------------


def note(log: list[str], line: str) -> None:
    """Keep a line of a log if it is about an error."""
    if line.startswith(("ERROR", "CRITICAL", "Traceback", "Exception")):
        log.append(line)
    elif log and "Error: " in line and len(log) < MOST_LINES:
        log.append(line.strip(" |"))


@asynccontextmanager
async def over_pipes(revision: str, leak: list[str]) -> AsyncIterator[Subject]:
    """A server over stdio."""
    watched = Watched(f"stdio {revision}")
    command = [sys.executable, str(SERVER), "stdio"]
    async with open_stdio_client(
        [*command, *leak],
        revision=revision,
        elicitation=answer,
        **PATIENT,
        on_stderr=functools.partial(note, watched.log),
    ) as control:
        yield Subject("stdio", watched, control, command)


@asynccontextmanager
async def at_port(door: str, leak: list[str]) -> AsyncIterator[Subject]:
    """A server with a port; it must end in good order when it is told to.

    It also ends with its input, so that it does not outlive this process.
    """
    watched = Watched(door)
    command = [sys.executable, str(SERVER), door, *leak]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    # The streams are closed outside of the nursery: where it is cancelled, closing would raise.
    async with process.stdin, process.stdout, process.stderr, trio.open_nursery() as nursery:
        nursery.start_soon(pump, process.stderr, watched.log)
        try:
            port = int(await process.stdout.receive_some())
            url = f"http://127.0.0.1:{port}/mcp" if door == "http" else f"ws://127.0.0.1:{port}/ws"
            async with open_client(url, revision=REVISIONS[1], **PATIENT) as control:
                yield Subject(door, watched, control, command, port)
            process.send_signal(signal.SIGTERM)
            with trio.move_on_after(ENDING):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True, relative_deadline=ENDING):
                watched.status = await process.wait()
            nursery.cancel_scope.cancel()


async def pump(stream: trio.abc.ReceiveStream, log: list[str]) -> None:
    """Read a log to its end."""
    rest = ""
    async for data in stream:
        *lines, rest = (rest + bytes(data).decode(errors="replace")).split("\n")
        for line in lines:
            note(log, line)


# -- the run ------------------------------------------------------------------------------------


@dataclass
class Soak:
    """One run.

    Attributes:
        subjects: The servers.
        seconds: How long they are loaded.
        interval: Seconds between two samples.
        patience: Seconds for a process to come back to what it held, once its load has stopped.
    """

    subjects: list[Subject]
    seconds: float
    interval: float
    patience: float
    client: Loader = field(default_factory=Loader)
    began: float = field(default_factory=time.monotonic)

    @property
    def all(self) -> list[Subject | Loader]:
        """The processes that are watched."""
        return [*self.subjects, self.client]

    async def run(self) -> Done:
        """Warm up, load, and note what is held before and after."""
        warming = Done()
        async with trio.open_nursery() as nursery:
            for each in self.all:
                nursery.start_soon(self._sample, each)
            fresh = {each.watched.name: (await each.holdings()).statistics for each in self.all}
            say("warming up")
            await self._load(warming, self.seconds * WARMING, WARM)
            await self._settle("before", fresh)
            say("the load begins")
            done = Done(errors=warming.errors, failed=warming.failed)
            await self._load(done, self.seconds, LEAST)
            say("the load has ended")
            await self._settle("after", fresh)
            nursery.cancel_scope.cancel()
        for subject in self.subjects:
            subject.watched.done = done.of(subject.door)
        self.client.watched.done = done.counts.total()
        return done

    @property
    def kinds(self) -> set[tuple[str, str]]:
        """The kinds of work, by door."""
        kinds = [*WORK, "reconnects", "raw"]
        return {(subject.door, kind) for subject in self.subjects for kind in kinds}

    async def _load(self, done: Done, seconds: float, least: int) -> None:
        load = Load(done)
        async with trio.open_nursery() as nursery:
            for subject in self.subjects:
                nursery.start_soon(subject.work, load)
            await trio.sleep(seconds)
            with trio.move_on_after(MISSING):
                await done.wait_for(self.kinds, least)
            load.stopping.set()

    async def _settle(self, moment: str, fresh: dict[str, dict[str, int]]) -> None:
        """Note what each process holds when it has nothing to do; the clients' own last."""
        async with trio.open_nursery() as nursery:
            for subject in self.subjects:
                nursery.start_soon(self._settle_one, subject, moment, fresh)
        await self._settle_one(self.client, moment, fresh)

    async def _settle_one(
        self, each: Subject | Loader, moment: str, fresh: dict[str, dict[str, int]]
    ) -> None:
        """Wait until it has nothing to do and holds what it held before.

        Before the load, that is when nothing changes any more.
        """
        before = each.watched.before
        begun = since = trio.current_time()
        seen = await each.holdings(collect=True)
        while (now := trio.current_time()) - begun < self.patience:
            is_back = before is None or seen.is_as_idle_as(before)
            if is_back and now - since >= QUIET and seen.statistics == fresh[each.watched.name]:
                break
            await trio.sleep(0.5)
            found = await each.holdings(collect=True)
            if not found.is_as_idle_as(seen):
                since = trio.current_time()
            seen = found
        setattr(each.watched, moment, seen)

    async def _sample(self, each: Subject | Loader) -> None:
        """Note again and again what a process holds."""
        while True:
            seen = await each.holdings()
            each.watched.series.append((time.monotonic() - self.began, seen))
            await trio.sleep(self.interval)


def say(text: str) -> None:
    """What happens, for who waits."""
    print(text, file=sys.stderr, flush=True)


async def soak(options: argparse.Namespace) -> Run:
    """Start the servers, load them, and end them."""
    leak = ["--leak", options.leak] if options.leak else []
    async with (
        over_pipes(REVISIONS[0], leak) as old,
        over_pipes(REVISIONS[1], leak) as new,
        at_port("http", leak) as http,
        at_port("websocket", leak) as websocket,
    ):
        run = Soak([old, new, http, websocket], options.seconds, options.interval, options.patience)
        done = await run.run()
    return Run(
        options.seconds,
        [each.watched for each in run.all],
        Counter(done.counts),
        run.kinds,
        done.errors,
        done.failed,
        children(),
    )


def leaks(text: str) -> str:
    """The kinds of faults that the servers shall have."""
    unknown = set(text.split(",")) - set(LEAKS)
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown} are none of {', '.join(LEAKS)}")
    return text


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--interval", type=float, default=1.0, help="between two samples")
    parser.add_argument(
        "--patience", type=float, default=60.0, help="for what must end when the load has ended"
    )
    parser.add_argument("--out", type=Path, help="the folder for soak.png and soak.svg")
    parser.add_argument(
        "--leak", type=leaks, help=f"make the servers faulty: {', '.join(LEAKS)}, with commas"
    )
    options = parser.parse_args()
    if options.out and importlib.util.find_spec("matplotlib") is None:
        parser.error("--out needs matplotlib: pip install --group benchmarks")
    run = trio.run(soak, options)
    found = findings(run)
    print(report(run, found))
    if options.out:
        print("Drawn:", *draw(run, options.out))
    sys.exit(not all(each.is_good for each in found))


if __name__ == "__main__":
    main()
