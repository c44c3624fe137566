"""From the start of a process to its first answer, and the most memory that it takes."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Final

from .lines import serving
from .peers import BARE, SDK
from .processes import STALL_SECONDS, deadline, memory, processor_time
from .results import Case, Quantity
from .running import Step, Workload
from .stdio import PROGRAMS

if TYPE_CHECKING:
    from .running import Bench

#: How much is asked before the memory is looked at.
CALLS: Final = 2_000

FIRST: Final = Quantity("first answer", "ms")
PROCESSOR: Final = Quantity("processor", "ms")
PEAK: Final = Quantity("peak memory", "MiB", 1)

STARTED: Final = Case(
    "start", "From the start to the first answer", (FIRST, PROCESSOR, PEAK), (BARE, SDK)
)


def measure(bench: Bench, number: int, peer: str) -> None:
    """One start; the first of all warms the file cache and does not count."""
    began = time.perf_counter()
    with serving(bench.peers[peer].command(PROGRAMS[peer])) as server:
        with deadline(STALL_SECONDS, "the server"):
            server.send(1)
            server.drain(1)
        first = time.perf_counter() - began
        spent = processor_time(server.pid)
        server.answers(bench.plan.size(CALLS, 100), 64)
        peak = memory(server.pid, "VmHWM")
    if number or bench.plan.is_quick:
        bench.results.add(STARTED, peer, first * 1000, spent * 1000, peak / 2**20)


def steps(bench: Bench) -> list[Step]:
    """Starts come cheap and vary much: a few more than rounds."""
    starts = bench.plan.size(bench.plan.rounds + 3, 1)
    return [
        Step(f"start {number}, {peer}", functools.partial(measure, bench, number, peer))
        for number, peer in bench.rounds(bench.among(*PROGRAMS), starts)
    ]


STARTS: Final = Workload(
    "start",
    "Start and memory",
    "From just before the process is spawned to the complete answer to a `tools/call` that waits "
    f"in the pipe. The peak memory is that after {CALLS:,} more calls.",
    (STARTED,),
    steps,
)
