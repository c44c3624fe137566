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
from trimcp import Limits, Server
from trimcp.errors import LIMIT_EXCEEDED
from trimcp.protocol import LATEST, META_PREFIX, Connection, RequestReceived, Role
from trimcp.testing import open_raw_peer
from trimcp.types import Implementation

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


def templates() -> Server:
    server = Server("s", version="1")
    for number in range(20):

        @server.resource(f"x{number}://{{name}}")
        async def read(name: str) -> str:
            """Read it."""
            return name

    return server
