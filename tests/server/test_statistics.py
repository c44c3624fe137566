"""What `Limits` bounds, `statistics()` shows; and it stays within the bounds."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
import trio.testing
from pydantic import BaseModel

from tests.runtime.test_parking import connected
from trimcp import (
    Context,
    Limits,
    RequestError,
    Server,
    Statistics,
    open_client,
    open_tcp_client,
)
from trimcp.errors import LIMIT_EXCEEDED
from trimcp.protocol import LATEST_HANDSHAKE

if TYPE_CHECKING:
    from trimcp import Client

#: What shows each bound.
SHOWN: Final = {
    "in_flight": {"in_flight", "unsent", "notifications", "questions"},
    "buffered_bytes": {"buffered_bytes"},
    "outbox_bytes": {"outbox_bytes"},
    "connections": {"connections"},
    "threads": {"threads"},
    "abandoned_threads": {"abandoned_threads"},
    "parked": {"parked"},
    "subscribers": {"subscribers"},
    "subscribed_uris": {"subscribed_uris", "pending_changes"},
    "http_requests": {"http_requests"},
    "http_sessions": {"http_sessions"},
}
#: Bounds of a single message, list, session or time, of which there is nothing to count.
UNCOUNTED: Final = {
    "blocked_seconds",
    "list_bytes",
    "list_pages",
    "message_bytes",
    "nesting",
    "parked_seconds",
    "header_seconds",
    "heartbeat_seconds",
    "stderr_bytes",
    "header_bytes",
    "token_bytes",
    "token_seconds",
    "body_seconds",
    "session_seconds",
    "replay_bytes",
    "send_seconds",
}


def test_every_bound_is_shown() -> None:
    """Who adds a limit says here what shows it, or that nothing can."""
    assert SHOWN.keys() | UNCOUNTED == {each.name for each in attrs.fields(Limits)}
    assert not SHOWN.keys() & UNCOUNTED
    shown = set().union(*SHOWN.values())
    assert shown == {each.name for each in attrs.fields(Statistics)}


# -- each of them moves, and not beyond its bound --------------------------------------------------


class Sure(BaseModel):
    sure: bool


class Moved(BaseModel):
    by: int


LIMITS: Final = Limits(
    in_flight=4,
    outbox_bytes=1000,
    connections=3,
    threads=2,
    abandoned_threads=1,
    parked=2,
    subscribers=4,
    subscribed_uris=3,
)


class Crowded:
    """A server with whose bounds one can collide."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.server: Server[None] = Server("crowded", limits=LIMITS)
        self.server.tool(self.wait)
        self.server.tool(self.block)
        self.server.tool(self.ask)
        self.server.resource("thing://{number}")(self.thing)
        self.server.notification("notifications/com.example/moved")(self.moved)

    async def wait(self) -> None:
        await trio.sleep_forever()

    def block(self) -> None:
        self.released.wait(30)

    async def ask(self, label: str, ctx: Context) -> None:
        await ctx.elicit(label, Sure)

    def thing(self, number: int) -> str:
        return str(number)

    async def moved(self, params: Moved) -> None:
        await trio.sleep_forever()

    @property
    def now(self) -> Statistics:
        """All but the bytes of requests, which depend on how these are written."""
        return attrs.evolve(self.server.statistics(), buffered_bytes=0)


@pytest.fixture
def crowded() -> Any:
    found = Crowded()
    yield found
    found.released.set()


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked(0.01)


def many(nursery: trio.Nursery, client: Client, count: int, tool: str) -> list[int]:
    """Call a tool so many times at once; the codes of the calls that are refused."""
    codes: list[int] = []

    async def call(number: int) -> None:
        try:
            await client.call_tool(tool, {"label": f"{number}"} if tool == "ask" else {})
        except RequestError as error:
            codes.append(error.code)

    for number in range(count):
        nursery.start_soon(call, number)
    return codes


async def test_in_flight(crowded: Crowded) -> None:
    async with open_client(crowded.server) as client, trio.open_nursery() as nursery:
        codes = many(nursery, client, 10, "wait")
        await settle()
        assert crowded.now == Statistics(connections=1, in_flight=4)
        assert codes == [LIMIT_EXCEEDED] * 6
        nursery.cancel_scope.cancel()


async def test_notifications(crowded: Crowded, caplog: pytest.LogCaptureFixture) -> None:
    async with open_client(crowded.server) as client:
        for by in range(10):
            await client.notify("notifications/com.example/moved", {"by": by})
        await settle()
        assert crowded.now == Statistics(connections=1, notifications=4)
        assert caplog.text.count("dropped") == 6


async def never(form: object) -> None:
    await trio.sleep_forever()


async def test_questions(crowded: Crowded) -> None:
    revision = LATEST_HANDSHAKE.date
    options: Any = {"elicitation": never, "revision": revision}
    async with open_client(crowded.server, **options) as client, trio.open_nursery() as nursery:
        many(nursery, client, 10, "ask")
        await settle()
        expected = Statistics(connections=1, in_flight=4, questions=4, subscribers=1)
        assert crowded.now == expected
        nursery.cancel_scope.cancel()


async def test_parked(crowded: Crowded) -> None:
    async with (
        open_client(crowded.server, elicitation=never) as client,
        trio.open_nursery() as nursery,
    ):
        for _ in range(3):
            many(nursery, client, 2, "ask")
            await settle()
            assert crowded.now == Statistics(connections=1, parked=2)
        nursery.cancel_scope.cancel()


async def test_subscriptions(crowded: Crowded) -> None:
    async with connected(crowded.server) as wire:
        for number in range(6):
            uris = [f"thing://{each}" for each in range(2 + number % 2)]
            await wire.request(
                method="subscriptions/listen", notifications={"resourceSubscriptions": uris}
            )
            message = await wire.receive()
            assert ("error" in message) == (number >= 4)
        await settle()
        assert crowded.now == Statistics(
            connections=1, in_flight=4, subscribers=4, subscribed_uris=10
        )


async def test_who_does_not_read(crowded: Crowded) -> None:
    """Bytes in the outbox, and what has no room in it."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(crowded.server.serve_stream, theirs)
        with trio.move_on_after(5):
            await ask_without_reading(ours, crowded)
        nursery.cancel_scope.cancel()


async def ask_without_reading(ours: trio.abc.Stream, crowded: Crowded) -> None:
    terms = (
        '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        '"io.modelcontextprotocol/clientCapabilities":{}}'
    )
    seen = 0
    for number in range(100):
        await ours.send_all(
            f'{{"jsonrpc":"2.0","id":{number},"method":"server/discover",'
            f'"params":{{{terms}}}}}\n'.encode()
        )
        await trio.testing.wait_all_tasks_blocked()
        now = crowded.now
        if not now.connections:
            break
        assert now.outbox_bytes <= LIMITS.outbox_bytes
        assert now.unsent <= 2 * LIMITS.in_flight
        assert now.in_flight <= LIMITS.in_flight
        seen = max(seen, now.unsent)
    assert seen == 2 * LIMITS.in_flight
    assert not crowded.now.connections, "who never reads is disconnected"


async def test_threads(crowded: Crowded) -> None:
    async with open_client(crowded.server) as client, trio.open_nursery() as nursery:
        many(nursery, client, 4, "block")
        await settle()
        assert crowded.now == Statistics(connections=1, in_flight=4, threads=2)
        nursery.cancel_scope.cancel()


async def test_abandoned_threads(crowded: Crowded) -> None:
    async with open_client(crowded.server) as client:
        async with trio.open_nursery() as nursery:
            many(nursery, client, 1, "block")
            await settle()
            nursery.cancel_scope.cancel()
        await settle()
        assert crowded.now == Statistics(connections=1, threads=1, abandoned_threads=1)
        with pytest.raises(RequestError) as caught:
            await client.call_tool("block")
        assert caught.value.code == LIMIT_EXCEEDED
        crowded.released.set()
        while crowded.now.threads:
            await trio.lowlevel.checkpoint()


async def test_connections(crowded: Crowded) -> None:
    async with trio.open_nursery() as nursery:
        [(host, port)] = await nursery.start(crowded.server.serve_tcp, "127.0.0.1", 0)
        async with (
            open_tcp_client(host, port),
            open_tcp_client(host, port),
            open_tcp_client(host, port),
        ):
            assert crowded.now == Statistics(connections=3)
            stream = await trio.open_tcp_stream(host, port)
            async with stream:
                with trio.fail_after(5):
                    assert await stream.receive_some() == b""
            assert crowded.now == Statistics(connections=3)
        nursery.cancel_scope.cancel()
