"""Calls by clients, in memory and over stdio: how many, and what one costs the client."""

from __future__ import annotations

import functools
import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from .peers import FASTMCP, SDK, TRIMCP, TYPESCRIPT
from .processes import STALL_SECONDS, deadline, processor_time, started
from .results import COST, RATE, Case
from .running import Step, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .processes import Program
    from .running import Bench

PROGRAMS: Final = {
    TRIMCP: "client_trimcp.py",
    SDK: "client_python_sdk.py",
    FASTMCP: "client_fastmcp.py",
    TYPESCRIPT: "client_typescript.mjs",
}

#: The TypeScript SDK's client is measured over stdio only.
IN_MEMORY: Final = (TRIMCP, SDK, FASTMCP)

# What the clients cost comes first: a rate over stdio is bounded by the server and the pipes, too.
QUANTITIES: Final = (COST, RATE)

CASES: Final = {
    (place, at_once): Case(
        f"client-{place}-{at_once}",
        f"{'in memory' if place == 'memory' else 'over stdio'}, {at_once} at "
        f"{'a time' if at_once == 1 else 'once'}",
        QUANTITIES,
        (SDK,),
    )
    for place in ("memory", "stdio")
    for at_once in (32, 1)
}


class Client:
    """A client in a process of its own.

    Args:
        program: The process.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.pid = program.pid
        self._said = program.process.stdout
        self._expect(b"ready")

    def work(self, at_once: int, seconds: float) -> tuple[int, float]:
        """Call for a time; the number of answers, and how long it took."""
        self._program.stdin.write(f"{at_once} {seconds}\n".encode())
        told = json.loads(self._expect(b"calls"))
        return told["calls"], told["seconds"]

    def _expect(self, word: bytes) -> bytes:
        assert self._said is not None
        with deadline(STALL_SECONDS, "the client"):
            line: bytes = self._said.readline()
        if word not in line:
            raise self._program.gone()
        return line


@contextmanager
def client(command: Sequence[str]) -> Iterator[Client]:
    """Run a client."""
    with started(command) as program:
        yield Client(program)


def measure(bench: Bench, number: int, peer: str, place: str, at_once: int) -> None:
    """One round of one client."""
    server = bench.peers[TRIMCP].command("trimcp_server.py")
    command = bench.peers[peer].command(
        PROGRAMS[peer], *(["memory"] if place == "memory" else server)
    )
    caller = bench.keep((peer, place), functools.partial(client, command))
    if number == 0:
        caller.work(at_once, bench.plan.seconds / 2)
    before = processor_time(caller.pid)
    count, seconds = caller.work(at_once, bench.plan.seconds)
    spent = processor_time(caller.pid) - before
    bench.results.add(CASES[place, at_once], peer, spent / count * 1e6, count / seconds)


def steps(bench: Bench) -> list[Step]:
    """Each case, each round, each client."""
    return [
        Step(
            f"{case.title}, round {number + 1}, {peer}",
            functools.partial(measure, bench, number, peer, place, at_once),
        )
        for (place, at_once), case in CASES.items()
        for number, peer in bench.rounds(
            bench.among(*(IN_MEMORY if place == "memory" else PROGRAMS))
        )
    ]


CLIENT: Final = Workload(
    "client",
    "A client's `call_tool`",
    "Each client calls `add`. In memory the server is of the same library, and the processor time "
    "is that of both; over stdio all clients talk to the server of trimcp, and it is that of the "
    "client's process.",
    tuple(CASES.values()),
    steps,
)
