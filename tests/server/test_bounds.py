"""What a peer sends costs linear time, and keeps no memory after its connection.

Work is counted in calls and bytes, never in seconds.
"""

from __future__ import annotations

import gc
import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.counting import bytes_taken
from tests.spec.harness import HANDSHAKE, STATELESS, notification, talking
from trimcp import Context, Limits, RequestError, Server, open_client
from trimcp.errors import LIMIT_EXCEEDED, LimitExceeded
from trimcp.protocol import LATEST, META_PREFIX, Connection, RequestReceived, Role
from trimcp.testing import open_raw_peer
from trimcp.types import Implementation, TextContent

if TYPE_CHECKING:
    from collections.abc import Iterator


def meta(**more: Any) -> dict[str, Any]:
    return {
        META_PREFIX + "protocolVersion": LATEST.date,
        META_PREFIX + "clientCapabilities": {},
        **more,
    }


def asking(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def ping(identity: int, **more: Any) -> bytes:
    message = {
        "jsonrpc": "2.0",
        "id": identity,
        "method": "ping",
        "params": {"_meta": meta(**more)},
    }
    return json.dumps(message).encode()


# -- what is remembered of clients ------------------------------------------------------------


@pytest.mark.parametrize(("requests", "size"), [(30, 400_000), (300, 40_000), (3_000, 1_000)])
def test_capabilities_of_clients_are_not_kept(requests: int, size: int) -> None:
    def serve(number: int) -> None:
        connection = Connection(Role.SERVER, Implementation("s", "1"), Limits())
        experimental = {f"x{number}": {"a": "b" * size}}
        declared = {META_PREFIX + "clientCapabilities": {"experimental": experimental}}
        [event] = connection.receive(ping(1, **declared))
        assert isinstance(event, RequestReceived)
        event.exchange.answer({})

    serve(0)
    gc.collect()
    with bytes_taken() as taken:
        for number in range(requests):
            serve(number)
        gc.collect()
    assert taken.kept < 1_000_000


def test_terms_that_are_short_are_remembered() -> None:
    connection = Connection(Role.SERVER, Implementation("s", "1"), Limits())
    terms = []
    for identity in range(2):
        [event] = connection.receive(ping(identity))
        assert isinstance(event, RequestReceived)
        terms.append(event.exchange.terms)
    assert terms[0] is terms[1]


# -- subscriptions ----------------------------------------------------------------------------


@pytest.fixture
def sought(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The resources that were sought."""
    from trimcp.server._resources import ResourceRegister

    found: list[str] = []
    find = ResourceRegister.find

    def count(self: Any, uri: str) -> Any:
        found.append(uri)
        return find(self, uri)

    monkeypatch.setattr(ResourceRegister, "find", count)
    return found


def listen(uris: list[str]) -> dict[str, Any]:
    return {"notifications": {"resourceSubscriptions": uris}, "_meta": meta()}


async def test_too_many_subscriptions_are_refused_before_any_is_sought(sought: list[str]) -> None:
    server = templates()
    async with server.application(), open_raw_peer(server) as client:
        uris = [f"x{number}://{number}" for number in range(20_000)]
        answer = await client.request("subscriptions/listen", listen(uris))
        assert answer["error"]["code"] == LIMIT_EXCEEDED
        assert sought == []
        assert server.statistics().subscribers == 0


async def test_repetitions_are_sought_once(sought: list[str]) -> None:
    server = templates()
    async with server.application(), open_raw_peer(server) as client:
        await client.send(asking("subscriptions/listen", listen(["x1://a"] * 200_000)))
        acknowledged = await client.receive()
        assert acknowledged["params"]["notifications"]["resourceSubscriptions"] == ["x1://a"]
        assert sought == ["x1://a"]


async def test_others_run_while_many_are_sought(sought: list[str]) -> None:
    server = templates()
    turns = []

    async def run_too() -> None:
        while True:
            turns.append(len(sought))
            await trio.lowlevel.checkpoint()

    async with server.application(), open_raw_peer(server) as client, trio.open_nursery() as tasks:
        tasks.start_soon(run_too)
        uris = [f"x1://{number}" for number in range(2_000)]
        await client.send(asking("subscriptions/listen", listen(uris)))
        await client.receive()
        tasks.cancel_scope.cancel()
    # Trio runs ready tasks in any order: two shares may come between two turns of another task.
    assert max(after - before for before, after in itertools.pairwise(turns)) <= 100


@pytest.mark.parametrize("uris", [["test://a"], ["test://a", "test://b"]])
async def test_subscriptions_that_have_ended_leave_nothing(uris: list[str]) -> None:
    """Cancelled or refused, each is forgotten: by the hub, and by what ends them at shutdown."""
    server = Server[Any]("listening", limits=Limits(subscribed_uris=1))
    for uri in ("test://a", "test://b"):
        server.resource(uri)(lambda: "a")
    async with (
        server.application(signals=False),
        talking(server, STATELESS) as script,
    ):
        await script.expect_silence()
        application = server.running
        assert application is not None
        [peer] = application.peers
        before = len(peer.at_drain)
        wanted = {"notifications": {"toolsListChanged": True, "resourceSubscriptions": uris}}
        for _ in range(5):
            listen = script.message("subscriptions/listen", wanted)
            await script.send(listen)
            await script.receive()
            await script.send(notification("notifications/cancelled", {"requestId": listen["id"]}))
            await trio.testing.wait_all_tasks_blocked()
            assert len(peer.at_drain) == before
            assert server.statistics().subscribers == 0


async def test_sessions_that_have_ended_leave_nothing() -> None:
    """A client that begins one session after another on its connection."""
    server = Server[Any]("listening")
    async with server.application(signals=False), talking(server, HANDSHAKE[-1]) as script:
        application = server.running
        assert application is not None
        [peer] = application.peers
        await script.expect_silence()
        before = len(peer.at_drain)
        for _ in range(5):
            await script.shake_hands()
            await script.expect_silence()
            assert len(peer.at_drain) == before
            assert server.statistics().subscribers == 1


def templates() -> Server:
    server = Server("s", version="1")
    for number in range(20):

        @server.resource(f"x{number}://{{name}}")
        async def read(name: str) -> str:
            """Read it."""
            return name

    return server


# -- what handlers say that is too long -------------------------------------------------------


LIMIT = 2_000


def talkative() -> Server:
    server = Server("s", version="1", limits=Limits(message_bytes=LIMIT))

    @server.tool
    async def log(ctx: Context) -> str:
        """Log much."""
        await ctx.info("x" * 10_000)
        await ctx.info({"a": ["y"] * 10_000})
        return "done"

    @server.tool
    async def report(ctx: Context) -> str:
        """Report much."""
        await ctx.report_progress(1, 2, "x" * 10_000)
        return "done"

    @server.tool
    async def fail() -> str:
        """Fail with many words."""
        raise RequestError(-1, "x" * 10_000, {"y": "z" * 10_000})

    @server.tool
    async def notify(ctx: Context) -> str:
        """Notify of much."""
        try:
            await ctx.notify("notifications/com.example/x", {"y": "z" * 10_000})
        except LimitExceeded:
            return "refused"
        return "sent"

    return server


@pytest.mark.parametrize("revision", [LATEST.date, "2025-11-25"])
async def test_what_is_too_long_is_cut_and_the_call_goes_on(revision: str) -> None:
    logged: list[Any] = []
    reported: list[Any] = []

    async def on_log(message: Any) -> None:
        logged.append(message.data)

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reported.append((progress, total, message))

    server = talkative()
    async with open_client(server, logging=on_log, log_level="info", revision=revision) as client:
        assert (await client.call_tool("log")).content[0] == TextContent("done")
        assert (await client.call_tool("report", progress=on_progress)).content
        assert (await client.call_tool("notify")).content[0] == TextContent("refused")
        with pytest.raises(RequestError) as caught:
            await client.call_tool("fail")
        await trio.testing.wait_all_tasks_blocked()
    assert caught.value.code == -1
    assert caught.value.data is None
    assert [text[:5] for text in logged] == ["xxxxx", '{"a":']
    [(progress, total, message)] = reported
    assert (progress, total) == (1, 2)
    for text in (*logged, message, caught.value.message):
        assert LIMIT // 2 < len(text) < LIMIT
        assert text.endswith("... (cut)")
