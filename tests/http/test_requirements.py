"""Requirements of the specification that no other test here shows: docs/conformance.md.

Specification: Transports; 2026-07-28, Streamable HTTP.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
import trio
import trio.testing

from trimcp import Context, Header, Limits, Server
from trimcp.errors import RegistrationError

from .harness import PATIENCE, Opened, Web, call, mirrored, request, served
from .test_sessions import (
    INITIALIZED,
    REVISIONS,
    another,
    initialize,
    join,
    make_server,
    message,
    text_of,
    tool,
)

FOREIGN = "http://evil.example.com"


# -- security ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/mcp"),
        ("GET", "/mcp"),
        ("DELETE", "/mcp"),
        ("OPTIONS", "/mcp"),
        ("GET", "/sse"),
        ("POST", "/messages"),
    ],
)
async def test_foreign_pages_are_refused_at_every_endpoint(method: str, path: str) -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web)
        known = {"mcp_session_id": client.id, "content_type": "application/json"}
        for origin in (FOREIGN, f"http://localhost, {FOREIGN}", "null", ""):
            reply = await web.send(method, path, origin=origin, **known)
            assert reply.status == 403, origin
            assert "id" not in reply.message
        assert (await client.post(message("ping"))).status == 200


async def test_the_default_is_this_machine() -> None:
    server, _ = make_server()
    async with trio.open_nursery() as nursery:

        async def serve(*, task_status: trio.TaskStatus[list[str]]) -> None:
            await server.serve_http(port=0, task_status=task_status)

        urls = await nursery.start(serve)
        assert [url.rpartition(":")[0] for url in urls] == ["http://127.0.0.1"]
        nursery.cancel_scope.cancel()


# -- the stateless era ---------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["mcp_protocol_version", "mcp_method", "mcp_name"])
async def test_required_headers_are_required(header: str) -> None:
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(call("add", {"a": 1, "b": 2}), **{header: None})
        assert (reply.status, reply.code) == (400, -32020)
        assert reply.message["id"] == 1
        twice = {header: "tools/call, tools/call"}
        assert (await web.post(call("add"), **twice)).code == -32020


async def test_a_version_that_is_not_spoken_names_those_that_are() -> None:
    version = {"io.modelcontextprotocol/protocolVersion": "v999"}
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(request("tools/list", **version), mcp_protocol_version="v999")
        assert (reply.status, reply.code) == (400, -32022)
        data = {"supported": ["2026-07-28"], "requested": "v999"}
        assert reply.message["error"]["data"] == data


@pytest.mark.parametrize("missing", ["protocolVersion", "clientCapabilities"])
async def test_a_request_that_lacks_its_terms_is_400(missing: str) -> None:
    key = f"io.modelcontextprotocol/{missing}"
    message = call("add", {"a": 1, "b": 2})
    del message["params"]["_meta"][key]
    server, _ = make_server()
    async with served(server) as web:
        reply = await web.post(message, mcp_protocol_version="2026-07-28")
        assert (reply.status, reply.code) == (400, -32602)
        assert key in reply.message["error"]["message"]
        assert reply.message["id"] == 1


async def test_names_of_headers_have_no_case_but_values_have() -> None:
    server, _ = make_server()
    async with served(server) as web:
        loud = {"MCP-PROTOCOL-VERSION": "2026-07-28", "mCP-mETHOD": "tools/call", "MCP-NAME": "add"}
        body = json.dumps(call("add", {"a": 1, "b": 2})).encode()
        reply = await web.post(body, **loud)
        assert text_of(reply.message) == "3"
        assert (await web.post(body, **(loud | {"MCP-NAME": "ADD"}))).code == -32020


async def test_mirrored_values_are_decoded_and_compared() -> None:
    server: Server[Any] = Server("web")

    @server.tool
    async def size(n: Annotated[int, Header("N")] = 0) -> str:
        return f"n={n}"

    name = "=?base64?c2l6ZQ==?="
    async with served(server) as web:
        for sent, arguments, expected in (
            ("42.0", {"n": 42}, "n=42"),
            ("=?base64?NDI=?=", {"n": 42}, "n=42"),
            (None, {}, "n=0"),
        ):
            reply = await web.post(call("size", arguments), mcp_name=name, mcp_param_n=sent)
            assert text_of(reply.message) == expected, sent
        # No header is expected of null: what is wrong with it is said about the argument.
        reply = await web.post(call("size", {"n": None}), mcp_name=name)
        assert (reply.status, reply.message["result"]["isError"]) == (200, True)
        for sent in ("43", "=?base64?NDI?=", "=?base64?NDM=?=", "4 2", None):
            reply = await web.post(call("size", {"n": 42}), mcp_name=name, mcp_param_n=sent)
            assert (reply.status, reply.code) == (400, -32020), sent
        # Not everyone could read it exactly.
        reply = await web.post(
            call("size", {"n": 2**53}), mcp_name=name, mcp_param_n="9007199254740992"
        )
        assert (reply.status, reply.code) == (400, -32020)


@pytest.mark.parametrize("name", ["", "a b", "a\r\nb", "ä"])
def test_a_name_that_no_header_can_have_is_not_registered(name: str) -> None:
    server: Server[Any] = Server("web")
    with pytest.raises(RegistrationError):

        @server.tool
        async def route(region: Annotated[str, Header(name)]) -> None: ...


def test_marks_that_clients_would_reject_are_not_registered() -> None:
    server: Server[Any] = Server("web")
    with pytest.raises(RegistrationError):

        @server.tool
        async def twice(a: Annotated[str, Header("X")], b: Annotated[str, Header("x")]) -> None: ...

    with pytest.raises(RegistrationError):

        @server.tool
        async def number(a: Annotated[float, Header("X")]) -> None: ...

    with pytest.raises(RegistrationError):

        @server.tool
        async def inside(a: list[Annotated[str, Header("X")]]) -> None: ...


async def test_a_stateless_stream_is_about_its_request() -> None:
    server, seen = make_server()
    listen = request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, id=2)
    async with (
        served(server) as web,
        web.open_post(listen) as listening,
        web.open_post(call("wait", progressToken="t")) as opened,
    ):
        assert "acknowledged" in (await listening.message())["method"]
        assert (await opened.message())["params"]["progress"] == 1
        server.tool(another)
        assert "list_changed" in (await listening.message())["method"]
        seen.go_on.set()
        progress, answer = await opened.messages()
        assert progress["params"]["progress"] == 2
        assert text_of(answer) == "went on"
        # The progress went nowhere else.
        server.remove_tool("another")
        assert "list_changed" in (await listening.message())["method"]


async def test_nothing_is_said_about_a_call_that_its_client_left() -> None:
    """Asked without a socket, so that it is not the connection's end that keeps it from coming."""
    server: Server[Any] = Server("web")
    gone, said = trio.Event(), []
    began, ended = trio.Event(), trio.Event()

    @server.tool
    async def stubborn(ctx: Context) -> str:
        await ctx.report_progress(1)
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + PATIENCE):
                await ctx.report_progress(2)
            ended.set()
        return "done"

    message = call("stubborn", progressToken="t")
    body = [{"type": "http.request", "body": json.dumps(message).encode()}]
    headers = mirrored(message) | {"host": "localhost", "content-type": "application/json"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        if body:
            return body.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(event: dict[str, Any]) -> None:
        said.append(event.get("body", b""))

    with trio.fail_after(PATIENCE):
        async with server.application(), trio.open_nursery() as nursery:
            nursery.start_soon(server.http_app(), scope, receive, send)
            await began.wait()
            gone.set()
            await ended.wait()
    assert b'"progress":1' in b"".join(said)
    assert b'"progress":2' not in b"".join(said)
    assert b'"id"' not in b"".join(said)


async def test_sessions_and_resumption_mean_nothing_to_a_stateless_request() -> None:
    server, seen = make_server()
    seen.go_on.set()
    older = {"mcp_session_id": "1868a90c", "last_event_id": "1-1"}
    async with (
        served(server) as web,
        web.open_post(call("wait", progressToken="t"), **older) as opened,
    ):
        assert opened.status == 200
        assert "mcp-session-id" not in opened.headers
        assert text_of((await opened.messages())[-1]) == "went on"
        assert b"id: " not in opened.raw


@pytest.mark.parametrize("in_session", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        b'{"jsonrpc":"2.0","id":1,"result":NaN}',
        b'{"jsonrpc":"2.0","id":1,"error":5}',
        b'{"jsonrpc":2,"id":1,"result":{}}',
        b'{"result":{},"id":1,"jsonrpc":"1.0"}',
    ],
)
async def test_a_broken_response_is_not_answered_under_its_id(
    answer: bytes, in_session: bool
) -> None:
    """It is the id of a question of the server; the client's own request 1 has nothing to do."""
    server, _ = make_server()
    async with served(server) as web:
        headers = {"mcp_session_id": (await join(web)).id} if in_session else {}
        reply = await web.post(answer, **headers)
        assert reply.status == 400
        assert reply.code in (-32600, -32700)
        assert "id" not in reply.message


# -- sessions ------------------------------------------------------------------------------------


async def test_names_of_sessions() -> None:
    server, _ = make_server()
    async with served(server) as web:
        names = [(await join(web)).id for _ in range(20)]
    assert len(set(names)) == 20
    # 256 bits, in characters that a header may hold.
    assert all(len(name) >= 43 for name in names)
    assert all("!" <= character <= "~" for character in "".join(names))


@pytest.mark.parametrize("sessions", [True, False])
@pytest.mark.parametrize("content", [initialize(), INITIALIZED, message("tools/list")])
async def test_a_bad_version_is_refused_whatever_is_posted(content: Any, sessions: bool) -> None:
    server, _ = make_server()
    async with served(server, sessions=sessions) as web:
        known = {"mcp_session_id": (await join(web)).id} if sessions else {}
        if content == initialize():
            known = {}
        for version in ("1999-01-01", "", "2025-11-25, 2025-11-25"):
            reply = await web.post(content, mcp_protocol_version=version, **known)
            assert reply.status == 400, version
            assert "mcp-session-id" not in reply.headers


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_bad_version_is_refused_without_a_body(method: str) -> None:
    server, _ = make_server()
    async with served(server) as web:
        client = await join(web)
        bad = {"mcp_session_id": client.id, "mcp_protocol_version": "1999-01-01"}
        assert (await web.send(method, **bad)).status == 400
        assert (await client.post(message("ping"))).status == 200


async def test_without_a_version_the_first_of_streamable_http_is_assumed() -> None:
    """Structured results came with the next one."""
    server, _ = make_server()
    body = tool("add", {"a": 1, "b": 2})
    async with served(server, sessions=False) as web:
        assumed = (await web.post(json.dumps(body).encode())).message["result"]
        told = await web.post(json.dumps(body).encode(), mcp_protocol_version="2025-06-18")
        assert "structuredContent" not in assumed
        assert told.message["result"]["structuredContent"] == {"result": 3}


async def test_responses_are_accepted_or_refused() -> None:
    server, _ = make_server()
    answer = {"jsonrpc": "2.0", "id": 99, "result": {}}
    async with served(server) as web:
        client = await join(web)
        for content in (answer, {"jsonrpc": "2.0", "id": 99, "error": {"code": 1, "message": ""}}):
            reply = await client.post(content)
            assert (reply.status, reply.body) == (202, b"")
        assert (await web.post(answer)).status == 400
        assert (await web.post(answer, mcp_session_id="unknown")).status == 404


async def test_batches_that_are_not_accepted_have_a_status() -> None:
    server, _ = make_server(limits=Limits(in_flight=2))
    answer = {"jsonrpc": "2.0", "id": 99, "result": {}}
    async with served(server) as web:
        client = await join(web, "2025-03-26")
        reply = await client.post([answer, answer])
        assert (reply.status, reply.body) == (202, b"")
        assert (await client.post([INITIALIZED] * 3)).status == 400
        assert (await client.post([])).status == 400
        for revision in REVISIONS[1:]:
            client = await join(web, revision)
            for batch in ([INITIALIZED], [answer], [message("ping")]):
                reply = await client.post(batch)
                assert (reply.status, reply.code) == (400, -32600)


async def test_a_call_without_a_session_ends_with_its_client() -> None:
    server, seen = make_server()
    body = json.dumps(tool("wait", token="t")).encode()
    async with served(server, sessions=False) as web:
        async with web.open_post(body, mcp_protocol_version="2025-11-25") as opened:
            assert (await opened.message())["params"]["progress"] == 1
            assert b"id: " not in opened.raw
        with trio.fail_after(PATIENCE):
            await seen.ended.wait()
        assert not seen.go_on.is_set()


async def test_each_message_comes_on_one_stream() -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web)
        async with (
            client.open_get() as standing,
            client.open_post(tool("wait", token="t")) as opened,
        ):
            assert (await opened.message())["params"]["progress"] == 1
            server.tool(another)
            assert "list_changed" in (await standing.message())["method"]
            seen.go_on.set()
            progress, answer = await opened.messages()
            assert progress["params"]["progress"] == 2
            assert text_of(answer) == "went on"
            await client.delete()
            assert await standing.messages() == []


async def ids_of(opened: Opened) -> list[str]:
    """What the events of a stream are called, to its end."""
    await opened.messages()
    return [
        line.removeprefix(b"id: ").decode()
        for line in opened.raw.splitlines()
        if line.startswith(b"id: ")
    ]


@pytest.mark.parametrize("revision", REVISIONS)
async def test_events_have_names_of_their_own_and_are_told_where_they_belong(revision: str) -> None:
    server, seen = make_server()
    async with served(server) as web:
        client = await join(web, revision)
        async with (
            client.open_get() as standing,
            client.open_post(tool("wait", id="waiting", token="w")) as waiting,
        ):
            assert (await waiting.message())["params"]["progress"] == 1
            begun = waiting.last_id
            server.tool(another)
            await standing.message()
            async with client.open_post(tool("steps", id="steps", token="s")) as steps:
                first = (await steps.message())["params"]
                assert first["progressToken"] == "s"
                resumable = steps.last_id
                names = await ids_of(steps)
            seen.go_on.set()
            names += await ids_of(waiting)
            await standing_end(web, client.id, revision, standing)
            names += [standing.last_id]
        assert len(names) == len(set(names)) >= 8
        async with client.open_get(last_event_id=begun) as resumed:
            told = await resumed.messages()
        assert [each.get("id", "w") for each in told] == ["w", "waiting"]
        async with client.open_get(last_event_id=resumable) as resumed:
            told = await resumed.messages()
        assert told[-1]["id"] == "steps"
        assert {each["params"]["progressToken"] for each in told[:-1]} == {"s"}


async def standing_end(web: Web, id: str, revision: str, standing: Opened) -> None:
    """Take the session's own stream away from who reads it."""
    known = {"mcp_session_id": id, "mcp_protocol_version": revision}
    async with web.open("GET", **known):
        assert await standing.messages() == []
