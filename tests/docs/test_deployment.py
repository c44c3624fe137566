"""What docs/deployment.md shows is read by the programs that it is for, and does what it says."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx2
import pytest
import trio
import trustme
from ruamel.yaml import YAML

from tests.http.harness import served
from tests.ports import free_port
from trimcp import open_http_client, open_websocket_client
from trimcp.protocol import LATEST, LATEST_HANDSHAKE
from trimcp.server import NETWORK_GRACE

from .pages import DOCS, EXAMPLES, blocks
from .proxies import Watched, changed, proxied, tool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

PAGE: Final = (DOCS / "deployment.md").read_text()
SERVICE, SOCKET, ACTIVATED = blocks(PAGE, "ini")
HOST: Final = "mcp.example.com"

#: Seconds that the page names for the cleanup of a lifespan.
CLEANUP: Final = 10

#: Seconds between the end of the grace and the end of what does not react to it, among workers.
NOTICE: Final = 3

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])


def setting(unit: str, name: str) -> str:
    """A line of a unit."""
    (value,) = re.findall(rf"^{name}=(.*)$", unit, re.MULTILINE)
    return value


def words_of(unit: str) -> list[str]:
    """The command of a unit, run by this Python, at a port that the system chooses."""
    program, *words = shlex.split(setting(unit, "ExecStart"))
    files = {
        "/srv/notes/notes.py": str(EXAMPLES / "quickstart.py"),
        "/srv/notes/activated.py": str(EXAMPLES / "activated.py"),
        "127.0.0.1:8000": "127.0.0.1:0",
    }
    module = ["-m", "trimcp"] if program.endswith("/trimcp") else []
    return [sys.executable, *module, *(files.get(word, word) for word in words)]


# -- systemd ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "unit"),
    [("notes.service", SERVICE), ("activated.socket", SOCKET), ("activated.service", ACTIVATED)],
)
def test_systemd_has_no_objection(name: str, unit: str, tmp_path: Path) -> None:
    (tmp_path / "activated.service").write_text(with_program(ACTIVATED))
    (tmp_path / "activated.socket").write_text(SOCKET)
    (tmp_path / name).write_text(unit if name.endswith(".socket") else with_program(unit))
    assert objections(tmp_path / name) == ""


def with_program(unit: str) -> str:
    """The unit, with a program that is here."""
    program = shlex.split(setting(unit, "ExecStart"))[0]
    return changed(unit, {program: sys.executable})


def objections(path: Path) -> str:
    """What systemd says about a unit of its own accord."""
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", "--man=no", str(path)],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{path.parent}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{done.stdout}{done.stderr}".splitlines()
    # Units of this machine may have flaws of their own.
    return "\n".join(line for line in said if path.stem in line or done.returncode)


def test_objections_of_systemd_are_found(tmp_path: Path) -> None:
    unit = tmp_path / "wrong.service"
    unit.write_text(with_program(SERVICE).replace("Restart=on-failure", "Restart=sometimes"))
    assert "sometimes" in objections(unit)


@contextmanager
def running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A program that is killed at the end of the block, if it has not ended before."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_command_of_the_service_serves_and_ends_in_order(tmp_path: Path) -> None:
    with running(words_of(SERVICE), cwd=tmp_path) as process:
        assert process.stderr is not None
        url = re.findall(r"http://[\d.:]+", process.stderr.readline())[0]
        for name in (HOST, "localhost"):
            assert httpx2.get(f"{url}/mcp", headers={"Host": name}).status_code != 403
        assert httpx2.get(f"{url}/mcp", headers={"Host": "other.example.com"}).status_code == 403
        health = httpx2.get(f"{url}/healthz", headers={"Host": "other.example.com"})
        assert (health.status_code, health.text) == (200, "ok\n")
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(20) == 0
    lines = rest.splitlines()
    assert any('"logger": "trimcp.access"' in line and '"/mcp"' in line for line in lines)
    assert all(line.startswith("{") for line in lines)


def test_systemd_waits_long_enough() -> None:
    for unit in (SERVICE, ACTIVATED):
        assert float(setting(unit, "TimeoutStopSec")) >= NETWORK_GRACE + CLEANUP + NOTICE


async def test_the_first_connection_starts_the_server(tmp_path: Path) -> None:
    """By systemd's own program that passes sockets."""
    address = setting(SOCKET, "ListenStream")
    port = free_port()
    listen = changed(address, {":8000": f":{port}"})
    command = [tool("systemd-socket-activate"), "-l", listen, *words_of(ACTIVATED)]
    with running(command, cwd=tmp_path) as process:
        assert process.stderr is not None
        await trio.to_thread.run_sync(process.stderr.readline)  # that it listens
        await call_add(f"http://127.0.0.1:{port}/mcp")
        process.send_signal(signal.SIGTERM)
        assert await trio.to_thread.run_sync(process.wait) == 0


async def test_a_connection_waits_while_the_server_is_started_again(tmp_path: Path) -> None:
    """As under systemd, which keeps the socket."""
    with socket.create_server(("127.0.0.1", 0)) as kept:
        url = f"http://127.0.0.1:{kept.getsockname()[1]}/mcp"
        with passing(kept, tmp_path) as process:
            await call_add(url)
            process.send_signal(signal.SIGTERM)
            assert await trio.to_thread.run_sync(process.wait) == 0
        answered = trio.Event()

        async def call() -> None:
            await call_add(url)
            answered.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            # It has connected, and nobody has accepted that.
            await trio.lowlevel.wait_readable(kept)
            with passing(kept, tmp_path):
                await answered.wait()


def passing(kept: socket.socket, place: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """The program, with a socket as systemd passes it."""
    script = f'exec 3<&{kept.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    command = ["bash", "-c", script, "bash", *words_of(ACTIVATED)]
    return running(command, cwd=place, pass_fds=[kept.fileno()])


async def call_add(url: str) -> None:
    with trio.fail_after(60):
        async with open_http_client(url) as client:
            assert (await client.call_tool("add", {"a": 2, "b": 3})).text == "5"


# -- Kubernetes -------------------------------------------------------------------------------


def manifests() -> list[Any]:
    (text,) = blocks(PAGE, "yaml")
    return list(YAML(typ="safe").load_all(io.StringIO(text)))


def test_kubernetes_waits_long_enough() -> None:
    deployment, _ = manifests()
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    program, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    least = float(seconds) + NETWORK_GRACE + CLEANUP + NOTICE
    assert pod["terminationGracePeriodSeconds"] >= least


def test_kubernetes_asks_where_the_container_listens() -> None:
    deployment, service = manifests()
    template = deployment["spec"]["template"]
    (container,) = template["spec"]["containers"]
    (port,) = container["ports"]
    (dockerfile,) = blocks(PAGE, "dockerfile")
    assert f"EXPOSE {port['containerPort']}\n" in dockerfile
    assert f"USER {template['spec']['securityContext']['runAsUser']}:" in dockerfile
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[kind]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    labels = template["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    (outer,) = service["spec"]["ports"]
    assert outer["targetPort"] == port["name"]


# -- proxies ----------------------------------------------------------------------------------


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


async def through(url: str, watched: Watched, revision: str, **options: Any) -> None:
    """Call through a proxy: an answer, progress at once, and leaving."""
    seen = trio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.set()

    with trio.fail_after(60):
        async with open_http_client(url, revision=revision, **options) as client:
            assert (await client.call_tool("who")).text == "watched"
            async with trio.open_nursery() as nursery:

                async def wait() -> None:
                    await client.call_tool("wait", progress=on_progress)

                nursery.start_soon(wait)
                await seen.wait()
                nursery.cancel_scope.cancel()
            await watched.ended.wait()


@by_era
async def test_nginx(revision: str, authority: trustme.CA, tmp_path: Path) -> None:
    (site,) = blocks(PAGE, "nginx")
    port = free_port()
    certificate = authority.issue_cert(HOST, "127.0.0.1")
    pem = tmp_path / "mcp.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(pem)
    watched = Watched()
    async with served(watched.server) as web:
        site = changed(
            site,
            {
                "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
                "127.0.0.1:8000": f"127.0.0.1:{web.port}",
                "/etc/ssl/mcp.example.com.pem": str(pem),
                "/etc/ssl/mcp.example.com.key": str(pem),
            },
        )
        path = tmp_path / "nginx.conf"
        path.write_text(around_site(site, tmp_path))
        command = [tool("nginx"), "-p", str(tmp_path), "-e", str(tmp_path / "e"), "-c", str(path)]
        checked = await trio.run_process([*command, "-t"], capture_stderr=True, check=False)
        assert checked.returncode == 0, checked.stderr.decode()
        assert b"warn" not in checked.stderr
        context = ssl.create_default_context()
        authority.configure_trust(context)
        async with (
            proxied(command, port, tmp_path),
            httpx2.AsyncClient(verify=context) as http,
        ):
            url = f"https://127.0.0.1:{port}/mcp"
            await through(url, watched, revision, http_client=http)
            await websocket(f"wss://127.0.0.1:{port}/ws", ssl_context=context)


def around_site(site: str, place: Path) -> str:
    """A whole configuration of nginx, with all that it writes in one place."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {place}/{kind};\n" for kind in kinds)
    return (
        f"daemon off;\nworker_processes 1;\npid {place}/pid;\nerror_log {place}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{site}}}\n"
    )


async def websocket(url: str, **options: Any) -> None:
    """Call over a WebSocket."""
    with trio.fail_after(60):
        async with open_websocket_client(url, **options) as client:
            assert (await client.call_tool("who")).text == "watched"


@by_era
async def test_caddy(revision: str, tmp_path: Path) -> None:
    (site,) = blocks(PAGE, "caddyfile")
    port = free_port()
    watched = Watched()
    path = tmp_path / "Caddyfile"
    path.write_text(site)
    words = ["--config", str(path), "--adapter", "caddyfile"]
    await trio.run_process([tool("caddy"), "adapt", *words], capture_stdout=True)
    async with served(watched.server) as web:
        # Without TLS, since it would ask for a certificate.
        site = changed(
            site, {HOST: f"http://127.0.0.1:{port}", "127.0.0.1:8000": f"127.0.0.1:{web.port}"}
        )
        path.write_text(f"{{\n\tadmin off\n}}\n{site}")
        async with proxied([tool("caddy"), "run", *words], port, tmp_path):
            await through(f"http://127.0.0.1:{port}/mcp", watched, revision)
            await websocket(f"ws://127.0.0.1:{port}/ws")


async def test_haproxy_keeps_a_session_at_its_server(tmp_path: Path) -> None:
    (text,) = blocks(PAGE, "haproxy")
    port = free_port()
    async with served(Watched("one").server) as one, served(Watched("two").server) as two:
        text = changed(
            text,
            {
                "127.0.0.1:8080": f"127.0.0.1:{port}",
                "10.0.0.1:8000": f"127.0.0.1:{one.port}",
                "10.0.0.2:8000": f"127.0.0.1:{two.port}",
            },
        )
        path = tmp_path / "haproxy.cfg"
        path.write_text(text)
        haproxy = tool("haproxy")
        checked = await trio.run_process(
            [haproxy, "-c", "-f", str(path)], capture_stdout=True, capture_stderr=True, check=False
        )
        said = checked.stdout + checked.stderr
        assert (checked.returncode, b"WARNING" in said) == (0, False), said.decode()
        async with proxied([haproxy, "-db", "-f", str(path)], port, tmp_path):
            url = f"http://127.0.0.1:{port}/mcp"
            found = [name async for name in names_behind(url, 4)]
    assert set(found) == {"one", "two"}


async def names_behind(url: str, count: int) -> AsyncIterator[str]:
    """Which server each of some clients has, in all requests of its session."""
    async with httpx2.AsyncClient() as http:
        for _ in range(count):
            with trio.fail_after(60):
                yield await name_in_session(http, url)


async def name_in_session(http: httpx2.AsyncClient, url: str) -> str:
    headers = {"accept": "application/json, text/event-stream"}
    date = LATEST_HANDSHAKE.date
    info = {"name": "client", "version": "1"}
    params = {"protocolVersion": date, "capabilities": {}, "clientInfo": info}
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
    answer = await http.post(url, json=hello, headers=headers)
    assert answer.status_code == 200, answer.text
    headers["mcp-session-id"] = answer.headers["mcp-session-id"]
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await http.post(url, json=ready, headers=headers)).status_code == 202
    names = set()
    for number in (1, 2, 3):
        call = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "who"}}
        answer = await http.post(url, json=call, headers=headers)
        assert answer.status_code == 200, answer.text
        names |= set(re.findall(r'"text":"(\w+)"', answer.text))
    (name,) = names
    return name
