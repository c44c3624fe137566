"""Streamable HTTP of the stateless era, over real sockets.

Specification: 2026-07-28, Streamable HTTP.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator  # noqa: TC003 - an annotation of a tool
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import trio
import trio.testing
from pydantic import BaseModel

from trimcp import (
    CallNext,
    Context,
    Final,
    Header,
    Limits,
    RequestError,
    Server,
    Session,
    open_http_client,
)
from trimcp.errors import SHUTTING_DOWN

from .harness import META, PATIENCE, call, mirrored, request, served

if TYPE_CHECKING:
    from trio.testing import MockClock

UNKNOWN = {"mcp_protocol_version": "v999"}


class Confirm(BaseModel):
    """A form."""

    ok: bool


class Seen:
    """What handlers went through."""

    def __init__(self) -> None:
        self.started = trio.Event()
        self.ended = trio.Event()
        self.go_on = trio.Event()
        self.yielded = 0


def make_server(**options: Any) -> tuple[Server[Any], Seen]:
    server: Server[Any] = Server("web", version="1", **options)
    seen = Seen()

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
        seen.started.set()
        try:
            await seen.go_on.wait()
            return "went on"
        finally:
            seen.ended.set()

    @server.tool
    async def talk_and_wait(ctx: Context) -> str:
        await ctx.report_progress(1)
        return await wait(ctx)

    @server.tool
    async def flood() -> AsyncIterator[str | Final[int]]:
        try:
            while True:
                seen.yielded += 1
                yield "x" * 10_000
        finally:
            seen.ended.set()

    @server.tool
    async def ask(ctx: Context) -> str:
        try:
            answer = await ctx.elicit("Sure?", Confirm)
        finally:
            seen.ended.set()
        return f"ok={answer.ok}"

    @server.tool
    async def route(region: Annotated[str, Header("Region")] = "?") -> str:
        return f"region {region}"

    @server.tool
    async def fail() -> str:
        raise RuntimeError("secret")

    @server.tool
    async def see(ctx: Context) -> dict[str, Any]:
        assert ctx.http_headers is not None
        return {
            "agent": ctx.http_headers.get("user-agent"),
            "path": ctx.http_scope["path"] if ctx.http_scope else None,
            "trace": ctx.traceparent,
        }

    @server.resource("text://one")
    def one() -> str:
        return "1"

    return server, seen


def text_of(message: Any) -> str:
    text: str = message["result"]["content"][0]["text"]
    return text


# -- answers -------------------------------------------------------------------------------------


async def test_an_answer_is_one_json_object_on_one_line() -> None:
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(call("add", {"a": 2, "b": 3}, id="x"))
        assert reply.status == 200
        assert reply.headers["content-type"] == "application/json"
        assert b"\n" not in reply.body
        assert reply.message["id"] == "x"
        assert reply.message["result"]["structuredContent"] == 5
        assert reply.message["result"]["resultType"] == "complete"


async def test_the_first_message_that_is_no_answer_opens_a_stream() -> None:
    server, _ = make_server()
    async with served(server) as web:
        async with web.open_post(call("steps", progressToken="t")) as opened:
            assert opened.status == 200
            assert opened.headers["content-type"] == "text/event-stream"
            assert opened.headers["x-accel-buffering"] == "no"
            *progress, answer = await opened.messages()
        assert [each["params"]["progress"] for each in progress] == [1, 2, 3]
        assert text_of(answer) == "done"
        assert b"\nid:" not in opened.raw
        lines = [line for line in opened.raw.splitlines() if line]
        assert len(lines) == 4
        assert all(line.startswith(b"data: {") for line in lines)


async def test_nothing_streams_when_nobody_asked() -> None:
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(call("steps"))
        assert reply.headers["content-type"] == "application/json"


async def test_a_connection_is_used_again() -> None:
    server, _ = make_server()
    async with served(server) as web, await web.connect() as stream:
        for number in range(3):
            body = json.dumps(call("add", {"a": number, "b": 1})).encode()
            headers = web.headers(**mirrored(call("add")), content_type="application/json")
            head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            await stream.send_all(
                b"POST /mcp HTTP/1.1\r\n"
                + head.encode()
                + b"content-length: %d\r\n\r\n" % len(body)
            )
            await stream.send_all(body)
            data = b""
            with trio.fail_after(PATIENCE):
                while b'"structuredContent":%d' % (number + 1) not in data:
                    data += await stream.receive_some()
            assert data.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
async def test_a_byte_order_mark_is_ignored_and_never_sent(mark: bytes) -> None:
    server, _ = make_server()
    async with served(server) as web:
        message = call("add", {"a": 1, "b": 2})
        reply = await web.post(mark + json.dumps(message).encode(), **mirrored_as_options(message))
        assert reply.body.startswith(b"{")
        assert text_of(reply.message) == "3"
        twice = await web.post(b"\xef\xbb\xbf" * 2 + b"{}")
        assert (twice.status, twice.code) == (400, -32700)


def mirrored_as_options(message: Any) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in mirrored(message).items()}


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 5000])
@pytest.mark.parametrize("place", ["arguments", "params"])
async def test_numbers_beyond_all_bounds(
    number: str, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Answered as on any other transport, with the id; nothing of it is the server's failure."""
    server, _ = make_server()
    async with served(server) as web:
        for message in (
            call("add", {"a": "N"} if place == "arguments" else {"a": 1, "b": 2}),
            request("resources/read", {"uri": "text://one"}),
            request("prompts/get", {"name": "none"}),
            request("tools/list"),
            request("subscriptions/listen", {"notifications": {}}),
        ):
            if '"N"' not in json.dumps(message):
                message["params"]["other"] = "N"
            body = json.dumps(message).replace('"N"', number).encode()
            reply = await web.post(body, **mirrored_as_options(message))
            assert reply.status in (200, 400)
            assert reply.message["id"] == 1
    assert not caplog.records


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json, text/event-stream", 200),
        ("application/json;q=0, text/event-stream", 406),
        ("application/json, text/event-stream;q=0.0", 406),
        ("*/*;q=0.1", 200),
    ],
)
async def test_a_weight_of_zero_accepts_nothing(accept: str, status: int) -> None:
    server, _ = make_server()
    async with served(server) as web:
        assert (await web.post(request("tools/list"), accept=accept)).status == status


@pytest.mark.parametrize(
    ("message", "headers", "status", "code"),
    [
        (b"{", {}, 400, -32700),
        ({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, UNKNOWN, 400, -32022),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": 5}},
            UNKNOWN,
            400,
            -32022,
        ),
        (b'{"jsonrpc":"2.0","method":"notifications/initialized"}', UNKNOWN, 400, -32022),
        (b'{"jsonrpc":"2.0","id":1}', {}, 400, -32600),
        (b"[]", {"mcp_protocol_version": "2026-07-28"}, 400, -32600),
        (request("tools/nope"), {}, 404, -32601),
        (request("initialize"), {}, 404, -32601),
        (request("ping"), {}, 404, -32601),
        (call("nope"), {}, 400, -32602),
        (call("add"), {"mcp_name": "ad"}, 400, -32020),
        (call("add"), {"mcp_name": None}, 400, -32020),
        (call("add"), {"mcp_method": "TOOLS/CALL"}, 400, -32020),
        (call("add"), {"mcp_protocol_version": "2025-11-25"}, 400, -32020),
        (call("route", {"region": "a"}), {"mcp_param_region": "b"}, 400, -32020),
        (call("route", {"region": "a"}), {}, 400, -32020),
        (call("route"), {"mcp_param_region": "b"}, 400, -32020),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {}},
            {"mcp_protocol_version": "2026-07-28", "mcp_method": "server/discover"},
            400,
            -32602,
        ),
        (
            request("tools/list", **{"io.modelcontextprotocol/protocolVersion": "v999"}),
            {"mcp_protocol_version": "v999"},
            400,
            -32022,
        ),
    ],
)
async def test_errors_have_their_status(
    message: Any, headers: dict[str, str | None], status: int, code: int
) -> None:
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(message, **headers)
        assert (reply.status, reply.code) == (status, code)
        if isinstance(message, dict):
            assert reply.message["id"] == 1


async def test_mirrored_arguments_reach_the_tool() -> None:
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(
            call("route", {"region": "Hello"}), mcp_param_region="=?base64?SGVsbG8=?="
        )
        assert text_of(reply.message) == "region Hello"
        assert text_of((await web.post(call("route"))).message) == "region ?"


async def test_a_missing_capability_is_400() -> None:
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(call("ask"))
        assert (reply.status, reply.code) == (400, -32021)


async def test_a_notification_is_accepted() -> None:
    server, _ = make_server()
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    async with served(server) as web:
        reply = await web.post(note, mcp_protocol_version="2026-07-28")
        assert (reply.status, reply.body) == (202, b"")


async def test_a_notification_of_an_extension_is_handled() -> None:
    """Also where it belongs to no session, in either era."""
    server, _ = make_server()
    heard: list[tuple[float, object]] = []

    @server.notification("notifications/com.example/moved")
    async def moved(params: dict[str, float], session: Session[Any]) -> None:
        if params["x"] < 0:
            raise SystemExit(3)
        heard.append((params["x"], session))

    def note(x: Any) -> dict[str, Any]:
        params = {"x": x, "_meta": META}
        method = "notifications/com.example/moved"
        return {"jsonrpc": "2.0", "method": method, "params": params}

    async with served(server, sessions=False) as web:
        for x in (1, -1, "text", 2):
            assert (await web.post(note(x))).status == 202
        old = json.dumps(note(3)).encode()
        assert (await web.post(old, mcp_protocol_version="2025-11-25")).status == 202
        other = {"jsonrpc": "2.0", "method": "notifications/com.example/other"}
        assert (await web.post(other, mcp_protocol_version="2026-07-28")).status == 202
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(heard) == [(1, None), (2, None), (3, None)]
        assert server.statistics().notifications == 0


async def test_notifications_without_a_session_are_bounded() -> None:
    server, seen = make_server(limits=Limits(in_flight=2))
    began = []

    @server.notification("notifications/com.example/slow")
    async def slow() -> None:
        began.append(1)
        await seen.go_on.wait()

    async with served(server) as web:
        for _ in range(5):
            note = {"jsonrpc": "2.0", "method": "notifications/com.example/slow"}
            assert (await web.post(note, mcp_protocol_version="2026-07-28")).status == 202
        await trio.testing.wait_all_tasks_blocked()
        assert (len(began), server.statistics().notifications) == (2, 2)
        seen.go_on.set()


async def test_a_response_is_not() -> None:
    server, _ = make_server()
    async with served(server) as web:
        answer = {"jsonrpc": "2.0", "id": 1, "result": {}}
        reply = await web.post(answer, mcp_protocol_version="2026-07-28")
        assert reply.status == 400


async def test_unexpected_errors_say_nothing() -> None:
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(call("fail"))
        assert reply.message["result"]["isError"] is True
        assert b"secret" not in reply.body


# -- going away ----------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["wait", "talk_and_wait"])
async def test_a_disconnect_cancels_at_once(tool: str) -> None:
    """In JSON mode as in SSE mode."""
    server, seen = make_server()
    async with served(server) as web:
        stream = await web.connect()
        message = call(tool, progressToken=1)
        body = json.dumps(message).encode()
        headers = web.headers(**mirrored(message), content_type="application/json")
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
        await stream.send_all(
            b"POST /mcp HTTP/1.1\r\n" + head + b"content-length: %d\r\n\r\n" % len(body) + body
        )
        with trio.fail_after(PATIENCE):
            await seen.started.wait()
            await stream.aclose()
            await seen.ended.wait()


async def test_a_slow_reader_pauses_a_generator_and_delays_nobody() -> None:
    server, seen = make_server()
    async with served(server) as web:
        async with web.open_post(call("flood", progressToken=1)):
            before = -1
            with trio.fail_after(PATIENCE):
                while seen.yielded != before:
                    before = seen.yielded
                    await trio.testing.wait_all_tasks_blocked(0.05)
            # 10 kB each: what fits into the buffers of the sockets, and no more.
            assert seen.yielded < 2000
            reply = await web.post(call("add", {"a": 1, "b": 1}))
            assert reply.status == 200
        with trio.fail_after(PATIENCE):
            await seen.ended.wait()


async def test_silence_is_broken_by_comments() -> None:
    server, seen = make_server()
    async with served(server, keepalive=0.05) as web, web.open_post(call("wait")) as opened:
        assert opened.headers["content-type"] == "text/event-stream"
        await opened.comment()
        await opened.comment()
        seen.go_on.set()
        [answer] = await opened.messages()
        assert text_of(answer) == "went on"


# -- asking --------------------------------------------------------------------------------------


def elicit_capable(message: dict[str, Any]) -> dict[str, Any]:
    meta = message["params"]["_meta"]
    meta["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {}}
    return message


async def test_a_question_is_answered_by_another_post() -> None:
    server, seen = make_server()
    async with served(server) as web:
        first = (await web.post(elicit_capable(call("ask")))).message["result"]
        assert first["resultType"] == "input_required"
        assert not seen.ended.is_set()
        [key] = first["inputRequests"]
        again = elicit_capable(call("ask", id=2))
        again["params"] |= {
            "requestState": first["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {"ok": True}}},
        }
        second = (await web.post(again)).message
        assert second["id"] == 2
        assert text_of(second) == "ok=True"


async def test_shutdown_ends_a_parked_question(autojump_clock: MockClock) -> None:
    """At once, though something else uses the whole grace."""
    server, seen = make_server()
    released = trio.Event()

    @server.tool
    async def hold() -> None:
        seen.started.set()
        await released.wait()

    async with served(server) as web, trio.open_nursery() as nursery:
        nursery.start_soon(web.post, call("hold"))
        await web.post(elicit_capable(call("ask")))
        await seen.started.wait()
        assert server.statistics().parked == 1
        server.shutdown(grace=PATIENCE / 2)
        with trio.fail_after(0.1):
            await seen.ended.wait()
        assert server.statistics().http_requests == 1
        released.set()


# -- shutdown ------------------------------------------------------------------------------------


async def test_a_handler_that_begins_too_late_is_refused_and_holds_nothing() -> None:
    """It could ask, so it would have to live in the application, which is closing."""
    server, seen = make_server()

    @server.middleware
    async def wait(ctx: Context, call_next: CallNext) -> Any:
        seen.started.set()
        await seen.go_on.wait()
        return await call_next()

    async with served(server) as web, trio.open_nursery() as nursery:
        application = server.running
        assert application is not None

        async def shut_down() -> None:
            await seen.started.wait()
            server.shutdown(grace=PATIENCE)
            seen.go_on.set()

        nursery.start_soon(shut_down)
        reply = await web.post(elicit_capable(call("ask")))
        assert reply.code == SHUTTING_DOWN
        assert not seen.ended.is_set()
    assert application.budget.used == 0


async def test_work_that_is_finished_in_time_arrives() -> None:
    server, seen = make_server()
    async with served(server) as web, trio.open_nursery() as nursery:

        async def shut_down() -> None:
            await seen.started.wait()
            server.shutdown(grace=PATIENCE)
            await trio.testing.wait_all_tasks_blocked(0.05)
            seen.go_on.set()

        nursery.start_soon(shut_down)
        reply = await web.post(call("wait"))
        assert text_of(reply.message) == "went on"


@pytest.mark.parametrize("grace", [0.0, 0.1, 4.0])
async def test_work_that_is_not_is_cancelled(grace: float, autojump_clock: MockClock) -> None:
    """When the grace is over, and neither before nor later."""
    server, seen = make_server()
    began: list[float] = []
    async with served(server) as web, trio.open_nursery() as nursery:

        async def shut_down() -> None:
            await seen.started.wait()
            began.append(trio.current_time())
            server.shutdown(grace=grace)

        nursery.start_soon(shut_down)
        reply = await web.post(call("wait"))
        assert trio.current_time() - began[0] == pytest.approx(grace, abs=0.05)
        assert reply.code == -32603
        assert seen.ended.is_set()


# -- what a handler sees -------------------------------------------------------------------------


async def test_a_handler_sees_the_http_request() -> None:
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(call("see"), user_agent="tests", traceparent="00-a-b-01")
        assert reply.message["result"]["structuredContent"] == {
            "agent": "tests",
            "path": "/mcp",
            "trace": "00-a-b-01",
        }
        reply = await web.post(call("see", traceparent="00-c-d-01"), traceparent="00-a-b-01")
        assert reply.message["result"]["structuredContent"]["trace"] == "00-c-d-01"


async def test_the_number_of_requests_is_bounded() -> None:
    server, seen = make_server(limits=Limits(http_requests=1))
    async with served(server) as web, trio.open_nursery() as nursery:
        nursery.start_soon(web.post, call("wait"))
        await seen.started.wait()
        assert server.statistics().http_requests == 1
        reply = await web.post(call("add", {"a": 1, "b": 1}))
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        seen.go_on.set()


async def test_a_handler_s_code_is_not_about_the_endpoint() -> None:
    """It may come from another server: no 404, and nothing that makes a client call again."""
    server: Server[Any] = Server("proxy", version="1")
    runs = 0

    @server.tool
    async def forward(code: int) -> None:
        nonlocal runs
        runs += 1
        raise RequestError(code, "from elsewhere")

    async with served(server) as web:
        for code, expected in ((-32601, -32601), (-31002, -31002), (-32020, -32603)):
            reply = await web.post(call("forward", {"code": code}))
            assert (reply.status, reply.code) == (200, expected)
        runs = 0
        async with open_http_client(f"http://127.0.0.1:{web.port}/mcp") as client:
            with pytest.raises(RequestError, match="from elsewhere"):
                await client.call_tool("forward", {"code": -32020})
    assert runs == 1
