"""Scopes are decided before an answer begins, all at once; lists show what may be used."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import strategies as st
from msgspec import Raw

from trimcp import (
    Context,
    Forbidden,
    HttpRequest,
    Principal,
    RegistrationError,
    Server,
    open_client,
)
from trimcp.protocol import Request
from trimcp.runtime import Denied
from trimcp.server._needs import check_scopes

from ..http.harness import Web, call, request, served
from ..http.test_connections import HELLO
from ..raw_websocket import PING, raw_websocket, text, upgrade
from .guarded import bearer, names, parameters, scopes_of, server

if TYPE_CHECKING:
    from collections.abc import Mapping


def by_path(principal: Principal, arguments: Mapping[str, Any]) -> set[str]:
    if arguments["path"] == "secret" and principal.subject != "root":
        raise Forbidden("nobody reads this")
    return {f"files:{arguments['path']}"}


def desk() -> tuple[Server[Any], list[str]]:
    guarded = server(page_size=2)
    ran: list[str] = []

    def run(name: str) -> str:
        ran.append(name)
        return name

    @guarded.tool
    async def free() -> str:
        return run("free")

    @guarded.tool(scopes={"files:write", "files:read"})
    async def write(ctx: Context) -> str:
        await ctx.report_progress(1)
        return run("write")

    @guarded.tool(scopes=by_path)
    async def read(path: str) -> str:
        return run(f"read {path}")

    @guarded.tool(
        scopes=lambda _, arguments: {f"to:{arguments['to']}"}, input_schema={"type": "object"}
    )
    async def send(arguments: dict[str, Any]) -> str:
        return run("send")

    @guarded.tool(scopes=lambda _, __: "text")  # type: ignore[arg-type, return-value]
    async def broken() -> str:
        return run("broken")

    @guarded.resource("notes://all", scopes={"notes"}, cache_scope="public")
    async def notes() -> str:
        return run("notes")

    @guarded.resource("notes://{number}", scopes=lambda _, given: {f"notes:{given['number']}"})
    async def note(number: int) -> str:
        return run(f"note {number}")

    @guarded.resource("plain://all")
    async def plain() -> str:
        return run("plain")

    @guarded.prompt(scopes={"prompts"})
    async def greet(name: str) -> str:
        return run("greet")

    @guarded.completion("name", prompt="greet")
    async def suggest(text: str) -> list[str]:
        return [run("suggest")]

    return guarded, ran


COMPLETE = {
    "ref": {"type": "ref/prompt", "name": "greet"},
    "argument": {"name": "name", "value": "A"},
}

#: A request, and the scopes that it needs beside `mcp`.
NEEDS: list[tuple[str, dict[str, Any], set[str]]] = [
    ("tools/call", {"name": "write", "arguments": {}}, {"files:write", "files:read"}),
    ("tools/call", {"name": "read", "arguments": {"path": "a"}}, {"files:a"}),
    ("tools/call", {"name": "send", "arguments": {"to": "bob"}}, {"to:bob"}),
    ("resources/read", {"uri": "notes://all"}, {"notes"}),
    ("resources/read", {"uri": "notes://7"}, {"notes:7"}),
    ("prompts/get", {"name": "greet", "arguments": {"name": "Ann"}}, {"prompts"}),
    ("completion/complete", COMPLETE, {"prompts"}),
]


def told(headers: Mapping[str, str], needed: set[str]) -> None:
    challenge = headers["www-authenticate"]
    assert parameters(challenge)["error"] == "insufficient_scope"
    assert "resource_metadata" in parameters(challenge)
    assert scopes_of(challenge) == {"mcp", *needed}


@pytest.mark.parametrize(("method", "params", "needed"), NEEDS)
async def test_a_stateless_request(method: str, params: dict[str, Any], needed: set[str]) -> None:
    guarded, ran = desk()
    async with served(guarded) as web:
        for held in ([], sorted(needed)[:-1]):
            token = "+".join(["alice", *held])
            reply = await web.post(request(method, params, progressToken=1), **bearer(token))
            assert reply.status == 403
            assert reply.headers["content-type"] == "application/json"
            told(reply.headers, needed)
            assert reply.code == -31003
        assert ran == []
        token = "+".join(["alice", *needed])
        reply = await web.post(request(method, params), **bearer(token))
        assert reply.status == 200
        assert len(ran) == 1


async def in_session(web: Web) -> dict[str, str]:
    hello = await web.post(HELLO, **bearer("alice"))
    return {"mcp_session_id": hello.headers["mcp-session-id"], **bearer("alice")}


def old(method: str, params: dict[str, Any], id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


SUBSCRIBE: tuple[str, dict[str, Any], set[str]] = (
    "resources/subscribe",
    {"uri": "notes://7"},
    {"notes:7"},
)


@pytest.mark.parametrize(("method", "params", "needed"), [*NEEDS, SUBSCRIBE])
async def test_a_request_of_a_session(
    method: str, params: dict[str, Any], needed: set[str]
) -> None:
    guarded, ran = desk()
    async with served(guarded) as web:
        headers = await in_session(web)
        await web.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, **headers)
        reply = await web.post(old(method, params), **headers)
        assert reply.status == 403
        told(reply.headers, needed)
        assert ran == []
        headers |= bearer("+".join(["alice", *needed]))
        reply = await web.post(old(method, params), **headers)
        assert reply.status == 200
        assert b'"result"' in reply.body


async def test_requests_without_sessions() -> None:
    guarded, ran = desk()
    async with served(guarded, sessions=False) as web:
        message = old("tools/call", {"name": "write"})
        reply = await web.post(message, **bearer("alice"))
        assert reply.status == 403
        told(reply.headers, {"files:write", "files:read"})
        assert ran == []


async def test_a_batch_is_told_all_that_it_needs() -> None:
    guarded, ran = desk()
    async with served(guarded) as web:
        hello = json.loads(json.dumps(HELLO).replace("2025-11-25", "2025-03-26"))
        reply = await web.post(hello, **bearer("alice"))
        session = {"mcp_session_id": reply.headers["mcp-session-id"], **bearer("alice")}
        batch = [old(method, params, id=n) for n, (method, params, _) in enumerate(NEEDS)]
        reply = await web.post(batch, **session)
        assert reply.status == 403
        told(reply.headers, set().union(*(needed for *_, needed in NEEDS)))
        assert ran == []


async def test_over_http_sse_the_post_is_told() -> None:
    guarded, ran = desk()
    async with (
        served(guarded) as web,
        web.open("GET", "/sse", accept="text/event-stream", **bearer("alice")) as opened,
    ):
        path = (await opened.event()).data
        for method, params, needed in NEEDS:
            body = json.dumps(old(method, params)).encode()
            async with web.open(
                "POST", path, body, content_type="application/json", **bearer("alice")
            ) as post:
                assert post.status == 403
                told(post.headers, needed)
        assert ran == []


async def test_a_function_may_refuse_and_may_fail() -> None:
    guarded, ran = desk()
    async with served(guarded) as web:
        reply = await web.post(call("read", {"path": "secret"}), **bearer("alice"))
        assert reply.status == 403
        assert "www-authenticate" not in reply.headers
        assert reply.message["error"]["message"] == "nobody reads this"
        reply = await web.post(call("broken"), **bearer("alice"))
        assert reply.message["error"]["code"] == -32603
    assert ran == []


@pytest.mark.parametrize("failure", [ValueError, SystemExit, RecursionError, KeyError])
async def test_a_function_that_fails_is_told_alike_at_every_door(
    failure: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    guarded = server()

    def fail(_: Principal, arguments: Any) -> set[str]:
        raise failure("with its reason")

    @guarded.tool(scopes=fail)
    async def broken() -> str:
        raise AssertionError

    @guarded.prompt(scopes=fail)
    async def failing() -> str:
        raise AssertionError

    told = []
    async with served(guarded) as web:
        for message in (call("broken", id=7), request("prompts/get", {"name": "failing"}, id=7)):
            told.append((await web.post(message, **bearer("alice"))).message)
        async with raw_websocket(web.port) as raw:
            await raw.send(upgrade("127.0.0.1", "/ws", ("authorization", "Bearer alice")))
            assert (await raw.head())[0] == 101
            await raw.send(text(call("broken", id=7)))
            opcode = PING
            while opcode == PING:
                opcode, payload = await raw.frame()
            told.append(json.loads(payload))
    for each in told:
        assert each["id"] == 7
        assert each["error"] == {"code": -32603, "message": "Internal error"}
    assert "with its reason" in caplog.text


async def test_arguments_that_do_not_fit_are_refused_as_ever() -> None:
    guarded, ran = desk()
    async with served(guarded) as web:
        for arguments in ({}, {"path": 1}):
            reply = await web.post(call("read", arguments), **bearer("alice"))
            assert reply.status == 200
            assert reply.message["result"]["isError"]
        for method, params in (
            ("tools/call", {"name": "nothing"}),
            ("tools/call", {"name": "read", "arguments": [1]}),
            ("resources/read", {"uri": "notes://x"}),
            ("resources/read", {"uri": 5}),
            ("prompts/get", {"name": "nothing"}),
            ("completion/complete", {"ref": 5, "argument": 5}),
        ):
            message = request(method, params)
            name = params.get("name", params.get("uri"))
            reply = await web.post(
                message, mcp_name=name if isinstance(name, str) else None, **bearer("alice")
            )
            assert reply.status in (200, 400), (method, params)
            assert "error" in reply.message
        assert ran == []


async def test_lists_show_what_the_caller_may_use() -> None:
    guarded, _ = desk()
    async with served(guarded) as web:
        shown: dict[str, list[str]] = {}
        for token in ("alice", "alice+files:write+files:read+notes+prompts"):
            for kind in ("tools", "resources", "prompts"):
                found: list[str] = []
                cursor: dict[str, Any] = {}
                while True:
                    reply = await web.post(request(f"{kind}/list", cursor), **bearer(token))
                    result = reply.message["result"]
                    found += names(result[kind])
                    assert result["cacheScope"] == "private"
                    if "nextCursor" not in result:
                        break
                    cursor = {"cursor": result["nextCursor"]}
                shown[f"{token} {kind}"] = found
        assert shown == {
            "alice tools": ["free", "read", "send", "broken"],
            "alice resources": ["plain"],
            "alice prompts": [],
            "alice+files:write+files:read+notes+prompts tools": [
                "free",
                "write",
                "read",
                "send",
                "broken",
            ],
            "alice+files:write+files:read+notes+prompts resources": ["notes", "plain"],
            "alice+files:write+files:read+notes+prompts prompts": ["greet"],
        }


async def test_a_list_that_differs_is_never_public() -> None:
    for is_scoped in (False, True):
        guarded = server(list_scope="public")
        guarded.tool(scopes={"x"} if is_scoped else None)(free_tool)
        async with served(guarded) as web:
            reply = await web.post(request("tools/list"), **bearer("alice"))
            expected = "private" if is_scoped else "public"
            assert reply.message["result"]["cacheScope"] == expected


def free_tool() -> str:
    """A tool."""
    return "free"


async def test_what_needs_scopes_is_never_shared() -> None:
    guarded, _ = desk()
    async with served(guarded) as web:
        reply = await web.post(
            request("resources/read", {"uri": "notes://all"}), **bearer("alice+notes")
        )
        assert reply.message["result"]["cacheScope"] == "private"


async def test_a_listen_is_granted_what_the_caller_may_read() -> None:
    guarded, _ = desk()
    uris = ["notes://all", "notes://1", "notes://2", "plain://all"]
    message = request("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}})
    async with (
        served(guarded) as web,
        web.open_post(message, **bearer("alice+notes:2")) as opened,
    ):
        granted = (await opened.message())["params"]["notifications"]
        assert granted["resourceSubscriptions"] == ["notes://2", "plain://all"]


async def test_whoever_has_no_principal_is_trusted() -> None:
    """Standard streams, streams and memory: who is there has started the server."""
    guarded, ran = desk()
    async with open_client(guarded) as client:
        await client.call_tool("write", {})
        assert len(await client.list_tools()) == 5
        await client.read_resource("notes://7")
    assert ran == ["write", "note 7"]


async def test_a_tool_that_is_replaced_meanwhile_is_judged_where_it_runs() -> None:
    """Between the first look and the route there may be middleware, which takes its time."""
    guarded = server()

    @guarded.tool(name="x")
    async def harmless() -> str:
        return "harmless"

    async def harmful() -> str:
        raise AssertionError("it has run")

    @guarded.middleware
    async def swap(ctx: Context, call_next: Any) -> Any:
        guarded.remove_tool("x")
        guarded.tool(name="x", scopes={"admin"})(harmful)
        return await call_next()

    async with served(guarded) as web:
        reply = await web.post(call("x"), **bearer("alice"))
        assert reply.status == 403
        assert reply.message["error"]["data"] == {"scope": "admin mcp"}


@pytest.mark.parametrize(
    "scopes",
    ["files:write", {"a b"}, [5], 5, functools.partial(dict), lambda one: {"x"}],
)
def test_scopes_that_cannot_be(scopes: Any) -> None:
    with pytest.raises(RegistrationError, match="scopes"):
        server().tool(scopes=scopes)(free_tool)
    with pytest.raises(RegistrationError, match="scopes"):
        server().resource("a:b", scopes=scopes)(free_tool)
    with pytest.raises(RegistrationError, match="scopes"):
        server().prompt(scopes=scopes)(free_tool)


def test_scopes_without_a_verifier() -> None:
    with pytest.raises(RegistrationError, match="auth="):
        Server("plain").tool(scopes={"x"})(free_tool)


# -- any scopes -------------------------------------------------------------------------------

SCOPES = st.frozensets(st.sampled_from(["a", "b", "c", "d"]))


@hypothesis.given(required=SCOPES, fixed=SCOPES, asked=SCOPES, held=SCOPES)
def test_a_call_is_allowed_with_all_scopes_and_told_all_otherwise(
    required: frozenset[str], fixed: frozenset[str], asked: frozenset[str], held: frozenset[str]
) -> None:
    guarded = server(required_scopes=required)
    guarded.tool(name="fixed", scopes=fixed)(free_tool)
    guarded.tool(name="asked", scopes=lambda _, __: asked)(free_tool)
    scope = {"type": "http", "path": "/mcp", "headers": []}
    http = HttpRequest({}, scope, principal=Principal("alice", scopes=held))
    calls = [
        Request(1, "tools/call", Raw(b'{"name":"%s"}' % name)) for name in (b"fixed", b"asked")
    ]
    for number, needed in ((1, fixed), (2, fixed | asked)):
        if needed <= held:
            check_scopes(guarded, http, calls[:number])
            continue
        with pytest.raises(Denied) as caught:
            check_scopes(guarded, http, calls[:number])
        assert caught.value.status == 403
        assert scopes_of(caught.value.headers["www-authenticate"]) == required | needed


def test_a_principal_expires_at_some_time() -> None:
    with pytest.raises(ValueError, match="expires"):
        Principal("alice", expires=float("nan"))
