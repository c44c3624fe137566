"""Guarantee 8: floods are bounded.

Progress against a slow callback, thousands of pipelined calls, updates against a subscriber that
does not read: the number of tasks, the queues and the memory stay under `Limits`; what is refused
gets a clear error.
"""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.guarantees.harness import (
    ERAS,
    HANDSHAKE,
    PATIENCE,
    STATELESS,
    Dialect,
    Message,
    Wire,
    command,
    connect_to,
    line,
    listen,
    opened,
    serving,
    started,
    stream_wire,
)
from tests.guarantees.programs import chatty
from trimcp import Limits, RequestError, Server, open_client, open_stream_client

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_EXCEEDED = -31001


def tasks() -> int:
    """The number of tasks of this Trio run."""
    return trio.lowlevel.current_statistics().tasks_living


async def test_progress_against_a_slow_callback() -> None:
    held = trio.Event()

    async def hold(*_: object) -> None:
        await held.wait()

    async with open_client(chatty.server) as client, trio.open_nursery() as nursery:
        before = tasks()

        async def call() -> None:
            await client.call_tool("report", {"progress": 3000, "logs": 0}, progress=hold)

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        # The call itself, and nothing for its three thousand reports.
        assert tasks() - before == 1
        assert chatty.server.statistics().outbox_bytes == 0
        # The flood delays nobody else.
        with trio.fail_after(PATIENCE):
            await client.call_tool("report", {"progress": 0, "logs": 0})
        held.set()


@pytest.mark.parametrize("dialect", ERAS, ids=["handshake", "stateless"])
async def test_two_thousand_pipelined_calls(dialect: Dialect, tmp_path: Path) -> None:
    async with serving("chatty", "stdio", tmp_path) as peer:
        calls = b"".join(line(dialect.call(number, "wait")) for number in range(2000))
        refused = set()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.wire.sending.send_all, calls)
                for _ in range(1000):
                    answer = await peer.wire.receive()
                    assert answer["error"]["code"] == LIMIT_EXCEEDED
                    assert "1000 requests in flight" in answer["error"]["message"]
                    refused.add(answer["id"])
        assert refused == set(range(1000, 2000))
        # What was refused may be asked again when there is room.
        for number in range(1000):
            await peer.wire.send(
                {
                    "jsonrpc": "2.0",
                    "method": "notifications/cancelled",
                    "params": {"requestId": number},
                }
            )
        again = await peer.wire.ask(dialect.call("again", "report", {"progress": 0, "logs": 0}))
        assert not again["result"].get("isError")


# -- updates ------------------------------------------------------------------------------------


def updates_of(message: Message) -> list[str]:
    """The resource that a notification tells of, if it is one."""
    is_update = message.get("method") == "notifications/resources/updated"
    return [message["params"]["uri"]] if is_update else []


async def subscribe(wire: Wire, dialect: Dialect, uris: list[str]) -> None:
    """Hear of these resources, in the way of the era."""
    if dialect.is_stateless:
        await wire.send(listen("listen", resourceSubscriptions=uris))
        acknowledged = await wire.receive()
        granted = acknowledged["params"]["notifications"]["resourceSubscriptions"]
        assert sorted(granted) == sorted(uris)
        return
    await wire.shake_hands()
    for start in range(0, len(uris), 500):
        some = range(start, min(start + 500, len(uris)))
        subscriptions = [
            dialect.request(number, "resources/subscribe", {"uri": uris[number]}) for number in some
        ]
        await wire.send(*subscriptions)
        await wire.answers(*some)


async def holds(wire: Wire) -> dict[str, int]:
    """What the server of `notifying` holds."""
    answer = await wire.ask(STATELESS.call("holds", "holds"))
    found: dict[str, int] = answer["result"]["structuredContent"]
    return found


#: Bytes of `Limits.outbox_bytes` in `notifying`.
OUTBOX = 100_000


async def flood_with_updates(
    dialect: Dialect, door: str, path: Path, resources: int, rounds: int, within: float
) -> None:
    """Change resources while one subscriber does not read, and others do."""
    more = ("--path", path) if door == "unix" else ()
    uris = [f"thing://{number}" for number in range(resources)]
    async with (
        started(command("notifying", door, *more)) as program,
        opened(program, door, path) as slow,
        stream_wire(await connect_to("tcp", await program.port())) as fast,
        stream_wire(await connect_to("tcp", await program.port())) as control,
    ):
        await subscribe(slow, dialect, uris)
        await subscribe(fast, STATELESS, [uris[0], uris[-1]])
        before = await holds(control)
        told = 0
        with trio.fail_after(within):
            async with trio.open_nursery() as nursery:

                async def count() -> None:
                    nonlocal told
                    while True:
                        told += len(updates_of(await fast.receive(within)))

                nursery.start_soon(count)
                flood = {"resources": resources, "rounds": rounds}
                await control.ask(STATELESS.call("flood", "change", flood), within)
                nursery.cancel_scope.cancel()
        # Each of its two resources, again and again: nobody waited for the slow one.
        assert told > 2, "the other subscriber heard at the end only"

        after = await holds(control)
        assert after["outbox_bytes"] <= OUTBOX
        assert after["subscribed_uris"] == before["subscribed_uris"] == resources + 2
        bound = after["subscribed_uris"] + 3 * after["subscribers"]
        assert resources / 2 < after["pending_changes"] <= bound, "the subscriber was not slow"
        # The task that waits for each connection's writer is all that may differ.
        assert after["tasks"] - before["tasks"] <= 2
        assert after["memory"] - before["memory"] < 8_000_000

        # Who reads at last hears of everything once more, and not of each of the changes.
        heard = collections.Counter[str]()
        with trio.fail_after(within):
            async with trio.open_nursery() as nursery:

                async def read() -> None:
                    while True:
                        heard.update(updates_of(await slow.receive(within)))

                nursery.start_soon(read)
                while after["pending_changes"] or len(heard) < resources:
                    after = await holds(control)
                nursery.cancel_scope.cancel()
        assert heard.total() < resources * rounds / 2


@pytest.mark.parametrize("dialect", ERAS, ids=["handshake", "stateless"])
@pytest.mark.parametrize("door", ["stdio", "tcp", "unix", "websocket"])
async def test_updates_against_a_slow_subscriber(
    door: str, dialect: Dialect, tmp_path: Path
) -> None:
    """A hundred thousand, of two thousand resources."""
    await flood_with_updates(dialect, door, tmp_path / "socket", 2000, 50, PATIENCE)


@pytest.mark.parametrize("door", ["stdio", "tcp"])
async def test_a_subscriber_to_ten_thousand_resources(door: str, tmp_path: Path) -> None:
    """A quarter of a million updates, twenty-five of each."""
    await flood_with_updates(STATELESS, door, tmp_path / "socket", 10_000, 25, 3 * PATIENCE)


async def test_tasks_and_queues_stay_under_the_limits() -> None:
    limits = Limits(in_flight=10, outbox_bytes=20_000)
    server = Server("bounded", limits=limits)
    server.tool(chatty.wait)
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_stream, theirs)
        before = tasks()
        for start in range(0, 500, 50):
            lines = [line(STATELESS.call(start + each, "wait")) for each in range(50)]
            await ours.send_all(b"".join(lines))
            await trio.testing.wait_all_tasks_blocked()
            statistics = server.statistics()
            assert statistics.in_flight == limits.in_flight
            assert statistics.outbox_bytes <= limits.outbox_bytes
            assert tasks() - before <= 2 * limits.in_flight
        nursery.cancel_scope.cancel()


async def send_for_ever(stream: trio.abc.SendStream, data: bytes) -> None:
    while True:
        await stream.send_all(data)


async def test_who_never_reads_is_disconnected(caplog: pytest.LogCaptureFixture) -> None:
    """A peer that asks without ever reading its refusals cannot pile them up."""
    server = Server("bounded", limits=Limits(in_flight=10, outbox_bytes=1000))
    server.tool(chatty.wait)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listeners[0].socket.getsockname()
    for listener in listeners:
        await listener.aclose()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_tcp, host, port)
        stream = await trio.open_tcp_stream(host, port)
        calls = b"".join(line(STATELESS.call(number, "wait")) for number in range(1000))
        with trio.fail_after(PATIENCE), pytest.raises(trio.BrokenResourceError):
            await send_for_ever(stream, calls)
        await stream.aclose()
        while server.statistics().connections:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert "does not read its answers" in caplog.text


async def test_a_client_that_is_flooded_with_requests_refuses() -> None:
    """The bound holds for both roles: here the server asks too much."""
    ours, theirs = trio.testing.memory_stream_pair()
    refused: list[bytes] = []
    enough = trio.Event()
    question = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
    session = {
        "protocolVersion": HANDSHAKE.revision,
        "capabilities": {},
        "serverInfo": {"name": "flood", "version": "1"},
    }

    async def flood() -> None:
        await theirs.receive_some()
        await theirs.send_all(line({"jsonrpc": "2.0", "id": 1, "result": session}))
        for number in range(50):
            await theirs.send_all(
                line(HANDSHAKE.request(f"q{number}", "elicitation/create", question))
            )
        while len(refused) < 40:
            lines = bytes(await theirs.receive_some()).splitlines()
            refused.extend(each for each in lines if b'"error"' in each)
        enough.set()

    async def never(form: object) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(flood)
        opening = open_stream_client(
            ours, elicitation=never, revision=HANDSHAKE.revision, limits=Limits(in_flight=10)
        )
        with trio.fail_after(PATIENCE):
            async with opening:
                await enough.wait()
    assert all(str(LIMIT_EXCEEDED).encode() in each for each in refused)


async def test_over_the_limit_is_an_error_of_its_own_kind() -> None:
    server = Server("bounded", limits=Limits(in_flight=1))
    server.tool(chatty.wait)
    async with open_client(server) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "wait")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RequestError) as caught:
            await client.list_tools()
        assert caught.value.code == LIMIT_EXCEEDED
        nursery.cancel_scope.cancel()
