"""Behind a reverse proxy as people run it: Debian's nginx, with its buffering left on."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from tests.http.harness import served
from tests.ports import free_port
from trimcp import Context, ResourceUpdated, Server, open_http_client, open_websocket_client
from trimcp.protocol import LATEST, LATEST_HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NGINX: Final = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="Debian's nginx is not installed")

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])

#: What docs/http.md tells people to write, and places of its own for all that nginx writes.
CONFIGURATION: Final = """
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 60s;
            client_max_body_size 16m;
        }}
    }}
}}
"""


@asynccontextmanager
async def behind_nginx(
    server: Server[Any], place: Path, *, port: int | None = None, location: str | None = None
) -> AsyncIterator[str]:
    """Serve a server behind a proxy; yields the proxy's host and port.

    Args:
        server: The server.
        place: A directory for the files of the proxy.
        port: That of the proxy.
        location: What the proxy does, other than what the docs say.
    """
    assert NGINX is not None
    port = free_port() if port is None else port
    async with served(server) as web, trio.open_nursery() as nursery:
        configuration = place / "nginx.conf"
        text = CONFIGURATION if location is None else _with_location(location)
        text = text.format(place=place, port=port, behind=web.port)
        await trio.Path(configuration).write_text(text)
        command = [
            NGINX,
            "-p",
            str(place),
            "-e",
            str(place / "early.log"),
            "-c",
            str(configuration),
        ]
        await nursery.start(trio.run_process, command)
        with trio.fail_after(10):
            await answered(port)
        yield f"127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


def _with_location(location: str) -> str:
    before, rest = CONFIGURATION.split("        location / {{", 1)
    return f"{before}{location}{rest.partition('        }}')[2]}"


async def answered(port: int) -> None:
    """Wait until somebody listens there."""
    while True:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
        except OSError:
            # A process says nothing when it begins to listen.
            await trio.sleep(0.01)
        else:
            await stream.aclose()
            return


class Watched:
    """A server whose tool waits, and what became of its call."""

    def __init__(self) -> None:
        self.server = Server[Any]("watched")
        self.go_on = trio.Event()
        self.ended = trio.Event()

        @self.server.tool
        async def work(ctx: Context) -> str:
            try:
                await ctx.report_progress(1, 2, "half")
                await self.go_on.wait()
                return "done"
            finally:
                self.ended.set()

        @self.server.resource("state://one")
        def state() -> str:
            return "well"


@by_era
async def test_progress_is_not_held_back(revision: str, tmp_path: Path) -> None:
    watched = Watched()
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)
        # The tool goes on only once this has come through the proxy.
        watched.go_on.set()

    async with (
        behind_nginx(watched.server, tmp_path) as proxy,
        open_http_client(f"http://{proxy}/mcp", revision=revision) as client,
    ):
        with trio.fail_after(20):
            result = await client.call_tool("work", progress=on_progress)
        assert (result.text, seen) == ("done", [1])


@by_era
async def test_changes_are_not_held_back(revision: str, tmp_path: Path) -> None:
    watched = Watched()
    async with (
        behind_nginx(watched.server, tmp_path) as proxy,
        open_http_client(f"http://{proxy}/mcp", revision=revision) as client,
        client.listen(resources=["state://one"]) as changes,
    ):
        for _ in range(3):
            await watched.server.notify_resource_updated("state://one")
            with trio.fail_after(20):
                assert await anext(changes) == ResourceUpdated("state://one")


async def test_leaving_cancels(tmp_path: Path) -> None:
    """The proxy passes on that the client has gone, in the middle of a stream."""
    watched = Watched()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        scope.cancel()

    async with (
        behind_nginx(watched.server, tmp_path) as proxy,
        open_http_client(f"http://{proxy}/mcp") as client,
    ):
        with trio.CancelScope() as scope:
            await client.call_tool("work", progress=on_progress)
        with trio.fail_after(20):
            await watched.ended.wait()
        assert not watched.go_on.is_set()
        assert (await client.list_tools())[0].name == "work"


@by_era
async def test_many_at_once(revision: str, tmp_path: Path) -> None:
    server = Server("adding")

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    async with (
        behind_nginx(server, tmp_path) as proxy,
        open_http_client(f"http://{proxy}/mcp", revision=revision) as client,
        trio.open_nursery() as nursery,
    ):

        async def call(number: int) -> None:
            result = await client.call_tool("add", {"a": number, "b": 1})
            assert result.text == str(number + 1)

        for number in range(50):
            nursery.start_soon(call, number)


async def test_websocket(tmp_path: Path) -> None:
    watched = Watched()
    watched.go_on.set()
    async with (
        behind_nginx(watched.server, tmp_path) as proxy,
        open_websocket_client(f"ws://{proxy}/ws") as client,
    ):
        assert (await client.call_tool("work")).text == "done"
