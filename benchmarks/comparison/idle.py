"""What a server keeps for each client that does nothing at the moment."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from .lines import CALL, request
from .peers import BARE, FASTMCP, SDK, TRIMCP, TYPESCRIPT
from .processes import BenchmarkError, listening, memory
from .results import Case, Quantity
from .running import Step, Workload
from .web import connected, open_session, receive, stateless

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from .running import Bench

#: How many there are, after some that make the server load and allocate what it needs for any. By
#: default the SDKs have room for 1,024 subscriptions.
IDLE: Final = 1_000
FIRST: Final = 20

MEMORY: Final = Quantity("memory", "kB each", 1)

LISTEN: Final = Case("idle-listen", "`subscriptions/listen` over HTTP", (MEMORY,), (SDK,))
SESSION: Final = Case("idle-session", "session over HTTP", (MEMORY,), (SDK,))
TCP: Final = Case("idle-tcp", "connection over TCP", (MEMORY,), (BARE,))

#: FastMCP serves no `subscriptions/listen`, and the documented TypeScript server has no sessions.
PROGRAMS: Final = {
    LISTEN: {
        TRIMCP: "features_trimcp.py",
        SDK: "features_python_sdk.py",
        TYPESCRIPT: "features_typescript.mjs",
    },
    SESSION: {TRIMCP: "http_trimcp.py --many", SDK: "python_sdk.py", FASTMCP: "fastmcp_server.py"},
    TCP: {TRIMCP: "tcp_trimcp.py", BARE: "tcp_bare.py"},
}

UPDATES: Final = {"notifications": {"resourceSubscriptions": ["bench://data"]}}


def listen(port: int, stack: ExitStack) -> socket.socket:
    """A subscription that the server has acknowledged."""
    connection = stack.enter_context(connected(port))
    connection.sendall(stateless(port, "subscriptions/listen", UPDATES))
    data = b""
    while b"acknowledged" not in data:
        data += receive(connection)
        if b'"error"' in data or (data and not b"HTTP/1.1 200".startswith(data[:12])):
            raise BenchmarkError(f"no subscription: {data[:2000]!r}")
    return connection


def session(port: int, stack: ExitStack) -> None:
    """A session without an open connection."""
    open_session(port)


def connection(port: int, stack: ExitStack) -> None:
    """A connection that has called once."""
    opened = stack.enter_context(connected(port))
    opened.sendall(request(1, CALL))
    data = b""
    while not data.endswith(b"\n"):
        data += receive(opened)
    if b'"text":"5"' not in data:
        raise BenchmarkError(f"a wrong answer: {data[:2000]!r}")


MAKERS: Final[dict[Case, Callable[[int, ExitStack], object]]] = {
    LISTEN: listen,
    SESSION: session,
    TCP: connection,
}


def measure(bench: Bench, case: Case, peer: str) -> None:
    """One server, which is started for it."""
    command = bench.peers[peer].command(*PROGRAMS[case][peer].split())
    idle = bench.plan.size(IDLE, 50)
    with listening(command) as (pid, port), ExitStack() as stack:
        for _ in range(FIRST):
            MAKERS[case](port, stack)
        before = memory(pid)
        for _ in range(idle):
            MAKERS[case](port, stack)
        bench.results.add(case, peer, (memory(pid) - before) / idle / 1000)


def steps(bench: Bench) -> list[Step]:
    """What is kept hardly differs from round to round: three of them do."""
    rounds = min(3, bench.plan.rounds)
    return [
        Step(
            f"{case.title}, round {number + 1}, {peer}",
            functools.partial(measure, bench, case, peer),
        )
        for case, programs in PROGRAMS.items()
        for number, peer in bench.rounds(bench.among(*programs), rounds)
    ]


IDLE_CLIENTS: Final = Workload(
    "idle",
    "Clients that do nothing",
    f"Resident memory that {IDLE:,} of them add to a server, for each. A session has no open "
    "connection; a connection over TCP has called `add` once. `bare` over TCP is a Trio task that "
    "reads a line and answers a fixed one. FastMCP has no `subscriptions/listen`; the documented "
    "server of the TypeScript SDK has no sessions.",
    (LISTEN, SESSION, TCP),
    steps,
)
