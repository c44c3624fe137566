"""Calls over HTTP, each by itself and within a session: how many, and what one costs the server."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from .peers import BARE, FASTMCP, SDK, TRIMCP, TYPESCRIPT
from .processes import listening, processor_time
from .results import COST, RATE, Case
from .running import Step, Workload
from .web import Caller, call, call_in_session, connected, load, open_session

if TYPE_CHECKING:
    from .running import Bench

CONNECTIONS: Final = 32

PROGRAMS: Final = {
    TRIMCP: "http_trimcp.py",
    SDK: "python_sdk.py",
    FASTMCP: "fastmcp_server.py",
    TYPESCRIPT: "http_typescript.mjs",
    BARE: "http_echo.py",
}

#: The documented server of the TypeScript SDK has no sessions, and the yardstick no eras.
WITH_SESSIONS: Final = (TRIMCP, SDK, FASTMCP)

STATELESS: Final = Case(
    "http-stateless", f"{CONNECTIONS} connections, stateless", (RATE, COST), (TYPESCRIPT, SDK, BARE)
)
SESSION: Final = Case(
    "http-session", f"{CONNECTIONS} connections, within a session", (RATE, COST), (SDK,)
)


def measure(bench: Bench, case: Case, peer: str, *, is_first: bool) -> None:
    """One round of one server, with connections of its own."""
    command = bench.peers[peer].command(PROGRAMS[peer])
    pid, port = bench.keep(peer, functools.partial(listening, command))
    ids = range(111, 111 + CONNECTIONS)
    if case is SESSION:
        headers = open_session(port)
        requests = [call_in_session(port, headers, each) for each in ids]
    else:
        requests = [call(port, each) for each in ids]
    with ExitStack() as stack:
        callers = [Caller(stack.enter_context(connected(port)), each) for each in requests]
        load(callers, bench.plan.seconds * (1 if is_first else 0.1))
        before = processor_time(pid)
        count, seconds = load(callers, bench.plan.seconds)
        spent = processor_time(pid) - before
    bench.results.add(case, peer, count / seconds, spent / count * 1e6)


def steps(bench: Bench) -> list[Step]:
    """Each era, each round, each server."""
    return [
        Step(
            f"{case.title}, round {number + 1}, {peer}",
            functools.partial(measure, bench, case, peer, is_first=number == 0),
        )
        for case, names in ((STATELESS, tuple(PROGRAMS)), (SESSION, WITH_SESSIONS))
        for number, peer in bench.rounds(bench.among(*names))
    ]


HTTP: Final = Workload(
    "http",
    "A tool call over HTTP",
    "The same `add`, with one request in flight on each connection. The Python SDK and FastMCP run "
    "on uvicorn as their own `run` starts it, the TypeScript SDK on Node's HTTP server. `bare` is "
    "an ASGI application that answers a fixed text, on the HTTP server of trimcp.",
    (STATELESS, SESSION),
    steps,
)
