"""Streamable HTTP of the handshake era, over real sockets.

Specification: 2025-11-25, 2025-06-18 and 2025-03-26, Transports.
"""

from __future__ import annotations

import collections
import json
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from pydantic import BaseModel

from trimcp import Context, Limits, Server

from .harness import PATIENCE, Message, Opened, Reply, Web, call, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from trio.testing import MockClock

REVISIONS = ("2025-03-26", "2025-06-18", "2025-11-25")


class Confirm(BaseModel):
    """A form."""

    ok: bool


class Seen:
    """What handlers went through."""

    def __init__(self) -> None:
        self.started = trio.Event()
        self.ended = trio.Event()
        self.go_on = trio.Event()
        self.paused = trio.Event()
        self.opened: list[str] = []
        self.closed: collections.defaultdict[str, trio.Event]
        self.closed = collections.defaultdict(trio.Event)


def make_server(**options: Any) -> tuple[Server[Any], Seen]:
    seen = Seen()

    @asynccontextmanager
    async def session_lifespan(session: Any) -> AsyncIterator[str]:
        seen.opened.append(session.id)
        try:
            yield "context"
        finally:
            seen.closed[session.id].set()

    server: Server[Any] = Server("web", version="1", session_lifespan=session_lifespan, **options)

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @server.tool
    async def steps(ctx: Context) -> str:
        for number in range(1, 4):
            await ctx.report_progress(number, 3)
        return "done"

    @server.tool
    async def wait(ctx: Context) -> str:
        await ctx.report_progress(1)
        seen.started.set()
        try:
            await seen.go_on.wait()
            await ctx.report_progress(2)
            return "went on"
        finally:
            seen.ended.set()

    @server.tool
    async def ask(ctx: Context) -> str:
        return f"ok={(await ctx.elicit('Sure?', Confirm)).ok}"

    @server.tool
    async def poll(ctx: Context) -> str:
        told = await ctx.close_stream(0.25)
        seen.started.set()
        await seen.go_on.wait()
        return f"told={told}"

    @server.tool
    async def who(ctx: Context) -> dict[str, Any]:
        assert ctx.session is not None
        headers = ctx.http_headers or {}
        return {"id": ctx.session.id, "context": ctx.session_context, "x": headers.get("x-one")}

    return server, seen


def another() -> str:
    """A tool that comes and goes."""
    return ""


def message(method: str, params: Any = None, *, id: Any = 1) -> Message:
    wire: Message = {"jsonrpc": "2.0", "id": id, "method": method}
    if params is not None:
        wire["params"] = params
    return wire


def tool(name: str, arguments: Any = None, *, id: Any = 1, token: Any = None) -> Message:
    params: Message = {"name": name, "arguments": arguments or {}}
    if token is not None:
        params["_meta"] = {"progressToken": token}
    return message("tools/call", params, id=id)


def initialize(revision: str = REVISIONS[-1], capabilities: Any = None) -> Message:
    params = {
        "protocolVersion": revision,
        "capabilities": capabilities or {},
        "clientInfo": {"name": "harness", "version": "1"},
    }
    return message("initialize", params, id="init")


INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@attrs.frozen
class Client:
    """A session."""

    web: Web
    id: str
    revision: str

    def _headers(self, more: dict[str, str | None]) -> dict[str, str | None]:
        return {"mcp-session-id": self.id, "mcp-protocol-version": self.revision, **more}

    async def post(self, content: Any, **headers: str | None) -> Reply:
        async with self.open_post(content, **headers) as opened:
            return Reply(opened.status, opened.headers, await opened.body())

    def open_post(self, content: Any, **headers: str | None) -> AbstractAsyncContextManager[Opened]:
        # No `_meta` of the stateless era here, so nothing is mirrored.
        return self.web.open_post(_plain(content), **self._headers(headers))

    def open_get(self, **headers: str | None) -> AbstractAsyncContextManager[Opened]:
        return self.web.open("GET", **self._headers(headers))

    async def get(self, **headers: str | None) -> Reply:
        return await self.web.send("GET", **self._headers(headers))

    async def delete(self) -> Reply:
        return await self.web.send("DELETE", **self._headers({}))


def _plain(content: Any) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


async def join(web: Web, revision: str = REVISIONS[-1], capabilities: Any = None) -> Client:
    """Open a session."""
    reply = await web.post(initialize(revision, capabilities))
    assert reply.status == 200, reply
    assert reply.message["result"]["protocolVersion"] == revision
    client = Client(web, reply.headers["mcp-session-id"], revision)
    accepted = await client.post(INITIALIZED)
    assert (accepted.status, accepted.body) == (202, b"")
    return client


def text_of(answer: Any) -> str:
    text: str = answer["result"]["content"][0]["text"]
    return text


# -- sessions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
async def test_a_session(revision: str) -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web, revision)
        assert len(client.id) >= 32
        assert client.id.isascii()
        assert client.id.isprintable()
        reply = await client.post(tool("add", {"a": 1, "b": 2}))
        assert reply.headers["content-type"] == "application/json"
        assert text_of(reply.message) == "3"
        assert (await client.post(message("ping"))).message["result"] == {}
        assert (await client.delete()).status == 204
        assert (await client.post(message("ping"))).status == 404
        assert (await client.get()).status == 404
        assert (await client.delete()).status == 404
        with trio.fail_after(PATIENCE):
            await seen.closed[client.id].wait()
        assert seen.opened == [client.id]


async def test_both_eras_share_the_endpoint() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web)
        assert text_of((await web.post(call("add", {"a": 1, "b": 1}))).message) == "2"
        assert text_of((await client.post(tool("add", {"a": 2, "b": 2}))).message) == "4"
        # The session id means nothing to a stateless request.
        stateless = await web.post(call("add", {"a": 3, "b": 3}), mcp_session_id=client.id)
        assert stateless.message["result"]["resultType"] == "complete"
        assert "mcp-session-id" not in stateless.headers


async def test_handlers_know_their_session() -> None:
    server, _ = make_server()
    async with served(server) as web:
        first, second = await join(web), await join(web)
        for client in (first, second):
            seen = (await client.post(tool("who"), x_one="1")).message["result"]
            assert seen["structuredContent"] == {"id": client.id, "context": "context", "x": "1"}


async def test_the_session_is_asked_for() -> None:
    server, _ = make_server()
    async with served(server) as web:
        await join(web)
        assert (await web.post(message("tools/list"))).status == 400
        assert (await web.post(INITIALIZED)).status == 400
        assert (await web.send("GET")).status == 400
        assert (await web.send("DELETE")).status == 400
        unknown = await web.post(message("tools/list"), mcp_session_id="nope")
        assert unknown.status == 404
        assert "id" not in unknown.message


async def test_a_bad_version_is_refused() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web)
        reply = await client.post(message("ping"), mcp_protocol_version="1999-01-01")
        assert reply.status == 400
        assert (await client.post(message("ping"), mcp_protocol_version=None)).status == 200


async def test_a_failed_initialize_opens_nothing() -> None:
    server, seen = make_server()
    async with served(server) as web:
        reply = await web.post(message("initialize", {"protocolVersion": 5}))
        assert reply.code == -32602
        assert "mcp-session-id" not in reply.headers
        [id] = seen.opened
        with trio.fail_after(PATIENCE):
            await seen.closed[id].wait()
        assert (await web.post(message("ping"), mcp_session_id=id)).status == 404


async def test_initializing_twice_is_refused() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web)
        assert (await client.post(initialize())).code == -32600


async def test_a_session_whose_lifespan_fails(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def broken(session: Any) -> AsyncIterator[None]:
        raise ValueError("secret")
        yield

    server: Server[Any] = Server("web", session_lifespan=broken)
    async with served(server) as web:
        reply = await web.post(initialize())
        assert reply.status == 500
        assert b"secret" not in reply.body
        assert (await web.post(call("x"))).status == 400
    assert "secret" in caplog.text


async def test_requests_side_by_side() -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("wait", id=1, token="t")) as waiting:
            assert (await waiting.message())["params"]["progress"] == 1
            replies = []
            async with trio.open_nursery() as nursery:
                for number in range(3):

                    async def ask(number: int = number) -> None:
                        replies.append(await client.post(message("tools/list", id=number + 10)))

                    nursery.start_soon(ask)
            assert sorted(reply.message["id"] for reply in replies) == [10, 11, 12]
            seen.go_on.set()
            assert text_of((await waiting.messages())[-1]) == "went on"


async def test_a_cancelled_request_ends_without_an_answer() -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("wait", token="t")) as waiting:
            await waiting.message()
            note = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
            reply = await client.post(note | {"params": {"requestId": 1}})
            assert reply.status == 202
            assert await waiting.messages() == []
        assert seen.ended.is_set()


ERRORS = [
    (message("no/such/method"), -32601),
    (tool("no such tool"), -32602),
    (message("tools/call", {"name": 5}), -32602),
    (message("resources/read", {"uri": "text://nothing"}), -32002),
    (message("prompts/get", {"name": "nothing"}), -32602),
    (message("completion/complete", {}), None),
    (message("logging/setLevel", {"level": "no such level"}), -32602),
    (message("tools/list", {"cursor": "no such cursor"}), -32602),
]


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("has_session", [True, False])
async def test_errors_have_no_status_of_their_own(revision: str, has_session: bool) -> None:
    """2025-11-25, Sending Messages to the Server: the answer to a request is 200, also an error."""
    server, _ = make_server()

    @server.resource("text://one")
    def one() -> str:
        return "1"

    @server.prompt
    def hello() -> str:
        return "hello"

    async with served(server, sessions=has_session) as web:
        headers = {"mcp_protocol_version": revision}
        if has_session:
            headers["mcp_session_id"] = (await join(web, revision)).id
        for asked, code in ERRORS:
            reply = await web.post(_plain(asked), **headers)
            assert (reply.status, code or reply.code) == (200, reply.code), asked


# -- streams and resumption ------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS)
async def test_streams_have_ids_and_are_primed(revision: str) -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web, revision)
        async with client.open_post(tool("steps", token="t")) as opened:
            assert opened.headers["content-type"] == "text/event-stream"
            *progress, answer = await opened.messages()
            assert [each["params"]["progress"] for each in progress] == [1, 2, 3]
            assert text_of(answer) == "done"
            assert opened.last_id
        is_primed = opened.raw.startswith(b"id: ") and b"\ndata: \n" in opened.raw
        assert is_primed == (revision == "2025-11-25")


async def test_a_call_goes_on_and_its_result_can_be_fetched() -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("wait", token="t")) as opened:
            await opened.message()
            last = opened.last_id
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not seen.ended.is_set()
        seen.go_on.set()
        with trio.fail_after(PATIENCE):
            await seen.ended.wait()
        for _ in range(2):
            async with client.open_get(last_event_id=last) as resumed:
                progress, answer = await resumed.messages()
                assert progress["params"]["progress"] == 2
                assert text_of(answer) == "went on"
        # Only what came after the last event is said again.
        async with client.open_get(last_event_id=resumed.last_id) as resumed:
            assert await resumed.messages() == []


async def test_a_stream_is_resumed_while_the_call_goes_on() -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("wait", token="t")) as opened:
            await opened.message()
            last = opened.last_id
        async with client.open_get(last_event_id=last) as resumed:
            seen.go_on.set()
            progress, answer = await resumed.messages()
            assert progress["params"]["progress"] == 2
            assert text_of(answer) == "went on"


async def test_who_is_cut_off_again_misses_nothing() -> None:
    """What a resumed stream begins with is no later than the events that were missed."""
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web, capabilities={"elicitation": {}})
        async with client.open_post(tool("ask")) as opened:
            await opened.event()
        last = opened.last_id.rpartition("-")[0] + "-1"
        for _ in range(3):
            async with client.open_get(last_event_id=last) as cut_off:
                last = await cut_off.first_id()
        async with client.open_get(last_event_id=last) as resumed:
            assert (await resumed.message())["method"] == "elicitation/create"


async def test_an_idle_stream_can_be_resumed_where_nothing_was_missed() -> None:
    server, _ = make_server(limits=Limits(replay_bytes=2000))
    async with served(server) as web:
        client = await join(web)
        async with client.open_get() as idle:
            server.tool(another)
            await idle.message()
            last = idle.last_id
        for _ in range(20):
            async with client.open_post(tool("steps", token="t")) as opened:
                await opened.messages()
        async with client.open_get(last_event_id=last) as resumed:
            server.remove_tool("another")
            assert (await resumed.message())["method"] == "notifications/tools/list_changed"


async def test_silence_is_broken_by_comments() -> None:
    server, seen = make_server()
    async with served(server, keepalive=0.05) as web:
        # Before 2025-11-25 the opening of a stream is a comment too.
        client = await join(web, "2025-06-18")
        async with client.open_get() as listening, client.open_post(tool("wait")) as opened:
            for stream in (listening, opened):
                await stream.comment()
                await stream.comment()
                await stream.comment()
            seen.go_on.set()
            [answer] = await opened.messages()
            assert text_of(answer) == "went on"
            await listening.comment()


async def test_a_call_s_idle_stream_can_be_resumed_where_nothing_was_missed() -> None:
    server, seen = make_server(limits=Limits(replay_bytes=2000))
    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("wait", token="t")) as opened:
            await opened.message()
        for _ in range(20):
            async with client.open_post(tool("steps", token="t", id=2)) as other:
                await other.messages()
        async with client.open_get(last_event_id=opened.last_id) as resumed:
            seen.go_on.set()
            assert text_of((await resumed.messages())[-1]) == "went on"


async def test_what_was_missed_is_told_once() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web)
        async with client.open_get() as opened:
            server.tool(another)
            first = await opened.message()
            start = opened.last_id
            server.remove_tool("another")
            assert await opened.message() == first
        for _ in range(3):
            async with client.open_get(last_event_id=start) as resumed:
                assert await resumed.message() == first
                server.tool(another)
                assert await resumed.message() == first
                start = resumed.last_id
                server.remove_tool("another")
                assert await resumed.message() == first


async def test_events_are_kept_within_bounds() -> None:
    server, _ = make_server(limits=Limits(replay_bytes=200))
    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("steps", token="t")) as opened:
            await opened.event()
            first = opened.last_id
            await opened.messages()
            last = opened.last_id
        assert (await client.get(last_event_id=first)).status == 400
        assert (await client.get(last_event_id="1-x")).status == 400
        async with client.open_get(last_event_id=last) as resumed:
            assert await resumed.messages() == []


async def test_sessions_do_not_see_each_other_s_events() -> None:
    server, _ = make_server()
    async with served(server) as web:
        first, second = await join(web), await join(web)
        async with first.open_post(tool("steps", token="t")) as opened:
            await opened.event()
        assert (await second.get(last_event_id=opened.last_id)).status == 400


async def test_polling() -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("poll")) as opened:
            assert await opened.messages() == []
            assert opened.retry == 250
            last = opened.last_id
        assert last
        async with client.open_get(last_event_id=last) as resumed:
            seen.go_on.set()
            [answer] = await resumed.messages()
            assert text_of(answer) == "told=True"


async def test_polling_of_an_open_stream() -> None:
    server, _ = make_server()
    ended, go_on = trio.Event(), trio.Event()

    @server.tool
    async def chat(ctx: Context) -> str:
        await ctx.report_progress(1)
        await ctx.close_stream()
        await ended.wait()
        await ctx.report_progress(2)
        await go_on.wait()
        return "done"

    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("chat", token="t")) as opened:
            [progress] = await opened.messages()
            assert progress["params"]["progress"] == 1
            assert opened.retry == 1000
        ended.set()
        async with client.open_get(last_event_id=opened.last_id) as resumed:
            assert (await resumed.message())["params"]["progress"] == 2
            go_on.set()
            assert text_of(await resumed.message()) == "done"


async def test_older_clients_are_not_sent_away() -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web, "2025-06-18")
        seen.go_on.set()
        assert text_of((await client.post(tool("poll"))).message) == "told=False"


# -- what the server says by itself ----------------------------------------------------------------


async def test_changes_come_on_the_session_s_own_stream() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web)
        async with client.open_get() as opened:
            assert opened.headers["content-type"] == "text/event-stream"
            server.tool(another)
            change = await opened.message()
            assert change["method"] == "notifications/tools/list_changed"
            last = opened.last_id
        server.remove_tool("another")
        async with client.open_get(last_event_id=last) as opened:
            assert (await opened.message())["method"] == "notifications/tools/list_changed"


async def test_the_newest_stream_wins() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web)
        async with client.open_get() as first, client.open_get() as second:
            assert await first.messages() == []
            server.tool(another)
            assert "list_changed" in (await second.message())["method"]


async def test_questions_come_on_the_call_s_own_stream() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web, capabilities={"elicitation": {}})
        async with client.open_get() as standing, client.open_post(tool("ask")) as opened:
            question = await opened.message()
            assert question["method"] == "elicitation/create"
            result = {"action": "accept", "content": {"ok": True}}
            answer = {"jsonrpc": "2.0", "id": question["id"], "result": result}
            assert (await client.post(answer)).status == 202
            assert text_of(await opened.message()) == "ok=True"
            await client.delete()
            assert await standing.messages() == []


async def test_the_question_reaches_who_resumes() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web, capabilities={"elicitation": {}})
        async with client.open_post(tool("ask")) as opened:
            await opened.event()
            primed = opened.last_id
        async with client.open_get(last_event_id=primed.rpartition("-")[0] + "-1") as resumed:
            question = await resumed.message()
            result = {"action": "accept", "content": {"ok": False}}
            await client.post({"jsonrpc": "2.0", "id": question["id"], "result": result})
            assert text_of(await resumed.message()) == "ok=False"


# -- batches ---------------------------------------------------------------------------------------


async def test_batches_of_the_one_revision_that_has_them() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web, "2025-03-26")
        batch = [tool("add", {"a": 1, "b": 1}, id=1), INITIALIZED, message("ping", id=2)]
        reply = await client.post(batch)
        assert {each["id"] for each in reply.message} == {1, 2}
        assert (await client.post([INITIALIZED])).status == 202
        async with client.open_post([tool("steps", id=1, token="t"), message("ping", id=2)]) as one:
            *progress, answers = await one.messages()
            assert len(progress) == 3
            assert len(answers) == 2
        newer = await join(web, "2025-06-18")
        assert (await newer.post(batch)).code == -32600


async def test_cancelling_the_last_of_a_batch_answers_the_batch() -> None:
    """On the stream of the batch, not on that of the cancellation."""
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web, "2025-03-26")
        batch = [tool("wait", id=1, token="t"), message("ping", id=2)]
        async with client.open_post(batch) as waiting:
            await waiting.message()
            note = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
            reply = await client.post(note | {"params": {"requestId": 1}})
            assert reply.status == 202
            [answers] = await waiting.messages()
            assert [each["id"] for each in answers] == [2]


# -- bounds and ends -------------------------------------------------------------------------------


async def test_idle_sessions_end() -> None:
    server, seen = make_server(limits=Limits(session_seconds=0.2))
    async with served(server) as web:
        idle, busy = await join(web), await join(web)
        async with busy.open_get():
            with trio.fail_after(PATIENCE):
                await seen.closed[idle.id].wait()
            assert (await idle.post(message("ping"))).status == 404
            assert (await busy.post(message("ping"))).status == 200


async def test_a_session_at_work_is_not_idle_whoever_listens(autojump_clock: MockClock) -> None:
    """Its client is cut off; the call goes on, and only from its end on is the session idle."""
    server, seen = make_server(limits=Limits(session_seconds=8))
    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("wait", token="t")) as opened:
            await opened.message()
            last = opened.last_id
        await trio.sleep(40)
        assert not seen.ended.is_set()
        assert not seen.closed[client.id].is_set()
        seen.go_on.set()
        await trio.sleep(4)
        async with client.open_get(last_event_id=last) as resumed:
            assert text_of((await resumed.messages())[-1]) == "went on"
        began = trio.current_time()
        await seen.closed[client.id].wait()
        assert 8 <= trio.current_time() - began <= 8 * 1.5
        assert (await client.post(message("ping"))).status == 404


@pytest.mark.parametrize("way", ["deleted", "idle", "replaced"])
async def test_a_session_that_was_ended_is_found_by_nobody_while_it_cleans_up(
    way: str, autojump_clock: MockClock
) -> None:
    limits = Limits(http_sessions=1, session_seconds=math.inf if way == "replaced" else 8)
    leaving, may_leave = trio.Event(), trio.Event()

    @asynccontextmanager
    async def lifespan(session: Any) -> AsyncIterator[None]:
        try:
            yield
        finally:
            leaving.set()
            with trio.CancelScope(shield=True):
                await may_leave.wait()

    server: Server[Any] = Server("web", version="1", limits=limits, session_lifespan=lifespan)
    async with served(server) as web, trio.open_nursery() as nursery:
        client = await join(web)
        if way == "deleted":
            assert (await client.delete()).status == 204
        elif way == "replaced":
            nursery.start_soon(web.post, initialize())
        await leaving.wait()
        for reply in (
            await client.post(message("ping")),
            await client.post(INITIALIZED),
            await client.get(),
            await client.delete(),
        ):
            assert reply.status == 404
        may_leave.set()
        with trio.move_on_after(1):
            await trio.sleep_forever()
        nursery.cancel_scope.cancel()


async def test_the_number_of_sessions_is_bounded() -> None:
    server, _ = make_server(limits=Limits(http_sessions=2))
    async with served(server) as web:
        first, second = await join(web), await join(web)
        await first.post(message("ping"))
        third = await join(web)
        assert (await second.post(message("ping"))).status == 404
        async with first.open_get(), third.open_get():
            refused = await web.post(initialize())
            assert refused.status == 503
            assert refused.headers["retry-after"]


class Lifespans:
    """Counts the sessions that live; entering and leaving one wait until they may go on."""

    def __init__(self, limit: int) -> None:
        self.living = self.most = self.entered = 0
        self.may_enter, self.may_leave = trio.Event(), trio.Event()
        self.has_entered = trio.Event()
        self.server: Server[Any] = Server(
            "web", limits=Limits(http_sessions=limit), session_lifespan=self._lifespan
        )

    @asynccontextmanager
    async def _lifespan(self, session: Any) -> AsyncIterator[None]:
        self.living += 1
        self.entered += 1
        self.most = max(self.most, self.living)
        self.has_entered.set()
        try:
            await self.may_enter.wait()
            yield
            await self.may_leave.wait()
        finally:
            self.living -= 1


async def test_sessions_that_are_being_opened_count_as_well() -> None:
    lifespans = Lifespans(3)
    lifespans.may_leave.set()
    statuses: collections.Counter[int] = collections.Counter()
    async with served(lifespans.server) as web, trio.open_nursery() as nursery:

        async def begin() -> None:
            statuses[(await web.post(initialize())).status] += 1

        for _ in range(12):
            nursery.start_soon(begin)
        with trio.fail_after(PATIENCE):
            while statuses[503] < 9:
                await trio.testing.wait_all_tasks_blocked(0.05)
        assert lifespans.entered == 3
        lifespans.may_enter.set()
    assert statuses == {503: 9, 200: 3}
    assert lifespans.most == 3


async def test_a_new_session_waits_for_the_end_of_the_one_whose_place_it_takes() -> None:
    lifespans = Lifespans(3)
    lifespans.may_enter.set()
    async with served(lifespans.server) as web:
        for _ in range(3):
            await join(web)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(join, web)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert (lifespans.entered, lifespans.living) == (3, 3)
            lifespans.may_leave.set()
        for _ in range(8):
            await join(web)
        assert lifespans.entered == 12
        assert lifespans.most == 3


async def test_a_session_that_was_deleted_gives_its_place_back() -> None:
    lifespans = Lifespans(1)
    lifespans.may_enter.set()
    async with served(lifespans.server) as web:
        client = await join(web)
        async with client.open_get(), trio.open_nursery() as nursery:
            assert (await web.post(initialize())).status == 503
            assert (await client.delete()).status == 204
            nursery.start_soon(join, web)
            await trio.testing.wait_all_tasks_blocked(0.05)
            lifespans.may_leave.set()
    assert (lifespans.entered, lifespans.most) == (2, 1)


async def test_who_leaves_while_a_session_opens_gives_its_place_back() -> None:
    lifespans = Lifespans(1)
    async with served(lifespans.server) as web:
        body = json.dumps(initialize()).encode()
        head = {**web.headers(content_type="application/json"), "content-length": str(len(body))}
        lines = [f"{name}: {value}" for name, value in head.items()]
        client = await web.connect()
        await client.send_all("\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + body)
        with trio.fail_after(PATIENCE):
            await lifespans.has_entered.wait()
            await trio.aclose_forcefully(client)
            while lifespans.living:
                await trio.testing.wait_all_tasks_blocked(0.05)
        lifespans.may_enter.set()
        lifespans.may_leave.set()
        await join(web)


@pytest.mark.parametrize("token", [None, "t"])
async def test_deleting_a_session_cancels_its_calls_and_answers_them(token: str | None) -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web)
        replies: list[Any] = []
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                async with client.open_post(tool("wait", token=token)) as opened:
                    if opened.headers["content-type"] == "application/json":
                        replies.append(json.loads(await opened.body()))
                    else:
                        replies.extend(await opened.messages())

            nursery.start_soon(ask)
            with trio.fail_after(PATIENCE):
                await seen.started.wait()
            assert (await client.delete()).status == 204
        *_, answer = replies
        assert (answer["id"], answer["error"]["code"]) == (1, -31002)
        assert seen.ended.is_set()


async def test_deleting_a_session_answers_a_whole_batch() -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web, "2025-03-26")
        replies: list[Reply] = []
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                batch = [tool("add", {"a": 1, "b": 1}, id=1), tool("wait", id=2)]
                replies.append(await client.post(batch))

            nursery.start_soon(ask)
            with trio.fail_after(PATIENCE):
                await seen.started.wait()
            await client.delete()
        first, second = sorted(replies[0].message, key=lambda answer: int(answer["id"]))
        assert text_of(first) == "2"
        assert second["error"]["code"] == -31002


async def test_a_call_that_outlasts_the_grace_is_answered() -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("wait", token="t")) as opened:
            await opened.message()
            server.shutdown(grace=0)
            [answer] = await opened.messages()
            assert answer["error"]["code"] == -31002


async def test_shutdown_ends_sessions_and_lets_work_finish() -> None:
    server, seen = make_server()
    async with served(server) as web, trio.open_nursery() as nursery:
        client = await join(web)

        async def shut_down() -> None:
            await seen.started.wait()
            server.shutdown(grace=PATIENCE)
            await trio.testing.wait_all_tasks_blocked(0.05)
            seen.go_on.set()

        nursery.start_soon(shut_down)
        async with client.open_get() as standing, client.open_post(tool("wait", token=1)) as opened:
            assert text_of((await opened.messages())[-1]) == "went on"
            assert await standing.messages() == []
    assert seen.closed[client.id].is_set()


async def test_a_handler_that_waits_for_its_reader_goes_on_without_it() -> None:
    """What it had said, and what it says then, is kept for whoever resumes the stream."""
    server, seen = make_server(limits=Limits(outbox_bytes=10_000, replay_bytes=100_000_000))
    said = 0

    @server.tool
    async def talk(ctx: Context) -> str:
        nonlocal said
        while not seen.go_on.is_set():
            said += 1
            await ctx.info(f"{said} {'x' * 50_000}")
        seen.ended.set()
        return "went on"

    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("talk")) as opened:
            await opened.message()
            first = opened.last_id
            before = -1
            with trio.fail_after(PATIENCE):
                while said != before:
                    before = said
                    await trio.testing.wait_all_tasks_blocked(0.05)
            seen.go_on.set()
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert not seen.ended.is_set()
        with trio.fail_after(PATIENCE):
            await seen.ended.wait()
        async with client.open_get(last_event_id=first) as resumed:
            *logs, answer = await resumed.messages()
        assert [int(each["params"]["data"].split()[0]) for each in logs] == list(range(2, said + 1))
        assert text_of(answer) == "went on"


async def test_a_reader_that_is_slow_delays_nobody_else() -> None:
    server, _ = make_server(limits=Limits(outbox_bytes=10_000))
    sent = 0

    @server.tool
    async def flood(ctx: Context) -> str:
        nonlocal sent
        while True:
            sent += 1
            await ctx.info("x" * 5000)

    async with served(server) as web:
        client = await join(web)
        async with client.open_post(tool("flood")):
            before = -1
            with trio.fail_after(PATIENCE):
                while sent != before:
                    before = sent
                    await trio.testing.wait_all_tasks_blocked(0.05)
            assert (await client.post(message("ping"))).status == 200
            async with client.open_get():
                server.tool(another)
            await client.delete()
