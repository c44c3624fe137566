"""Single HTTP requests: headers, redirects, room for them, and when one is made again.

Specification: 2026-07-28 and 2025-11-25, Streamable HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp import (
    ConnectionLost,
    Limits,
    ProtocolViolation,
    RequestError,
    RequestTimeout,
    Server,
    open_http_client,
    open_memory_client,
)
from trimcp.transports._http import HTTPLink, check_headers

from .harness import HANDSHAKE, Asked, listed, said, sessions, site, stateless

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


async def done(asked: Asked) -> None:
    if asked.verb == "POST":
        await asked.result(said("done"))


# -- headers ------------------------------------------------------------------------------------


class Raw:
    """A server that keeps every line of the heads that it gets."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        async with stream:
            while piece := await stream.receive_some():
                data += piece
                if b"\r\n\r\n" in data:
                    self.lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
                    await stream.send_all(b"HTTP/1.1 403 X\r\ncontent-length: 0\r\n\r\n")
                    return

    def values(self, name: str) -> list[str]:
        pairs = (line.partition(":") for line in self.lines[1:])
        return [value.strip() for key, _, value in pairs if key.lower() == name]


async def sent_with(headers: dict[str, str]) -> Raw:
    raw = Raw()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, raw.serve, 0)
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(Exception, match="403"):
            async with open_http_client(f"http://localhost:{port}/mcp", headers=headers):
                pass
        nursery.cancel_scope.cancel()
    return raw


@pytest.mark.parametrize("name", ["Accept-Encoding", "accept-encoding", "ACCEPT-ENCODING"])
async def test_a_user_s_header_replaces_ours(name: str) -> None:
    raw = await sent_with({name: "identity;q=1, *;q=0", "User-Agent": "mine"})
    assert raw.values("accept-encoding") == ["identity;q=1, *;q=0"]
    assert raw.values("user-agent") == ["mine"]


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
async def test_what_the_protocol_demands_stays(case: Callable[[str], str]) -> None:
    names = ("accept", "content-type", "mcp-protocol-version", "mcp-method")
    raw = await sent_with({case(name): "x" for name in names})
    assert raw.values("accept") == ["application/json, text/event-stream"]
    assert raw.values("content-type") == ["application/json"]
    assert raw.values("mcp-protocol-version") == ["2026-07-28"]
    assert raw.values("mcp-method") == ["server/discover"]


@given(
    users=st.dictionaries(
        st.text("aAbB-", min_size=1, max_size=4), st.text("xyz ", max_size=3), max_size=6
    ),
    demanded=st.dictionaries(st.sampled_from(["a", "b", "a-b", "Ab"]), st.just("ours")),
)
def test_every_header_is_sent_once(users: dict[str, str], demanded: dict[str, str]) -> None:
    link = HTTPLink(None, "http://x/", check_headers(users), Limits())  # type: ignore[arg-type]
    merged = link._merged("GET", demanded)
    names = [name.decode().lower() for name, _ in merged]
    assert len(names) == len(set(names))
    assert set(names) == {
        *(name.lower() for name in users),
        *(name.lower() for name in demanded),
        *("accept-encoding", "cache-control"),
    }
    found = {name.decode().lower(): value.decode() for name, value in merged}
    assert all(found[name.lower()] == "ours" for name in demanded)


@pytest.mark.parametrize(
    "headers",
    [{"X": "gr\xfcn"}, {"X": "a\r\nb"}, {"X": "a\0"}, {"a b": "x"}, {"": "x"}, {"ü": "x"}],
    ids=repr,
)
async def test_headers_that_cannot_be_sent(headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="HTTP header"):
        async with open_http_client("http://127.0.0.1:9/", headers=headers):
            pass


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
async def test_headers_that_belong_to_each_message(name: str) -> None:
    with pytest.raises(ValueError, match="leave it out"):
        async with open_http_client("http://127.0.0.1:9/", headers={name: "5"}):
            pass


# -- redirects ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("hops", "arrives"), [(1, True), (5, True), (6, False)])
async def test_five_redirects_are_followed(hops: int, arrives: bool) -> None:
    async def script(asked: Asked) -> None:
        number = int(asked.path.removeprefix("/mcp") or 0)
        if number < hops:
            await asked.plain(307 + number % 2, location=f"/mcp{number + 1}")
        else:
            await stateless(done)(asked)

    async with site(script) as at:
        if arrives:
            async with open_http_client(at.url) as client:
                await client.call_tool("x")
        else:
            with pytest.raises(ProtocolViolation, match="redirects more than 5 times"):
                async with open_http_client(at.url):
                    pass


# -- messages without an answer -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["slow body", "endless body", "stream"])
async def test_a_notification_waits_for_no_body(kind: str, autojump_clock: MockClock) -> None:
    """Its status is all that there is to know."""

    async def script(asked: Asked) -> None:
        if asked.method != "notifications/x":
            await done(asked)
        elif kind == "stream":
            await asked.begin()
            await asked.wait_left()
        elif kind == "slow body":
            await asked.head(202, {"content-length": "5"})
            await asked.wait_left()
        else:
            await asked.head(202, {"connection": "close"})
            while True:
                await asked.send(b"x" * 1000)
                await trio.sleep(0.01)

    async def serve(asked: Asked) -> None:
        if asked.method == "notifications/x":
            await script(asked)
        else:
            await sessions(script)(asked)

    async with site(serve) as at, open_http_client(at.url, revision=HANDSHAKE) as client:
        began = trio.current_time()
        for _ in range(5):
            await client.notify("notifications/x")
        assert trio.current_time() - began < 1
        await client.call_tool("x")


async def test_a_notification_s_connection_is_used_again() -> None:
    streams: set[int] = set()

    async def script(asked: Asked) -> None:
        if asked.method == "notifications/x":
            streams.add(id(asked._stream))
            await asked.plain(202)
        else:
            await served(asked)

    served = sessions(done)
    async with site(script) as at, open_http_client(at.url, revision=HANDSHAKE) as client:
        for _ in range(5):
            await client.notify("notifications/x")
    assert len(streams) == 1


# -- room ---------------------------------------------------------------------------------------


async def test_a_call_that_asks_finds_connections(autojump_clock: MockClock) -> None:
    """`in_flight` calls are sent at once; what they need to end is no call of this kind."""

    async def script(asked: Asked) -> None:
        if asked.verb == "GET":
            await asked.begin()
            await asked.wait_left()
        elif asked.method == "answer":
            await asked.plain(202)
            answered.set()
        elif asked.body["params"]["name"] == "inner":
            await asked.result(said("inner"))
        else:
            await asked.begin()
            params = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
            question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create"}
            await asked.event({**question, "params": params})
            await answered.wait()
            await asked.event_result(said("outer"))
            await asked.cut()

    async def answer(form: Any) -> dict[str, Any]:
        await client.call_tool("inner")
        await client.notify("notifications/x")
        return {}

    answered = trio.Event()
    async with (
        site(sessions(script)) as at,
        open_http_client(
            at.url, revision=HANDSHAKE, elicitation=answer, limits=Limits(in_flight=1)
        ) as client,
    ):
        result = await client.call_tool("outer", timeout=10)
        assert result.content[0].text == "outer"  # type: ignore[union-attr]


async def test_no_more_calls_than_in_flight(autojump_clock: MockClock) -> None:
    """Further ones wait, within their deadlines; a subscription takes nobody's place."""
    now = 0
    most = 0

    async def script(asked: Asked) -> None:
        nonlocal now, most
        if asked.method == "subscriptions/listen":
            await asked.begin()
            params = {
                "_meta": {"io.modelcontextprotocol/subscriptionId": asked.body["id"]},
                "notifications": {"toolsListChanged": True},
            }
            method = "notifications/subscriptions/acknowledged"
            await asked.event({"jsonrpc": "2.0", "method": method, "params": params})
            await asked.wait_left()
            return
        now += 1
        most = max(most, now)
        await trio.sleep(1)
        now -= 1
        await asked.result(said("done"))

    async with (
        site(stateless(script)) as at,
        open_http_client(at.url, limits=Limits(in_flight=3)) as client,
        client.listen(tools_list_changed=True),
        client.listen(tools_list_changed=True),
        client.listen(tools_list_changed=True),
    ):
        async with trio.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(client.call_tool, "x")
        assert most == 3
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(client.call_tool, "x")
            await trio.testing.wait_all_tasks_blocked(0.01)
            with pytest.raises(RequestTimeout):
                await client.call_tool("x", timeout=0.5)


async def test_leaving_a_call_gives_its_room_back(autojump_clock: MockClock) -> None:
    async def script(asked: Asked) -> None:
        if asked.body["params"]["name"] == "slow":
            await asked.wait_left()
        else:
            await done(asked)

    async with (
        site(stateless(script)) as at,
        open_http_client(at.url, limits=Limits(in_flight=1)) as client,
    ):
        for _ in range(3):
            with pytest.raises(RequestTimeout):
                await client.call_tool("slow", timeout=1)
        await client.call_tool("x")


# -- made again, or not -------------------------------------------------------------------------


def tool(**hints: bool) -> dict[str, Any]:
    return {"name": "x", "inputSchema": {"type": "object"}, "annotations": hints}


@pytest.mark.parametrize("hint", ["readOnlyHint", "idempotentHint"])
@pytest.mark.parametrize("streams", [True, False])
async def test_a_lost_call_that_does_no_harm_is_made_again(
    hint: str, streams: bool, autojump_clock: MockClock
) -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "tools/list":
            await asked.result(listed(tool(**{hint: True})))
        elif len(at.of("tools/call")) == 2:
            await done(asked)
        elif streams:
            await asked.begin()
            await asked.cut()
        else:
            await asked.cut()

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        await client.list_tools()
        result = await client.call_tool("x")
        assert result.content[0].text == "done"  # type: ignore[union-attr]
    first, second = at.of("tools/call")
    assert first.body["id"] != second.body["id"]


@pytest.mark.parametrize("hints", [{}, {"readOnlyHint": False}, {"destructiveHint": False}, None])
async def test_a_lost_call_that_may_do_harm_is_not(
    hints: dict[str, bool] | None, autojump_clock: MockClock
) -> None:
    """And the error says what is not known. None: the tool has not been listed."""

    async def script(asked: Asked) -> None:
        if asked.method == "tools/list":
            await asked.result(listed(tool(**(hints or {}))))
        else:
            await asked.cut()

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        if hints is not None:
            await client.list_tools()
        with pytest.raises(ConnectionLost, match="unknown") as caught:
            await client.call_tool("x")
        assert caught.value.__cause__ is not None
    assert len(at.of("tools/call")) == 1


async def test_a_call_is_made_again_once_and_in_time(autojump_clock: MockClock) -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "tools/list":
            await asked.result(listed(tool(readOnlyHint=True)))
        elif at.methods.count("tools/call") % 2:
            await trio.sleep(3)
            await asked.cut()
        elif asked.body["params"]["arguments"]:
            await asked.cut()
        else:
            await asked.wait_left()

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        await client.list_tools()
        with pytest.raises(ConnectionLost):
            await client.call_tool("x", {"a": 1})
        assert len(at.of("tools/call")) == 2
        began = trio.current_time()
        with pytest.raises(RequestTimeout):
            await client.call_tool("x", {}, timeout=10)
        assert trio.current_time() - began == pytest.approx(10, abs=0.1)


async def test_chunks_are_not_sent_twice(autojump_clock: MockClock) -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "tools/list":
            await asked.result(listed(tool(readOnlyHint=True)))
        else:
            await asked.begin()
            await asked.cut()

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        await client.list_tools()
        async with client.stream_tool("x") as stream:
            with pytest.raises(ConnectionLost):
                await anext(stream)
    assert len(at.of("tools/call")) == 1


async def test_nothing_was_sent_where_nobody_is(autojump_clock: MockClock) -> None:
    async with site(stateless(done)) as at, open_http_client(at.url) as client:
        await client.call_tool("x")
        client._requester.peer._link.url = "http://127.0.0.1:1/"  # type: ignore[attr-defined]
        with pytest.raises(ConnectionLost) as caught:
            await client.call_tool("x")
        assert "unknown" not in str(caught.value)


@pytest.mark.parametrize("streams", [True, False])
async def test_a_handler_s_own_mismatch_runs_nothing_twice(streams: bool) -> None:
    """Only the HTTP layer itself has a call repeated."""

    async def script(asked: Asked) -> None:
        if streams:
            await asked.begin()
            error = {"code": -32020, "message": "mine"}
            await asked.event({"jsonrpc": "2.0", "id": asked.body["id"], "error": error})
            await asked.cut()
        else:
            await asked.error(-32020, "mine")

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        with pytest.raises(RequestError) as caught:
            await client.call_tool("x")
        assert caught.value.code == -32020
    assert at.methods == ["server/discover", "tools/call"]


async def test_a_handler_s_own_mismatch_in_memory() -> None:
    server = Server[Any]("example")
    ran: list[int] = []

    @server.tool
    async def broken() -> None:
        ran.append(1)
        raise RequestError(-32020, "mine")

    async with open_memory_client(server) as client:
        with pytest.raises(RequestError):
            await client.call_tool("broken")
    assert ran == [1]
