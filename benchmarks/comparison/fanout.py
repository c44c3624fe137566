"""One update to many subscribers."""

from __future__ import annotations

import functools
import json
import selectors
import time
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

from .idle import LISTEN, PROGRAMS, listen
from .peers import BARE, SDK, TRIMCP
from .processes import STALL_SECONDS, BenchmarkError, deadline, listening, processor_time
from .results import Case, Quantity
from .running import Step, Workload
from .web import ask, connected, receive, stateless

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from .running import Bench

SUBSCRIBERS: Final = 1_000

#: Updates of one round.
UPDATES: Final = 10

#: The yardstick on Trio.
ON_TRIO: Final = "bare, Trio"

YARDSTICKS: Final = {BARE: "bare_sockets.py", ON_TRIO: "bare_streams.py"}

UPDATED: Final = b"notifications/resources/updated"

PROCESSOR: Final = Quantity("processor", "ms each update", 2)
LAST: Final = Quantity("until the last one has it", "ms", 2)

UPDATE: Final = Case("update", f"{SUBSCRIBERS:,} subscribers", (PROCESSOR, LAST), (BARE, SDK))


class Audience:
    """A server and its subscribers.

    Args:
        pid: The server's process.
        connect: Opens a connection to ask on. An HTTP server closes one that is idle for long.
        update: Makes the server send one, and waits until it says that it has.
        hearers: The connections of the subscribers.
        selector: All of them are registered in it.
    """

    def __init__(
        self,
        pid: int,
        connect: Callable[[], AbstractContextManager[socket.socket]],
        update: Callable[[socket.socket], object],
        hearers: Sequence[socket.socket],
        selector: selectors.BaseSelector,
    ) -> None:
        self.pid = pid
        self.connect = connect
        self._update = update
        self._hearers = hearers
        self._selector = selector
        self.event = b""
        """What the last subscriber got."""

    def hear(self, asking: socket.socket) -> float:
        """One update; the seconds until the last subscriber has it."""
        with deadline(STALL_SECONDS, "the server"):
            began = time.perf_counter()
            self._update(asking)
            missing = {each.fileno(): b"" for each in self._hearers}
            while missing:
                for key, _ in self._selector.select():
                    # A subscriber that has it may still get a comment, which keeps it connected.
                    has_it = key.fd not in missing
                    data = missing.pop(key.fd, b"") + receive(key.fileobj)  # type: ignore[arg-type]
                    if self._is_whole(data, has_it=has_it):
                        self.event = data
                    elif not has_it:
                        missing[key.fd] = data
            return time.perf_counter() - began

    @staticmethod
    def _is_whole(data: bytes, *, has_it: bool) -> bool:
        """Whether the event is there; there must be no other one."""
        if data.count(UPDATED) + has_it > 1:
            raise BenchmarkError(f"more than one update: {data[:2000]!r}")
        return UPDATED in data and data.endswith(b"\n")


def say(asking: socket.socket, line: bytes) -> None:
    """Make the yardstick write, and wait until it has."""
    asking.sendall(line)
    receive(asking)


@contextmanager
def audience(bench: Bench, peer: str, event: bytes | None = None) -> Iterator[Audience]:
    """Start a server, or the yardstick with what it has to send, and subscribe."""
    count = bench.plan.size(SUBSCRIBERS, 50)
    program = YARDSTICKS.get(peer) or PROGRAMS[LISTEN][peer]
    with (
        listening(bench.peers[peer.partition(",")[0]].command(program)) as (pid, port),
        ExitStack() as stack,
        selectors.DefaultSelector() as selector,
    ):
        connect: Callable[[], AbstractContextManager[socket.socket]]
        if event is None:
            hearers = [listen(port, stack) for _ in range(count)]
            connect = functools.partial(connected, port)
            request = stateless(port, "tools/call", {"name": "touch", "arguments": {}})
            update = functools.partial(ask, request=request)
        else:
            asking = stack.enter_context(connected(port))
            connect = functools.partial(nullcontext, asking)
            asking.sendall(b"%d\n" % count)
            hearers = [stack.enter_context(connected(port)) for _ in range(count)]
            receive(asking)
            line = json.dumps(event.decode()).encode() + b"\n"
            update = functools.partial(say, line=line)
        for each in hearers:
            selector.register(each, selectors.EVENT_READ)
        yield Audience(pid, connect, update, hearers, selector)


def measure(bench: Bench, peer: str, *, is_first: bool) -> None:
    """One round of one server. The yardstick sends the bytes that trimcp sends."""
    event = bench.keep(TRIMCP, functools.partial(audience, bench, TRIMCP)).event
    own = functools.partial(audience, bench, peer, event if peer in YARDSTICKS else None)
    hearing = bench.keep(peer, own)
    with hearing.connect() as asking:
        if is_first:
            hearing.hear(asking)
        for _ in range(bench.plan.size(UPDATES, 1)):
            before = processor_time(hearing.pid)
            seconds = hearing.hear(asking)
            spent = processor_time(hearing.pid) - before
            bench.results.add(UPDATE, peer, spent * 1000, seconds * 1000)


def steps(bench: Bench) -> list[Step]:
    """Each round, each server. trimcp is the first one in the first round."""
    yardsticks = YARDSTICKS if bench.among(BARE) else ()
    return [
        Step(
            f"round {number + 1}, {peer}",
            functools.partial(measure, bench, peer, is_first=number == 0),
        )
        for number, peer in bench.rounds([*bench.among(*PROGRAMS[LISTEN]), *yardsticks])
    ]


FANOUT: Final = Workload(
    "update",
    "One update to many subscribers",
    "A resource changes, and each subscriber has a `subscriptions/listen` over HTTP of its own. "
    "`bare` writes the same bytes to as many sockets in one loop, without Trio; *bare, Trio* is a "
    "task that does so with `send_all`. FastMCP has no `subscriptions/listen`.",
    (UPDATE,),
    steps,
)
