"""Who may call: every door under HTTP decides by all `Host` and `Origin` headers of a request.

Repeated headers are how a request says one thing to a check and another to who acts on it. What an
ASGI server lets through, the application still judges.

Specification: 2026-07-28, Streamable HTTP, Security & Endpoint; RFC 9112, 3.2.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.raw_websocket import raw_websocket, upgrade
from trimcp import HttpRequest, Server
from trimcp.http import websocket_endpoint

from .harness import mirrored, request

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Values of headers, and whether they are allowed to those who call a server on this machine.
HOSTS = {
    "localhost": True,
    "127.0.0.1:8000": True,
    "[::1]": True,
    "evil.example": False,
    "localhost.evil.example": False,
    "localhost, evil.example": False,
    "": False,
}
ORIGINS = {
    "http://localhost": True,
    "https://127.0.0.1:3000": True,
    "http://evil.example": False,
    "chrome-extension://localhost": False,
    "localhost": False,
    "null": False,
    "": False,
}

#: All requests with at most two of these headers each, and one with each of the others.
CASES = [
    *itertools.product(
        [*itertools.chain(*(itertools.product(list(HOSTS)[1:4], repeat=n) for n in range(3)))],
        [*itertools.chain(*(itertools.product(list(ORIGINS)[:4], repeat=n) for n in range(3)))],
    ),
    *(((host,), ()) for host in HOSTS),
    *((("localhost",), (origin,)) for origin in ORIGINS),
    *((("localhost",), ("http://localhost", origin)) for origin in ORIGINS),
    (("localhost",), ("http://localhost", "http://localhost", "http://evil.example")),
]


def scope_of(
    kind: str, method: str, path: str, hosts: Sequence[str], origins: Sequence[str]
) -> Any:
    message = request("tools/list")
    headers = {**mirrored(message), "content-type": "application/json"}
    pairs = [("host", host) for host in hosts] + [("origin", origin) for origin in origins]
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "headers": [(name.encode(), text.encode()) for name, text in [*pairs, *headers.items()]],
        "subprotocols": [],
        "extensions": {},
    }


async def status_of(app: Any, scope: Any) -> int:
    """What an ASGI application answers to a request; its client leaves when it has the status."""
    events = iter([{"type": "http.request", "body": json.dumps(request("tools/list")).encode()}])
    statuses: list[int] = []
    gone = trio.Event()

    async def receive() -> Any:
        for event in events:
            return event
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        if event["type"] == "http.response.start":
            statuses.append(event["status"])
            gone.set()

    await app(scope, receive, send)
    return statuses[0]


async def is_accepted(app: Any, scope: Any) -> bool:
    """Whether an ASGI application accepts a WebSocket; its client leaves at once."""
    events = iter([{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}])
    said: list[str] = []

    async def receive() -> Any:
        for event in events:
            return event
        return await trio.sleep_forever()

    async def send(event: Any) -> None:
        said.append(event["type"])

    await app(scope, receive, send)
    return said[0] == "websocket.accept"


def make_server() -> Server[None]:
    server: Server[None] = Server("guarded", version="1")

    @server.custom_route("/custom")
    async def custom(request: HttpRequest) -> str:
        return "custom"

    return server


REQUESTS = [
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("DELETE", "/mcp"),
    ("OPTIONS", "/mcp"),
    ("GET", "/sse"),
    ("POST", "/messages"),
    ("GET", "/custom"),
    ("GET", "/nowhere"),
]


async def test_requests_name_one_allowed_host_and_at_most_one_allowed_page() -> None:
    server = make_server()
    app = server.asgi_app()
    async with server.application(signals=False):
        for hosts, origins in CASES:
            statuses = {
                (method, path): await status_of(app, scope_of("http", method, path, hosts, origins))
                for method, path in REQUESTS
            }
            is_allowed = len(hosts) == 1 and HOSTS[hosts[0]] and len(origins) <= 1
            is_allowed = is_allowed and all(map(ORIGINS.__getitem__, origins))
            served = {each for each, status in statuses.items() if status != 403}
            assert served == (set(REQUESTS) if is_allowed else set()), (hosts, origins)


async def test_websockets_name_one_allowed_host_and_only_allowed_pages() -> None:
    server = make_server()
    async with server.application(signals=False):
        application = server.running
        assert application is not None

        async def endpoint(*asgi: Any) -> None:
            await websocket_endpoint(application, *asgi)

        for hosts, origins in CASES:
            is_allowed = len(hosts) == 1 and HOSTS[hosts[0]]
            is_allowed = is_allowed and all(map(ORIGINS.__getitem__, origins))
            for app in (endpoint, server.asgi_app()):
                scope = scope_of("websocket", "GET", "/ws", hosts, origins)
                assert await is_accepted(app, scope) == is_allowed, (hosts, origins)


@pytest.mark.parametrize(
    ("hosts", "origins"),
    [
        (["localhost", "localhost"], []),
        (["localhost", "evil.example"], []),
        (["evil.example", "localhost"], []),
        ([], []),
        (["localhost"], ["http://localhost", "http://evil.example"]),
        (["localhost"], ["http://evil.example", "http://localhost"]),
        (["localhost"], ["http://localhost", "null"]),
        (["localhost"], ["chrome-extension://localhost", "http://localhost"]),
    ],
)
async def test_the_websocket_door_of_its_own_judges_all_of_them_too(
    hosts: list[str], origins: list[str]
) -> None:
    server = make_server()
    async with trio.open_nursery() as nursery:
        [(_, port)] = await nursery.start(server.serve_websocket, "127.0.0.1", 0)
        more = [("Host", host) for host in hosts] + [("Origin", origin) for origin in origins]
        lines = upgrade(without=["Host"]).decode().removesuffix("\r\n\r\n").split("\r\n")
        lines += [f"{name}: {value}" for name, value in more]
        with trio.fail_after(10):
            async with raw_websocket(port) as raw:
                await raw.send("\r\n".join([*lines, "", ""]).encode())
                assert (await raw.head())[0] in (400, 403)
                await raw.ended()
        nursery.cancel_scope.cancel()
