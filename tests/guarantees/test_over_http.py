"""Guarantees 1, 9 to 12, 19 and 23 over HTTP: a real process, raw requests.

Guarantee 20's experiments are in `tests/http`: `test_guard.py` and `test_application.py`.
"""

from __future__ import annotations

import json
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.http.harness import Opened, Web, call, request, served
from trimcp import Context, Server

from .harness import (
    HANDSHAKE,
    PATIENCE,
    PROMPT,
    Program,
    Resources,
    command,
    handshake,
    started,
    tasks,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@asynccontextmanager
async def over_http(program: str, *arguments: object) -> AsyncIterator[tuple[Program, Web]]:
    """A server program behind HTTP."""
    async with started(command(program, "http", *arguments)) as process:
        yield process, Web(await process.port())


class Session:
    """A session of the handshake era."""

    def __init__(self, web: Web, id: str) -> None:
        self.web = web
        self.headers = {"mcp-session-id": id, "content-type": "application/json"}

    def open(self, message: Any) -> Any:
        body = json.dumps(message).encode()
        return self.web.open("POST", body=body, **self.headers)

    def resume(self, last: str) -> Any:
        return self.web.open("GET", **self.headers, last_event_id=last)


async def session_of(web: Web) -> Session:
    hello, initialized = handshake()
    reply = await web.post(json.dumps(hello).encode())
    session = Session(web, reply.headers["mcp-session-id"])
    async with session.open(initialized) as accepted:
        assert accepted.status == 202
    return session


async def first(opened: Opened) -> Any:
    with trio.fail_after(PATIENCE):
        return await opened.message()


# -- 1: signals end a server cleanly -------------------------------------------------------------


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
async def test_1_drains_cancels_and_ends(number: signal.Signals) -> None:
    async with over_http("waiting", "--grace", 0.5) as (program, web):
        session = await session_of(web)
        stateless = call("hang", {"label": "new"}, progressToken=1)
        older = HANDSHAKE.call(1, "hang", {"label": "old"}, _meta={"progressToken": 1})
        async with web.open_post(stateless) as new, session.open(older) as old:
            await first(new)
            await first(old)
            async with web.open("GET", **session.headers):
                program.signal(number)
                status, seconds = await program.wait_exit(within=0.5 + PROMPT)
        assert status == 0
        assert seconds > 0.4, "the calls in flight were given no time"
        await program.stderr.wait("lifespan left")
        said = program.stderr.seen
        for label in ("new", "old"):
            assert f"{label} cancelled" in said
            assert said.index(f"{label} finally") < said.index("on_shutdown")
        assert said.index("on_shutdown") < said.index("lifespan left")
        assert not any("Traceback" in text for text in said), said


async def test_1_a_second_signal_cancels_at_once() -> None:
    async with over_http("waiting", "--grace", 600) as (program, web):
        async with web.open_post(call("hang", {"label": "x"}, progressToken=1)) as opened:
            await first(opened)
            program.signal(signal.SIGTERM)
            with trio.fail_after(PATIENCE):
                while await is_open(web):
                    await trio.lowlevel.checkpoint()
            program.signal(signal.SIGTERM)
            status, _ = await program.wait_exit(within=PROMPT)
        assert status == 0
        assert "x finally" in program.stderr.seen


async def is_open(web: Web) -> bool:
    try:
        await trio.aclose_forcefully(await web.connect())
    except OSError:
        return False
    return True


async def test_1_a_client_that_reads_nothing_keeps_no_server_alive() -> None:
    async with over_http("noisy_http", "--grace", 0.2) as (program, web):
        async with await web.connect() as stream:
            message = call("flood", progressToken=1)
            body = json.dumps(message).encode()
            headers = web.headers(
                content_type="application/json",
                mcp_protocol_version="2026-07-28",
                mcp_method="tools/call",
                mcp_name="flood",
                content_length=str(len(body)),
            )
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            await stream.send_all(f"POST /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
            await program.stderr.wait("flooding")
            program.signal(signal.SIGTERM)
            status, _ = await program.wait_exit(within=0.2 + PROMPT)
        assert status == 0


# -- 9: nobody waits for somebody else's reader --------------------------------------------------


async def test_9_streams_that_are_never_read_delay_nobody() -> None:
    async with over_http("noisy_http") as (program, web):
        session = await session_of(web)
        flood = HANDSHAKE.call("flood", "flood", _meta={"progressToken": 1})
        async with (
            session.open(flood),
            web.open_post(call("flood", progressToken=1)),
            web.open("GET", **session.headers),
        ):
            await program.stderr.wait("flooding")
            with trio.fail_after(PROMPT):
                reply = await web.post(call("add", {"a": 1, "b": 2}))
                assert reply.message["result"]["structuredContent"] == 3
                async with session.open(HANDSHAKE.call("x", "add", {"a": 1, "b": 2})) as opened:
                    assert b'"3"' in await opened.body()


# -- 10: disconnecting cancels -------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, 1], ids=["json", "sse"])
async def test_10_disconnecting_cancels(token: int | None) -> None:
    meta = {} if token is None else {"progressToken": token}
    async with over_http("waiting") as (program, web), trio.open_nursery() as nursery:
        gone = trio.CancelScope()

        async def ask() -> None:
            with gone:
                await web.post(call("hold", {"label": "x"}, **meta))

        nursery.start_soon(ask)
        await program.stderr.wait("x began")
        gone.cancel()
        await program.stderr.wait("x finally", within=PROMPT)


async def test_10_a_handshake_call_goes_on_and_can_be_fetched() -> None:
    async with over_http("waiting") as (program, web):
        session = await session_of(web)
        await program.stderr.wait("release armed")
        wait = HANDSHAKE.call(7, "released_after_progress", _meta={"progressToken": 1})
        async with session.open(wait) as opened:
            await first(opened)
            last = opened.last_id
        program.signal(signal.SIGUSR1)
        async with session.resume(last) as resumed:
            answer = await first(resumed)
            assert answer["id"] == 7
            assert answer["result"]["content"][0]["text"] == "released"


# -- 11 and 12: shutting down --------------------------------------------------------------------


async def test_11_subscribers_are_told() -> None:
    async with over_http("waiting", "--grace", 600) as (program, web):
        wanted = {"notifications": {"toolsListChanged": True}}
        listen = request("subscriptions/listen", wanted, id="listen")
        async with web.open_post(listen) as opened:
            acknowledged = await first(opened)
            assert acknowledged["method"] == "notifications/subscriptions/acknowledged"
            program.signal(signal.SIGTERM)
            [result] = await opened.messages()
            assert result["id"] == "listen"
            assert result["result"]["resultType"] == "complete"
            key = "io.modelcontextprotocol/subscriptionId"
            assert result["result"]["_meta"][key] == "listen"
        assert (await program.wait_exit(PROMPT))[0] == 0


async def test_12_finished_work_arrives() -> None:
    async with over_http("waiting", "--grace", 600) as (program, web):
        session = await session_of(web)
        await program.stderr.wait("release armed")
        older = HANDSHAKE.call(7, "released_after_progress", _meta={"progressToken": 1})
        stateless = call("released_after_progress", progressToken=1)
        async with session.open(older) as old, web.open_post(stateless) as new:
            await first(old)
            await first(new)
            program.signal(signal.SIGTERM)
            with trio.fail_after(PATIENCE):
                while await is_open(web):
                    await trio.lowlevel.checkpoint()
            program.signal(signal.SIGUSR1)
            for opened in (old, new):
                [answer] = await opened.messages()
                assert answer["result"]["content"][0]["text"] == "released"
        assert (await program.wait_exit(PROMPT))[0] == 0


# -- 19: bad input is answered, not obeyed -------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b'"\xff"', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"x","params":{"n":NaN}}', -32700),
        (b"[" * 100_000, -32700),
        (b'{"jsonrpc":"2.0","id":true,"method":"x"}', -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"x"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}', -32602),
        (b"5", -32600),
        (b"[]", -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":5}}', -32602),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_19_bad_input(body: bytes, code: int) -> None:
    server: Server[Any] = Server("plain")
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "x"}
    async with served(server) as web:
        reply = await web.post(body, **headers)
        assert (reply.status, reply.code) == (400, code)
        session = await session_of(web)
        async with web.open("POST", body=body or b" ", **session.headers) as opened:
            answer = json.loads(await opened.body())
            assert answer["error"]["code"] == code
        assert (await web.post(request("tools/list"))).status == 200


# -- 23: nothing outlives its owner --------------------------------------------------------------


def busy_server() -> Server[None]:
    server: Server[None] = Server("busy")

    @server.tool
    async def hello() -> str:
        return "hello"

    @server.tool
    async def hang(ctx: Context) -> None:
        await ctx.report_progress(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)

    return server


async def test_23_the_task_tree_is_as_it_was() -> None:
    server = busy_server()
    async with served(server) as web:
        await web.post(call("hello"))
        session = await session_of(web)
        await web.send("DELETE", **session.headers)
        await trio.testing.wait_all_tasks_blocked(0.05)
        before = tasks()
        for _ in range(3):
            await web.post(call("hello"))
            async with web.open_post(call("hang", progressToken=1)) as opened:
                await first(opened)
            session = await session_of(web)
            hang = HANDSHAKE.call(1, "hang", _meta={"progressToken": 1})
            async with session.open(hang) as opened, web.open("GET", **session.headers):
                await first(opened)
            await web.send("DELETE", **session.headers)
            async with web.open("GET", "/sse") as opened:
                await opened.event()
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert tasks() == before
        statistics = server.statistics()
        assert (statistics.connections, statistics.http_requests) == (0, 0)


async def test_23_nothing_is_kept_of_a_request() -> None:
    """Each on a connection of its own, half of them in a session that then ends."""
    async with served(busy_server()) as web:
        grown = []
        for count in (200, 400):
            before = Resources.now()
            for _ in range(count):
                await web.post(call("hello"))
                session = await session_of(web)
                await web.send("DELETE", **session.headers)
            await trio.testing.wait_all_tasks_blocked(0.05)
            grown.append(Resources.now().since(before))
        assert grown[1].tasks == 0
        assert grown[1].descriptors <= 0
        # Caches breathe; of a request that is kept there would be a hundred blocks.
        assert grown[1].blocks < 400 * 10
