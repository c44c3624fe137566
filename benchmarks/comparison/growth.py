"""What a call costs when there are many tools, or many connections."""

from __future__ import annotations

import functools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from .lines import serving
from .peers import SDK, TRIMCP
from .processes import check_limits, listening, processor_time
from .results import COST, RATE, Case, Lines
from .running import Step, Workload
from .web import Caller, call, connected, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .running import Bench

TOOLS: Final = (10, 100, 1_000)
CONNECTIONS: Final = (10, 100, 1_000, 10_000)

#: Requests in flight, whatever the number of connections.
AT_ONCE: Final = 10

PROGRAMS: Final = {TRIMCP: "tools_trimcp.py", SDK: "tools_python_sdk.py"}

QUANTITIES: Final = (COST, RATE)

WITH_TOOLS: Final = {
    count: Case(f"tools-{count}", f"{count:,} tools, stdio, 64 in flight", QUANTITIES, (SDK,))
    for count in TOOLS
}
WITH_CONNECTIONS: Final = {
    count: Case(
        f"connections-{count}",
        f"{count:,} connections, HTTP, calls on all of them in turn, {AT_ONCE} in flight",
        QUANTITIES,
    )
    for count in CONNECTIONS
}


def with_tools(bench: Bench, number: int, count: int, peer: str) -> None:
    """One round of a server with so many tools."""
    command = bench.peers[peer].command(PROGRAMS[peer], bench.plan.size(count, count // 10))
    server = bench.keep((peer, count), functools.partial(serving, command))
    if number == 0:
        server.load(64, bench.plan.seconds / 2)
    before = processor_time(server.pid)
    calls, seconds = server.load(64, bench.plan.seconds)
    spent = processor_time(server.pid) - before
    bench.results.add(WITH_TOOLS[count], peer, spent / calls * 1e6, calls / seconds)


@contextmanager
def crowd(bench: Bench, count: int) -> Iterator[tuple[int, list[Caller]]]:
    """A server with so many connections; yields its process id and them."""
    command = bench.peers[TRIMCP].command("http_trimcp.py", "--many")
    with listening(command) as (pid, port), ExitStack() as stack:
        callers = [
            Caller(stack.enter_context(connected(port)), call(port, 100_000 + each))
            for each in range(count)
        ]
        # The first call of a connection is not like the others.
        load(callers, bench.plan.seconds / 2, AT_ONCE)
        yield pid, callers


def with_connections(bench: Bench, count: int) -> None:
    """One round of a server with so many connections."""
    actual = bench.plan.size(count, count // 10)
    check_limits(actual)
    pid, callers = bench.keep(count, functools.partial(crowd, bench, actual))
    before = processor_time(pid)
    calls, seconds = load(callers, bench.plan.seconds, AT_ONCE)
    spent = processor_time(pid) - before
    bench.results.add(WITH_CONNECTIONS[count], TRIMCP, spent / calls * 1e6, calls / seconds)


def steps(bench: Bench) -> list[Step]:
    """Each round, each number."""
    tools = [(count, peer) for count in TOOLS for peer in bench.among(*PROGRAMS)]
    return [
        Step(
            f"{count:,} tools, round {number + 1}, {peer}",
            functools.partial(with_tools, bench, number, count, peer),
        )
        for number, (count, peer) in bench.rounds(tools)
    ] + [
        Step(
            f"{count:,} connections, round {number + 1}",
            functools.partial(with_connections, bench, count),
        )
        for number, count in bench.rounds(CONNECTIONS)
    ]


GROWTH: Final = Workload(
    "growth",
    "Growth",
    "What a call of `add` costs beside many other tools, and with many open connections; the "
    "calls are made on all of them in turn. These are kept for long: "
    "`Limits(connections=15_000, header_seconds=600)`.",
    (*WITH_TOOLS.values(), *WITH_CONNECTIONS.values()),
    steps,
    (
        Lines("tools", {count: case.key for count, case in WITH_TOOLS.items()}),
        Lines("connections", {count: case.key for count, case in WITH_CONNECTIONS.items()}),
    ),
)
