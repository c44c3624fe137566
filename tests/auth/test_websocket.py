"""WebSockets of a protected server: judged before they are accepted, ended with their token."""

from __future__ import annotations

import functools
import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import hypercorn.trio
import pytest
import trio
from hypercorn.config import Config

from trimcp import Context, Server, open_unix_client

from ..http.harness import PATIENCE, Web, call, request, served
from ..http.test_connections import HELLO
from ..raw_websocket import (
    CLOSE,
    PING,
    TEXT,
    RawWebSocket,
    close_code,
    raw_websocket,
    text,
    upgrade,
)
from .guarded import Known, parameters, scopes_of, server
from .test_scopes import NEEDS, SUBSCRIBE
from .test_scopes import desk as scoped_desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp.runtime import TokenVerifier

WELL_KNOWN = "/.well-known/oauth-protected-resource"

KINDS = ["standalone", "hosted"]


@asynccontextmanager
async def opened(kind: str, guarded: Server[Any]) -> AsyncIterator[RawWebSocket]:
    """A bare connection to a server's WebSocket door."""
    if kind == "hosted":
        async with served(guarded) as web, raw_websocket(web.port) as raw:
            yield raw
        return
    async with trio.open_nursery() as nursery:
        ((_, port),) = await nursery.start(guarded.serve_websocket, "127.0.0.1", 0)
        async with raw_websocket(port) as raw:
            yield raw
        nursery.cancel_scope.cancel()


async def message(raw: RawWebSocket) -> Any:
    """The next message; hypercorn pings at once."""
    opcode, payload = PING, b""
    while opcode == PING:
        opcode, payload = await raw.frame()
    assert opcode == TEXT
    return json.loads(payload)


def desk(verifier: TokenVerifier | None = None, **options: Any) -> Server[Any]:
    guarded = server(verifier, **options)

    @guarded.tool
    async def who(ctx: Context) -> str:
        assert ctx.principal is not None
        assert ctx.http_scope is not None
        assert ctx.http_headers is not None
        assert ctx.http_headers["host"] == "127.0.0.1"
        return f"{ctx.principal.subject} {ctx.http_headers} {dict(ctx.http_scope)!r}"

    @guarded.tool(scopes={"files:write"})
    async def write() -> str:
        raise AssertionError("it has run")

    return guarded


def shake(*headers: tuple[str, str], protocol: str | None = "mcp", path: str = "/ws") -> bytes:
    return upgrade("127.0.0.1", path, *headers, subprotocol=protocol)


GOOD = [
    shake(("Authorization", "Bearer alice-token")),
    shake(("authorization", "bEARER alice-token"), protocol=None),
    shake(protocol="mcp, bearer.alice-token"),
    shake(protocol="bearer.alice-token, mcp"),
    # Several lines are one list (RFC 6455, 11.3.4).
    shake(("Sec-WebSocket-Protocol", "bearer.alice-token")),
    shake(("sec-websocket-protocol", "mcp"), protocol="bearer.alice-token"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", GOOD)
async def test_a_token_opens_the_door_and_is_seen_by_nobody(
    kind: str, head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with opened(kind, desk()) as raw:
        await raw.send(head)
        status, headers = await raw.head()
        assert status == 101
        assert headers.get("sec-websocket-protocol", "mcp") == "mcp"
        assert "alice" not in str(headers)
        await raw.send(text(call("who")))
        told = (await message(raw))["result"]["content"][0]["text"]
        subject, _, rest = told.partition(" ")
        assert subject == "alice-token"
        assert "alice" not in rest
    assert "alice" not in caplog.text


BAD = [
    (shake(), 401, None),
    (shake(path="/ws?access_token=alice"), 401, None),
    (shake(("Authorization", "Basic alice")), 401, None),
    (shake(("Authorization", "Bearer bad-token")), 401, "invalid_token"),
    (shake(protocol="mcp, bearer.bad-token"), 401, "invalid_token"),
    (shake(("Authorization", "Bearer a"), protocol="mcp, bearer.b"), 400, "invalid_request"),
    (shake(protocol="mcp, bearer.a, bearer.b"), 400, "invalid_request"),
    (
        shake(("Sec-WebSocket-Protocol", "bearer.a"), protocol="mcp, bearer.b"),
        400,
        "invalid_request",
    ),
    (shake(("Authorization", "Bearer a"), ("Authorization", "Bearer a")), 400, "invalid_request"),
    (shake(("Authorization", "Bearer a, b")), 400, "invalid_request"),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("head", "status", "error"), BAD)
async def test_without_a_good_token_there_is_no_websocket(
    kind: str, head: bytes, status: int, error: str | None
) -> None:
    async with opened(kind, desk()) as raw:
        await raw.send(head)
        told, headers = await raw.head()
        assert told == status
        challenge = parameters(headers["www-authenticate"])
        assert challenge.get("error") == error
        assert challenge["scope"] == "mcp"
        if kind == "standalone":
            # It could not be had there.
            assert "resource_metadata" not in challenge
        else:
            assert challenge["resource_metadata"].endswith(f"{WELL_KNOWN}/ws")
            assert challenge["resource_metadata"].startswith("http://127.0.0.1")


async def test_the_application_for_websockets_alone_serves_its_metadata() -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    serve = functools.partial(
        hypercorn.trio.serve, mode="asgi", shutdown_trigger=trio.sleep_forever
    )
    async with trio.open_nursery() as nursery:
        binds = await nursery.start(serve, desk().websocket_app(), config)
        web = Web(urlsplit(binds[0]).port or 0)
        async with raw_websocket(web.port) as raw:
            await raw.send(shake())
            _, headers = await raw.head()
            url = parameters(headers["www-authenticate"])["resource_metadata"]
        assert url == f"http://127.0.0.1{WELL_KNOWN}/ws"
        for path in ("", "/ws"):
            reply = await web.send("GET", WELL_KNOWN + path)
            assert reply.message["resource"] == f"http://127.0.0.1:{web.port}/ws"
        assert (await web.send("GET", f"{WELL_KNOWN}/mcp")).status == 404
        assert (await web.send("GET", WELL_KNOWN, host="evil.example")).status == 403
        assert (await web.send("GET", "/ws")).status == 426
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_without_the_required_scopes(kind: str) -> None:
    async with opened(kind, desk(required_scopes={"mcp", "ws"})) as raw:
        await raw.send(GOOD[0])
        status, headers = await raw.head()
        assert status == 403
        assert parameters(headers["www-authenticate"])["error"] == "insufficient_scope"
        assert scopes_of(headers["www-authenticate"]) == {"mcp", "ws"}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_of_elsewhere_is_refused_before_its_token_is_looked_at(kind: str) -> None:
    verifier = Known()
    async with opened(kind, desk(verifier)) as raw:
        await raw.send(shake(("Authorization", "Bearer alice"), ("Origin", "https://evil.example")))
        assert (await raw.head())[0] == 403
    assert verifier.seen == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_call_that_lacks_scopes_is_told_so_in_an_error(kind: str) -> None:
    async with opened(kind, desk()) as raw:
        await raw.send(GOOD[0])
        await raw.head()
        await raw.send(text(call("write")))
        error = (await message(raw))["error"]
        assert error["code"] == -31003
        assert error["data"] == {"scope": "files:write mcp"}


async def test_whatever_lacks_scopes_is_told_so_in_an_error() -> None:
    guarded, ran = scoped_desk()
    async with opened("standalone", guarded) as raw:
        await raw.send(GOOD[0])
        await raw.head()
        for method, params, needed in NEEDS:
            await raw.send(text(request(method, params)))
            error = (await message(raw))["error"]
            assert error["code"] == -31003, method
            assert set(error["data"]["scope"].split()) == {"mcp", *needed}
        await raw.send(text(HELLO))
        await message(raw)
        await raw.send(text({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        method, params, needed = SUBSCRIBE
        await raw.send(text({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        error = (await message(raw))["error"]
        assert error["code"] == -31003
        assert set(error["data"]["scope"].split()) == {"mcp", *needed}
    assert ran == []


@pytest.mark.parametrize("kind", KINDS)
async def test_it_ends_when_its_token_expires(kind: str) -> None:
    async with opened(kind, desk(Known({"alice-token": 0.3}))) as raw:
        await raw.send(GOOD[0])
        assert (await raw.head())[0] == 101
        opcode = PING
        while opcode == PING:
            opcode, payload = await raw.frame()
        assert opcode == CLOSE
        assert close_code(payload) == 1001
        assert payload[2:] == b"the access token has expired"


@pytest.mark.parametrize("kind", KINDS)
async def test_requests_after_the_expiry_are_told_of_it(kind: str) -> None:
    guarded = desk(Known({"alice-token": 0.3}))
    go = trio.Event()

    @guarded.tool
    async def hold() -> str:
        await go.wait()
        return "done"

    async with opened(kind, guarded) as raw:
        await raw.send(GOOD[0])
        assert (await raw.head())[0] == 101
        await raw.send(text(call("hold", id=1)))
        error = None
        with trio.fail_after(PATIENCE):
            while error is None:
                await raw.send(text(call("who", id=2)))
                error = (await message(raw)).get("error")
        assert error["message"] == "the access token has expired"
        go.set()
        assert (await message(raw))["id"] == 1


async def test_lines_over_tcp_carry_no_token() -> None:
    with pytest.raises(ValueError, match="serve_http"):
        await desk().serve_tcp("127.0.0.1", 0)


async def test_whoever_may_open_the_unix_socket_is_trusted(tmp_path: Any) -> None:
    guarded = server()

    @guarded.tool(scopes={"files:write"})
    async def write(ctx: Context) -> str:
        return repr(ctx.principal)

    path = str(tmp_path / "s")
    async with trio.open_nursery() as nursery:
        await nursery.start(guarded.serve_unix, path)
        async with open_unix_client(path) as client:
            assert (await client.call_tool("write", {})).content[0].text == "None"  # type: ignore[union-attr]
        nursery.cancel_scope.cancel()
