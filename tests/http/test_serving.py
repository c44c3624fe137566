"""Where a server listens: ports, Unix sockets, TLS, several processes. Real processes."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import ssl
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import h11
import pytest
import trio
import trustme

from trimcp import NotServing, Server
from trimcp.http._workers import Supervisor
from trimcp.runtime import MissingNonceStore

from .harness import PATIENCE, Web, call, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Unix sockets and signals")


def make_server() -> Server[Any]:
    server: Server[Any] = Server("web", version="1")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    return server


async def test_the_address_is_told() -> None:
    server = make_server()
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(server.serve_http, "127.0.0.1", 0)
        assert urls[0].startswith("http://127.0.0.1:")
        nursery.cancel_scope.cancel()


async def test_a_taken_port_is_an_error() -> None:
    async with served(make_server()) as web:
        with pytest.raises(OSError, match="in use"):
            await make_server().serve_http("127.0.0.1", web.port)


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    server = make_server()
    async with trio.open_nursery() as nursery:
        start = functools.partial(server.serve_http, unix_path=path)
        urls = await nursery.start(start)
        assert urls == [f"http+unix:{path}"]
        assert path.stat().st_mode & 0o077 == 0
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        nursery.cancel_scope.cancel()
    assert not path.exists()


@pytest.mark.parametrize("http2", [True, False])
async def test_tls(tmp_path: Path, http2: bool) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    options = {"certfile": tmp_path / "cert.pem", "keyfile": tmp_path / "key.pem", "http2": http2}
    async with served(make_server(), **options) as web:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        context.set_alpn_protocols(["h2", "http/1.1"])
        plain = await web.connect()
        stream = trio.SSLStream(plain, context, server_hostname="localhost")
        await stream.do_handshake()
        assert stream.selected_alpn_protocol() == ("h2" if http2 else "http/1.1")
        if not http2:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
        await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    "options",
    [{"keyfile": "x"}, {"certfile": "x", "tls": ssl.create_default_context()}, {"keepalive": -1}],
)
async def test_options_are_checked(options: Any) -> None:
    with pytest.raises(ValueError, match=r"certificate|keepalive"):
        await make_server().serve_http("127.0.0.1", 0, **options)


async def test_an_application_that_is_open_needs_no_workers() -> None:
    server = make_server()
    async with server.application(signals=False):
        with pytest.raises(NotServing):
            await server.serve_http("127.0.0.1", 0, workers=2)


# -- without sessions ----------------------------------------------------------------------------


async def test_clients_without_sessions() -> None:
    server = make_server()
    async with served(server, sessions=False) as web:
        params = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "x", "version": "1"},
        }
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        reply = await web.post(hello)
        assert reply.message["result"]["protocolVersion"] == "2025-11-25"
        assert "mcp-session-id" not in reply.headers
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await web.post(note)).status == 202
        add = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        add["params"] = {"name": "add", "arguments": {"a": 1, "b": 2}}  # type: ignore[assignment]
        body = json.dumps(add).encode()
        reply = await web.post(body, mcp_protocol_version="2025-11-25", mcp_session_id="any")
        assert reply.message["result"]["content"][0]["text"] == "3"
        assert (await web.post(body)).status == 200
        assert (await web.post(body, mcp_protocol_version="2024")).status == 400
        assert (await web.post(b"[" + body + b"]")).status == 400
        assert (await web.send("GET")).status == 405
        assert (await web.send("DELETE")).status == 405
        watch = {"jsonrpc": "2.0", "id": 1, "method": "resources/unsubscribe"}
        assert (await web.post(watch | {"params": {"uri": "x://y"}})).code == -32600


# -- several processes -----------------------------------------------------------------------------

PROGRAM = """
import os
import sys
import time
import trio
from trimcp import Context, Server
from pydantic import BaseModel

class Confirm(BaseModel):
    ok: bool

server = Server("workers", shutdown_grace=float(os.environ.get("GRACE", "5")))

def say(text):
    # At once, or the lines of two processes would run into each other.
    os.write(2, f"{text}\\n".encode())

@server.tool
async def pid() -> int:
    return os.getpid()

@server.tool
async def crash() -> None:
    os._exit(7)

@server.tool
async def leave() -> None:
    server.shutdown()

@server.tool
async def nap(seconds: float) -> str:
    say("napping")
    await trio.sleep(seconds)
    return "woken"

@server.tool
async def block() -> None:
    say(f"blocking {os.getpid()}")
    time.sleep(3600)

@server.tool(replay=True)
async def ask(ctx: Context) -> str:
    return str((await ctx.elicit("Sure?", Confirm)).ok)

@server.on_shutdown
async def bye():
    say(f"left {os.getpid()}")

async def main():
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(serve)
        say(f"listening {urls[0]}")

async def serve(task_status):
    await server.serve_http("127.0.0.1", 0, workers=2, task_status=task_status)

trio.run(main)
"""


class Program:
    """The supervisor, and what is said on standard error."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.said = b""

    async def hear(self, mark: bytes) -> bytes:
        """Wait until a line with this mark is complete, and return it."""
        assert self.process.stderr is not None
        with trio.fail_after(30):
            while True:
                for line in self.said.splitlines(keepends=True):
                    if mark in line and line.endswith(b"\n"):
                        self.said = self.said.partition(line)[2]
                        return line
                piece = await self.process.stderr.receive_some()
                assert piece, self.said
                self.said += piece


@asynccontextmanager
async def program(path: Path, *, grace: float = 5) -> AsyncIterator[tuple[Program, Web]]:
    (path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(path / "program.py")]
    start = functools.partial(
        trio.run_process,
        command,
        check=False,
        stderr=subprocess.PIPE,
        env={**os.environ, "GRACE": str(grace)},
    )
    async with trio.open_nursery() as nursery:
        running = Program(await nursery.start(start))
        try:
            # The supervisor's line; its workers say where they listen too.
            line = await running.hear(b"listening")
            yield running, Web(int(line.rpartition(b":")[2]))
        finally:
            nursery.cancel_scope.cancel()


async def pids(web: Web) -> set[int]:
    """Which processes answer."""
    found = set()
    with trio.fail_after(30):
        while len(found) < 2:
            async with trio.open_nursery() as nursery:
                for _ in range(8):

                    async def ask() -> None:
                        answer = (await web.post(call("pid"))).message
                        found.add(answer["result"]["structuredContent"])

                    nursery.start_soon(ask)
    return found


async def test_workers_share_the_socket_and_end_together(tmp_path: Path) -> None:
    async with program(tmp_path) as (running, web):
        workers = await pids(web)
        assert running.process.pid not in workers
        async with trio.open_nursery() as nursery:

            async def interrupt() -> None:
                await running.hear(b"napping")
                running.process.send_signal(signal.SIGTERM)

            nursery.start_soon(interrupt)
            reply = await web.post(call("nap", {"seconds": 1}))
            assert reply.message["result"]["content"][0]["text"] == "woken"
        await running.hear(b"left")
        await running.hear(b"left")
        with trio.fail_after(PATIENCE):
            assert await running.process.wait() == 0
        assert not [pid for pid in workers if is_alive(pid)]


async def test_a_worker_that_crashes_is_started_again(tmp_path: Path) -> None:
    async with program(tmp_path) as (running, web):
        before = await pids(web)
        with pytest.raises((h11.RemoteProtocolError, trio.BrokenResourceError)):
            await web.post(call("crash"))
        await running.hear(b"another follows")
        assert await pids(web) != before
        running.process.send_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            await running.process.wait()


async def test_workers_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    async with program(tmp_path) as (running, web):
        await pids(web)
        running.process.kill()
        await running.hear(b"left")
        await running.hear(b"left")


async def blocked(running: Program, web: Web, nursery: trio.Nursery) -> int:
    """Block the loop of one worker; the process id."""

    async def call_it() -> None:
        with contextlib.suppress(trio.BrokenResourceError, h11.RemoteProtocolError):
            await web.post(call("block"))

    nursery.start_soon(call_it)
    return int((await running.hear(b"blocking")).split()[1])


async def test_a_worker_whose_loop_is_blocked_is_killed_after_the_grace(tmp_path: Path) -> None:
    async with program(tmp_path, grace=0.5) as (running, web), trio.open_nursery() as nursery:
        before = await pids(web)
        pid = await blocked(running, web, nursery)
        running.process.send_signal(signal.SIGTERM)
        [other] = before - {pid}
        assert str(other).encode() in await running.hear(b"left")
        await running.hear(f"worker {pid} does not end: killed".encode())
        with trio.fail_after(PATIENCE):
            assert await running.process.wait() == 0
        assert not [each for each in before if is_alive(each)]
        nursery.cancel_scope.cancel()


async def test_a_worker_that_is_stopped_is_killed_after_the_grace(tmp_path: Path) -> None:
    async with program(tmp_path, grace=0.5) as (running, web):
        pid, other = await pids(web)
        os.kill(pid, signal.SIGSTOP)
        running.process.send_signal(signal.SIGTERM)
        await running.hear(f"worker {pid} does not end: killed".encode())
        with trio.fail_after(PATIENCE):
            assert await running.process.wait() == 0
        assert not is_alive(pid)
        assert not is_alive(other)


async def test_a_second_signal_kills_a_worker_whose_loop_is_blocked(tmp_path: Path) -> None:
    async with program(tmp_path, grace=3600) as (running, web), trio.open_nursery() as nursery:
        await pids(web)
        pid = await blocked(running, web, nursery)
        running.process.send_signal(signal.SIGTERM)
        # The other one ends in good order.
        await running.hear(b"left")
        running.process.send_signal(signal.SIGTERM)
        await running.hear(f"worker {pid} does not end: killed".encode())
        with trio.fail_after(PATIENCE):
            assert await running.process.wait() == 0
        nursery.cancel_scope.cancel()


async def test_a_second_signal_lets_workers_that_can_clean_up(tmp_path: Path) -> None:
    async with program(tmp_path, grace=3600) as (running, web), trio.open_nursery() as nursery:
        await pids(web)

        async def nap() -> None:
            with contextlib.suppress(trio.BrokenResourceError, h11.RemoteProtocolError):
                await web.post(call("nap", {"seconds": 3600}))

        nursery.start_soon(nap)
        await running.hear(b"napping")
        running.process.send_signal(signal.SIGTERM)
        await running.hear(b"left")
        running.process.send_signal(signal.SIGTERM)
        await running.hear(b"left")
        with trio.fail_after(PATIENCE):
            assert await running.process.wait() == 0
        assert b"killed" not in running.said
        nursery.cancel_scope.cancel()


async def test_a_signal_while_a_worker_is_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it comes: no worker is left over."""
    sleeper = "import time; time.sleep(3600)"
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", sleeper])
    spawn = trio.lowlevel.open_process
    spawned: list[trio.Process] = []
    supervisor = Supervisor("here", 3, 0.1)

    async def slow(*given: Any, **options: Any) -> trio.Process:
        supervisor.on_signal("SIGTERM")
        with trio.CancelScope(shield=True, relative_deadline=PATIENCE):
            spawned.append(await spawn(*given, **options))
        return spawned[-1]

    monkeypatch.setattr(trio.lowlevel, "open_process", slow)
    with trio.fail_after(PATIENCE):
        await supervisor.run([])
    [process] = spawned
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("kind", ["http_app", "sse_app", "asgi_app", "option"])
async def test_workers_and_sessions_are_refused_at_the_start(kind: str) -> None:
    server = make_server()
    given = {"sessions": True} if kind == "option" else {"app": getattr(server, kind)()}
    with pytest.raises(ValueError, match=r"sessions=False"):
        await server.serve_http("127.0.0.1", 0, workers=2, **given)


@pytest.mark.parametrize("kind", ["tool", "prompt", "resource", "template"])
async def test_workers_need_a_store_for_what_is_accepted_once(kind: str) -> None:
    server = make_server()

    async def once(name: str = "") -> str:
        return name

    async def fixed() -> str:
        return ""

    register: Any = {
        "tool": server.tool(single_use=True),
        "prompt": server.prompt(single_use=True),
        "resource": server.resource("a://b", single_use=True),
        "template": server.resource("a://{name}", single_use=True),
    }[kind]
    register(fixed if kind == "resource" else once)
    with pytest.raises(ValueError, match=r"nonces"):
        await server.serve_http("127.0.0.1", 0, workers=2)


async def test_without_a_shared_store_nothing_is_accepted() -> None:
    """What is registered later, once the workers run, cannot be refused at the start."""
    assert not await MissingNonceStore().use("nonce", 60)


async def test_an_application_in_a_framework_has_no_sessions_in_workers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = make_server()
    inner = server.asgi_app()

    async def framework(scope: Any, receive: Any, send: Any) -> None:
        await inner(scope, receive, send)

    async with served(server, app=framework) as web:
        assert server.running is not None
        server.running.is_alone = False
        hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {}}
        assert (await web.post(hello)).status == 500
        assert (await web.send("GET", "/sse", accept="text/event-stream")).status == 500
        assert (await web.post(call("add", {"a": 1, "b": 2}))).status == 200
    assert "sessions=False" in caplog.text


async def test_without_sessions_there_is_no_http_sse() -> None:
    server = make_server()
    async with served(server, sessions=False) as web:
        assert (await web.send("GET", "/sse", accept="text/event-stream")).status == 404
    with pytest.raises(ValueError, match="sessions"):
        server.sse_app(sessions=False)


async def test_a_question_can_be_answered_by_another_worker(tmp_path: Path) -> None:
    capabilities = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
    async with program(tmp_path) as (_, web):
        first = (await web.post(call("ask", **capabilities))).message["result"]
        [key] = first["inputRequests"]
        for number in range(8):
            again = call("ask", id=number + 2, **capabilities)
            again["params"] |= {
                "requestState": first["requestState"],
                "inputResponses": {key: {"action": "accept", "content": {"ok": True}}},
            }
            assert "True" in str((await web.post(again)).message["result"])


async def test_a_program_that_cannot_serve_ends(tmp_path: Path) -> None:
    script = PROGRAM.replace("async def bye", "async def bye2").replace(
        "async def main", "@server.on_startup\nasync def fail():\n    1 / 0\n\nasync def main"
    )
    (tmp_path / "program.py").write_text(script)
    command = [sys.executable, str(tmp_path / "program.py")]
    with trio.fail_after(60):
        done = await trio.run_process(command, check=False, capture_stderr=True)
    assert done.returncode != 0
    assert b"ChildProcessError" in done.stderr


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
