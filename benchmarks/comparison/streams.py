"""Streams of many small messages, and one large result."""

from __future__ import annotations

import functools
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from .lines import Lines, read_until, request, serving
from .peers import FASTMCP, SDK, TRIMCP, TYPESCRIPT
from .processes import STALL_SECONDS, BenchmarkError, deadline, listening, processor_time
from .results import Case, Quantity
from .running import Step, Workload
from .web import connected, receive

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence

    from .running import Bench

CHUNKS: Final = 1_000
SIZE: Final = 4 * 1024 * 1024

#: Results of one round.
RESULTS: Final = 5

PROGRAMS: Final = {
    TRIMCP: "features_trimcp.py",
    SDK: "features_python_sdk.py",
    FASTMCP: "features_fastmcp.py",
    TYPESCRIPT: "features_typescript.mjs",
}

PROGRESS: Final = "trimcp, progress"
TCP: Final = "trimcp, TCP"

TIME: Final = Quantity("time", "ms", 1)
PROCESSOR: Final = Quantity("processor", "ms", 1)

STREAM: Final = Case(
    "stream", f"{CHUNKS:,} chunks or progress notifications over stdio", (TIME, PROCESSOR), (SDK,)
)
LARGE: Final = Case("large", "A result of 4 MiB", (TIME, PROCESSOR), (TCP, SDK))


class Socket:
    """A server over TCP, and what is asked of it.

    Args:
        pid: Its process.
        connection: The connection to it.
    """

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid = pid
        self._connection = connection

    def exchange(self, line: bytes, identity: int) -> list[bytes]:
        """Send one line; all lines up to the answer with this id."""
        with deadline(STALL_SECONDS, "the server"):
            self._connection.sendall(line)
            ends = (b'"id":%d,' % identity, b'"id":%d}' % identity)
            return read_until(functools.partial(receive, self._connection), ends)


@contextmanager
def serving_tcp(command: Sequence[str]) -> Iterator[Socket]:
    """Run a server on a port, and connect."""
    with listening(command) as (pid, port), connected(port) as connection:
        yield Socket(pid, connection)


def server_of(bench: Bench, name: str) -> Lines | Socket:
    """The server of a row of the tables."""
    if name == TCP:
        command = bench.peers[TRIMCP].command("tcp_trimcp.py")
        return bench.keep(name, functools.partial(serving_tcp, command))
    peer = TRIMCP if name == PROGRESS else name
    command = bench.peers[peer].command(PROGRAMS[peer])
    return bench.keep(peer, functools.partial(serving, command))


def timed(bench: Bench, case: Case, name: str, line: bytes) -> list[bytes]:
    """One exchange, which is measured."""
    server = server_of(bench, name)
    before = processor_time(server.pid)
    began = time.perf_counter()
    lines = server.exchange(line, 111)
    seconds = time.perf_counter() - began
    spent = processor_time(server.pid) - before
    bench.results.add(case, name, seconds * 1000, spent * 1000)
    return lines


def stream(bench: Bench, name: str, *, is_first: bool) -> None:
    """One round of a stream."""
    chunks = bench.plan.size(CHUNKS, 50)
    tool = "stream" if name == TRIMCP else "progress"
    params = {"name": tool, "arguments": {"count": chunks}}
    line = request(111, params, progressToken=7)
    if is_first:
        server_of(bench, name).exchange(line, 111)
    for _ in range(bench.plan.size(RESULTS, 1)):
        lines = timed(bench, STREAM, name, line)
        told = sum(b"notifications/progress" in each for each in lines)
        if (told, len(lines)) != (chunks, chunks + 1) or b'"error"' in lines[-1]:
            raise BenchmarkError(f"{told} of {chunks} chunks in {len(lines)} lines: {lines[-1]!r}")


def large(bench: Bench, name: str, *, is_first: bool) -> None:
    """One round of large results."""
    size = bench.plan.size(SIZE, 100_000)
    line = request(111, {"name": "large", "arguments": {"size": size}})
    if is_first:
        server_of(bench, name).exchange(line, 111)
    for _ in range(bench.plan.size(RESULTS, 1)):
        [answer] = timed(bench, LARGE, name, line)
        content = json.loads(answer)["result"]["content"]
        if content != [{"type": "text", "text": "x" * size}]:
            raise BenchmarkError(f"a wrong answer: {answer[:2000]!r}")


def steps(bench: Bench) -> list[Step]:
    """Each kind, each round, each server."""
    names = bench.among(*PROGRAMS)
    mine = bench.among(TRIMCP)
    return [
        Step(
            f"{case.key}, round {number + 1}, {name}",
            functools.partial(run, bench, name, is_first=number == 0),
        )
        for case, run, rows in (
            (STREAM, stream, [*names, *(PROGRESS for _ in mine)]),
            (LARGE, large, [*names, *(TCP for _ in mine)]),
        )
        for number, name in bench.rounds(rows)
    ]


STREAMS: Final = Workload(
    "streams",
    "Streams and large results",
    f"A streaming tool of {CHUNKS:,} chunks. The other libraries have no streaming tools: theirs "
    f"reports progress {CHUNKS:,} times, and so does *{PROGRESS}*. A result of 4 MiB of text goes "
    "over stdio, and over TCP too.",
    (STREAM, LARGE),
    steps,
)
