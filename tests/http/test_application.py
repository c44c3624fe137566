"""The ASGI applications: who is answered, what else is there, and who opens the application."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from trimcp import Context, HttpRequest, HttpResponse, Limits, Server
from trimcp.http._hosting import host

from .harness import PATIENCE, Web, call, request, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def make_server(**options: Any) -> Server[Any]:
    server: Server[Any] = Server("web", version="1", **options)

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @server.tool
    async def user(ctx: Context) -> str:
        return str((ctx.http_scope or {}).get("user"))

    return server


# -- who is answered -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:1"}, 200),
        ({"host": "[::1]:1"}, 200),
        ({"host": "evil.example.com"}, 403),
        ({"host": "localhost.evil.example.com"}, 403),
        ({"host": "localhost@evil.example.com"}, 403),
        ({"host": "", "mcp-x": ""}, 403),
        ({"origin": "http://localhost:9"}, 200),
        ({"origin": "http://evil.example.com"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example.com", "origin": "http://evil.example.com"}, 403),
    ],
)
async def test_foreign_names_and_pages_are_refused(headers: dict[str, str], status: int) -> None:
    async with served(make_server()) as web:
        reply = await web.post(request("tools/list"), **headers)
        assert reply.status == status
        if status == 403:
            assert "id" not in reply.message
        # The other endpoints are no way around.
        assert (await web.send("GET", "/sse", **headers)).status == 403 if status == 403 else True


async def test_names_and_pages_can_be_allowed() -> None:
    options = {
        "allowed_hosts": ["api.example.com", "*.apps.example.com"],
        "allowed_origins": ["https://app.example.com"],
    }
    async with served(make_server(), **options) as web:
        for host, status in (
            ("api.example.com", 200),
            ("API.example.com:444", 200),
            ("x.apps.example.com", 200),
            ("apps.example.com", 403),
            ("localhost", 403),
        ):
            assert (await web.post(request("tools/list"), host=host)).status == status, host
        page = {"host": "api.example.com", "origin": "https://app.example.com"}
        reply = await web.post(request("tools/list"), **page)
        assert reply.headers["access-control-allow-origin"] == "https://app.example.com"
        assert "mcp-session-id" in reply.headers["access-control-expose-headers"].lower()
        assert reply.headers["vary"] == "origin"
        reply = await web.post(request("tools/list"), host="api.example.com", origin="http://x.y")
        assert reply.status == 403
        assert "access-control-allow-origin" not in reply.headers


async def test_preflights() -> None:
    ask = {"access-control-request-method": "POST", "access-control-request-headers": "mcp-x"}
    origins = ["https://app.example.com"]
    async with served(make_server(), allowed_origins=origins) as web:
        reply = await web.send("OPTIONS", origin=origins[0], **ask)
        assert reply.status == 204
        assert reply.headers["access-control-allow-origin"] == origins[0]
        assert reply.headers["access-control-allow-headers"] == "mcp-x"
        assert "POST" in reply.headers["access-control-allow-methods"]
        assert (await web.send("OPTIONS", origin="https://x.y", **ask)).status == 403
    async with served(make_server()) as web:
        reply = await web.send("OPTIONS", origin="http://localhost", **ask)
        assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("PUT", {}, 405),
        ("PATCH", {}, 405),
        ("POST", {"content_type": "text/plain"}, 415),
        ("POST", {"content_type": None}, 415),
        ("POST", {"content_type": "application/json; charset=utf-8"}, 200),
        ("POST", {"content_encoding": "gzip"}, 415),
        ("POST", {"accept": "application/json"}, 406),
        ("POST", {"accept": "text/html"}, 406),
        ("POST", {"accept": "*/*"}, 200),
        ("POST", {"accept": None}, 200),
        ("POST", {"accept": "text/*;q=0.5, application/*"}, 200),
        ("GET", {"accept": "application/json"}, 406),
        ("GET", {"mcp_protocol_version": "2026-07-28"}, 405),
        ("DELETE", {"mcp_protocol_version": "2026-07-28"}, 405),
    ],
)
async def test_what_http_has_words_for(
    method: str, headers: dict[str, str | None], status: int
) -> None:
    async with served(make_server()) as web:
        if method == "POST":
            reply = await web.post(request("tools/list"), **headers)
        else:
            reply = await web.send(method, **headers)
        assert reply.status == status
        if status == 405:
            assert "POST" in reply.headers["allow"]
        if status == 415:
            assert reply.headers["accept" if "content_type" in headers else "accept-encoding"]


async def test_large_bodies_are_refused_and_seen_to_be() -> None:
    async with served(make_server(limits=Limits(message_bytes=1000))) as web:
        body = json.dumps(call("add", {"a": 1, "b": "x" * 3_000_000})).encode()
        reply = await web.post(body)
        assert (reply.status, reply.code) == (413, -31001)
        head = {"content_type": "application/json", "transfer_encoding": "chunked"}
        async with await web.connect() as stream:
            lines = "".join(f"{name}: {value}\r\n" for name, value in web.headers(**head).items())
            await stream.send_all(f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode())
            for _ in range(3):
                await stream.send_all(b"190\r\n" + b"x" * 400 + b"\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 413 ")


async def test_slow_bodies_are_refused() -> None:
    async with (
        served(make_server(limits=Limits(body_seconds=0.1))) as web,
        await web.connect() as stream,
    ):
        head = web.headers(content_type="application/json", content_length="100")
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        await stream.send_all(f"POST /mcp HTTP/1.1\r\n{lines}\r\n{{".encode())
        with trio.fail_after(PATIENCE):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 408 ")


async def test_nothing_else_is_there() -> None:
    async with served(make_server()) as web:
        assert (await web.send("GET", "/")).status == 404
        assert (await web.send("GET", "/mcp/../etc")).status == 404
        slash = await web.send("POST", "/mcp/", content_type="application/json")
        assert slash.status == 400


# -- what else there is --------------------------------------------------------------------------


async def test_health() -> None:
    async with served(make_server()) as web:
        reply = await web.send("GET", "/healthz", host="10.0.0.1")
        assert (reply.status, reply.body) == (200, b"ok\n")
        assert (await web.send("POST", "/healthz")).status == 405


async def test_custom_routes(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()

    @server.custom_route("/echo", methods=["POST", "GET"])
    async def echo(request: HttpRequest) -> Any:
        return {"body": request.body.decode(), "query": request.query, "method": request.method}

    @server.custom_route("/text")
    async def text(request: HttpRequest) -> str:
        return "héllo"

    @server.custom_route("/teapot")
    async def teapot(request: HttpRequest) -> HttpResponse:
        return HttpResponse(b"short", 418, {"X-Stout": "yes"})

    @server.custom_route("/fail")
    async def fail(request: HttpRequest) -> None:
        raise SystemExit("secret")

    async with served(server) as web:
        async with web.open("POST", "/echo?a=1&a=2", b"hi") as opened:
            body = json.loads(await opened.body())
            assert body == {"body": "hi", "query": {"a": ["1", "2"]}, "method": "POST"}
        reply = await web.send("GET", "/text")
        assert reply.body.decode() == "héllo"
        assert reply.headers["content-type"].startswith("text/plain")
        assert (await web.send("HEAD", "/text")).body == b""
        reply = await web.send("GET", "/teapot")
        assert (reply.status, reply.headers["x-stout"]) == (418, "yes")
        reply = await web.send("GET", "/fail")
        assert (reply.status, b"secret" in reply.body) == (500, False)
        assert (await web.send("GET", "/text", host="evil.example.com")).status == 403
        assert (await web.send("POST", "/text")).headers["allow"] == "GET, HEAD"
    assert "secret" in caplog.text


async def test_custom_routes_of_any_kind() -> None:
    class Status:
        async def __call__(self, request: HttpRequest) -> str:
            return request.path

        async def said(self, text: str, request: HttpRequest) -> str:
            return text

    server, status = make_server(), Status()
    server.custom_route("/object")(status)
    server.custom_route("/partial")(functools.partial(status.said, "fine"))
    async with served(server) as web:
        assert (await web.send("GET", "/object")).body == b"/object"
        assert (await web.send("GET", "/partial")).body == b"fine"


async def test_a_custom_route_ends_with_its_client() -> None:
    server = make_server()
    started, ended = trio.Event(), trio.Event()

    @server.custom_route("/wait")
    async def wait(request: HttpRequest) -> None:
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with served(server) as web:
        stream = await web.connect()
        await stream.send_all(b"GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n")
        with trio.fail_after(PATIENCE):
            await started.wait()
            await stream.aclose()
            await ended.wait()


def test_custom_routes_are_checked() -> None:
    server = make_server()

    async def fine(request: HttpRequest) -> str:
        return ""

    def sync(request: HttpRequest) -> str:
        return ""

    server.custom_route("/x")(fine)
    for path in ("/x", "x", "/healthz"):
        with pytest.raises(TypeError):
            server.custom_route(path)(fine)
    with pytest.raises(TypeError, match="no async function"):
        server.custom_route("/y")(sync)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"keepalive": 0}, {"allowed_hosts": "x"}])
def test_options_are_checked(options: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        make_server().http_app(**options)
    with pytest.raises(ValueError, match="slash"):
        make_server().http_app("mcp")


# -- who opens the application -------------------------------------------------------------------


@asynccontextmanager
async def hosted(app: Any) -> AsyncIterator[Web]:
    """Any ASGI application, hosted without lifespan events."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    web = Web(listeners[0].socket.getsockname()[1])
    started = trio.Event()
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await host(app, listeners, Limits(), accepting=trio.CancelScope, started=started.set)

        nursery.start_soon(run)
        await started.wait()
        with trio.fail_after(60):
            yield web
        nursery.cancel_scope.cancel()


async def test_without_the_application_open_there_is_503(caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()
    async with hosted(server.asgi_app()) as web:
        assert (await web.post(call("add", {"a": 1, "b": 2}))).status == 503
        assert (await web.send("GET", "/healthz")).status == 503
        assert "is not open" in caplog.text
        async with server.application():
            assert (await web.post(call("add", {"a": 1, "b": 2}))).status == 200
            assert (await web.send("GET", "/healthz")).status == 200
        assert (await web.post(call("add", {"a": 1, "b": 2}))).status == 503


async def test_a_crashed_background_task_shows() -> None:
    server = make_server()
    crash = trio.Event()

    @server.background_task
    async def fragile() -> None:
        await crash.wait()
        raise ValueError("broken")

    with pytest.RaisesGroup(ValueError, flatten_subgroups=True):
        async with hosted(server.asgi_app()) as web, server.application():
            assert (await web.send("GET", "/healthz")).status == 200
            crash.set()
            await trio.sleep_forever()


async def test_mounted_in_starlette() -> None:
    server = make_server()

    class AsUser:
        """A middleware that knows who calls."""

        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                scope["user"] = "ada"
            await self.app(scope, receive, send)

    async def index(request: Any) -> PlainTextResponse:
        return PlainTextResponse("index")

    app = Starlette(
        routes=[
            Route("/index", index),
            Mount("/tools", app=AsUser(server.asgi_app())),
            Mount("/", app=server.http_app("/mcp")),
        ],
        lifespan=server.asgi_lifespan,
    )
    async with server.asgi_lifespan(app), hosted(app) as web:
        assert (await web.send("GET", "/index")).body == b"index"
        assert (await web.send("GET", "/tools/healthz")).status == 200
        assert (await web.post(call("add", {"a": 1, "b": 2}))).status == 200
        headers = {"content-type": "application/json", "mcp-protocol-version": "2026-07-28"}
        body = json.dumps(call("user")).encode()
        headers |= {"mcp-method": "tools/call", "mcp-name": "user"}
        async with web.open("POST", "/tools/mcp", body, **headers) as opened:
            answer = json.loads(await opened.body())
            assert answer["result"]["content"][0]["text"] == "ada"
        async with web.open("GET", "/tools/sse") as opened:
            assert (await opened.event()).data.startswith(b"/tools/messages?session_id=")


PROGRAM = """
import sys
import trio
from contextlib import asynccontextmanager
from trimcp import Server

@asynccontextmanager
async def lifespan(server):
    print("lifespan entered", file=sys.stderr, flush=True)
    yield
    print("lifespan left", file=sys.stderr, flush=True)

server = Server("program", lifespan=lifespan)

@server.tool
async def add(a: int, b: int) -> int:
    return a + b

{extra}
app = server.asgi_app()
"""


@asynccontextmanager
async def hypercorn_program(path: Path, extra: str = "") -> AsyncIterator[Any]:
    """`hypercorn -k trio program:app`, on a socket of ours."""
    (path / "program.py").write_text(PROGRAM.replace("{extra}", extra))
    listener = trio.socket.socket()
    await listener.bind(("127.0.0.1", 0))
    listener.listen(10)
    command = [sys.executable, "-m", "hypercorn", "-k", "trio", "-w", "1"]
    command += ["--bind", f"fd://{listener.fileno()}", "program:app"]
    async with trio.open_nursery() as nursery:
        run = functools.partial(
            trio.run_process,
            command,
            cwd=path,
            check=False,
            pass_fds=[listener.fileno()],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        process = await nursery.start(run)
        try:
            yield process, Web(listener.getsockname()[1])
        finally:
            nursery.cancel_scope.cancel()
            listener.close()


async def read_until(process: Any, mark: bytes) -> bytes:
    data = b""
    with trio.fail_after(20):
        while mark not in data:
            piece = await process.stderr.receive_some()
            assert piece, data
            data += piece
    return data


@pytest.mark.skipif(sys.platform == "win32", reason="passes descriptors")
async def test_hypercorn_s_own_command_line(tmp_path: Path) -> None:
    async with hypercorn_program(tmp_path) as (process, web):
        await read_until(process, b"Running on")
        reply = await web.post(call("add", {"a": 1, "b": 2}))
        assert reply.status == 200
        process.send_signal(signal.SIGTERM)
        await read_until(process, b"lifespan left")


@pytest.mark.skipif(sys.platform == "win32", reason="passes descriptors")
async def test_a_start_that_fails_is_no_half_start(tmp_path: Path) -> None:
    extra = "@server.on_startup\nasync def fail():\n    raise ValueError('broken')\n"
    async with hypercorn_program(tmp_path, extra) as (process, _):
        said = await read_until(process, b"LifespanFailureError")
        assert b"broken" in said
        with trio.fail_after(20):
            await process.wait()
