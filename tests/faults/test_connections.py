"""Connections that delay, split, cut, stall, garble or break at any byte, in either direction.

Whatever happens to a connection: each call ends with its answer or a typed error within its
deadline, each handler's `finally` runs, clients on other connections do not notice, and nothing of
it stays behind. Guarantees 6, 10, 15, 22 and 23.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.cancelling import Ledger, add_waiting
from tests.network import Network
from trimcp import MCPError, Server, open_client
from trimcp.testing import Break, Chop, Delay, Drop, Duplicate, Faults, Garble, Stall

if TYPE_CHECKING:
    from trimcp import Client

DOORS = ["tcp", "http", "websocket"]
REVISIONS = ["2025-11-25", "2026-07-28"]

#: Whether the connections of this task, and of those it starts, are faulty.
is_unlucky: Final = ContextVar("is_unlucky", default=False)

#: Seconds for each call, by the client's own clock.
DEADLINE: Final = 50.0

#: Seconds for connecting: a probe, and a handshake, which have a deadline each.
CONNECTING: Final = 3 * DEADLINE

#: Seconds for leaving: the last messages, and the closing of what is broken.
LEAVING: Final = 10.0

#: Where a fault may be: most messages are smaller, and all calls together a little larger.
POSITIONS = st.integers(1, 6000)

FAULTS = st.one_of(
    st.builds(Delay, st.sampled_from([0.5, 20.0, 200.0]), POSITIONS),
    st.builds(Stall, POSITIONS),
    st.builds(Break, POSITIONS),
    st.builds(Garble, POSITIONS),
    st.builds(Drop, POSITIONS),
    st.builds(Duplicate, POSITIONS),
)
SPLITS = st.one_of(st.just([]), st.builds(lambda size: [Chop(size)], st.sampled_from([7, 100])))


@st.composite
def plans(draw: st.DrawFn) -> Faults:
    """The faults of one connection."""
    sides = [draw(st.lists(FAULTS, max_size=2)) + draw(SPLITS) for _ in range(2)]
    return Faults(*sides, seed=draw(st.integers(0, 99)))


def a_server(ledger: Ledger) -> Server[None]:
    server: Server[None] = Server("s")
    add_waiting(server, ledger)
    return server


async def bounded_call(client: Client) -> None:
    """A call ends within its deadline, and with nothing but its answer or an error of trimcp."""
    began = trio.current_time()
    # A byte that is lost may change a text without anybody noticing, so any answer will do.
    with suppress(MCPError):
        await client.call_tool("work", timeout=DEADLINE, progress=lambda *_: None)
    assert trio.current_time() - began <= DEADLINE


async def unlucky(url: str, revision: str) -> None:
    """A client whose connections are faulty."""
    is_unlucky.set(True)
    began = trio.current_time()
    left = began
    try:
        async with open_client(url, revision=revision, timeout=DEADLINE) as client:
            assert trio.current_time() - began <= CONNECTING
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(bounded_call, client)
            await bounded_call(client)
            left = began = trio.current_time()
    except (MCPError, OSError):
        assert trio.current_time() - began <= CONNECTING
    assert trio.current_time() - left <= LEAVING + CONNECTING


async def lucky(url: str, revision: str) -> None:
    """A client whose connections are whole; meanwhile it gets all its answers."""
    async with open_client(url, revision=revision, timeout=DEADLINE) as client:
        for _ in range(3):
            result = await client.call_tool("work")
            assert result.text == "done"
            # Not as long as a server keeps an idle connection: HTTP clients go by the real clock.
            await trio.sleep(2)


async def scenario(door: str, revision: str, plan: Faults) -> None:
    ledger = Ledger()
    server = a_server(ledger)
    async with trio.open_nursery() as serving:
        network = Network(serving, lambda _: plan if is_unlucky.get() else None)
        with network.installed():
            serve: Any = getattr(server, f"serve_{door}")
            [address] = await serving.start(functools.partial(serve, "127.0.0.1", 0))
            if door == "http":
                url = f"{address}/mcp"
            else:
                scheme, path = ("tcp", "") if door == "tcp" else ("ws", "/ws")
                url = f"{scheme}://127.0.0.1:{address[1]}{path}"
            idle = server.statistics()
            async with trio.open_nursery() as clients:
                clients.start_soon(lucky, url, revision)
                clients.start_soon(unlucky, url, revision)
            network.cut()
            # What a server keeps for a peer that may come back is given up in time.
            await trio.sleep(3000)
            await wait_all_tasks_blocked()
            assert ledger.open == []
            assert server.statistics() == idle
            await lucky(url, revision)
            server.shutdown()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_whatever_happens_to_a_connection(door: str, revision: str) -> None:
    # One of these takes as long as ten others.
    @settings(max_examples=max(1, settings().max_examples // 5))
    @given(plans())
    def check(plan: Faults) -> None:
        trio.run(scenario, door, revision, plan, clock=MockClock(autojump_threshold=0))

    check()
