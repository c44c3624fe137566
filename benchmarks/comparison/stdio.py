"""Calls over standard streams: how many, and what one costs the server."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from .lines import serving
from .peers import BARE, FASTMCP, SDK, TRIMCP, TYPESCRIPT
from .processes import processor_time
from .results import COST, RATE, Case
from .running import Step, Workload

if TYPE_CHECKING:
    from .lines import Lines
    from .running import Bench

PROGRAMS: Final = {
    TRIMCP: "trimcp_server.py",
    SDK: "python_sdk.py",
    FASTMCP: "fastmcp_server.py",
    TYPESCRIPT: "typescript.mjs",
    BARE: "bare_loop.py",
}

MANY: Final = Case("stdio-64", "64 in flight", (RATE, COST), (TYPESCRIPT, SDK, BARE))
ONE: Final = Case("stdio-1", "1 in flight", (RATE, COST), (TYPESCRIPT, SDK, BARE))

IN_FLIGHT: Final = {64: MANY, 1: ONE}


def measure(bench: Bench, case: Case, peer: str, server: Lines, in_flight: int) -> None:
    """One round of one server."""
    before = processor_time(server.pid)
    count, seconds = server.load(in_flight, bench.plan.seconds)
    spent = processor_time(server.pid) - before
    bench.results.add(case, peer, count / seconds, spent / count * 1e6)


def step(bench: Bench, number: int, peer: str, in_flight: int) -> Step:
    """The server is started and warmed up at its first round."""

    def run() -> None:
        command = bench.peers[peer].command(PROGRAMS[peer])
        server = bench.keep(peer, functools.partial(serving, command))
        if number == 0:
            server.load(in_flight, bench.plan.seconds)
        measure(bench, IN_FLIGHT[in_flight], peer, server, in_flight)

    return Step(f"{in_flight} in flight, round {number + 1}, {peer}", run)


def steps(bench: Bench) -> list[Step]:
    """Each number of requests, each round, each server."""
    names = bench.among(*PROGRAMS)
    return [
        step(bench, number, peer, in_flight)
        for in_flight in IN_FLIGHT
        for number, peer in bench.rounds(names)
    ]


STDIO: Final = Workload(
    "stdio",
    "A tool call over stdio",
    "`add(a: int, b: int) -> int`, called by `tools/call` in revision 2026-07-28. `bare` is the "
    "least that a server on Trio can do: a task for each request, pydantic for the arguments, a "
    "channel to the one task that writes, and no other part of the protocol.",
    (MANY, ONE),
    steps,
)
