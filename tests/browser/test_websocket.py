"""Whose pages may talk to `/ws`: asked from a real browser, whose `Origin` no page can choose."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import trio

from trimcp import Server

from .chromium import FOREIGN, Pages, needs_chromium, pages

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_chromium

#: Connects, says hello in the handshake era, calls a tool, and tells how that went.
TALK = """
<script>
async function talk(url) {
    const socket = new WebSocket(url, "mcp");
    const events = [];
    let wake = () => {};
    for (const type of ["open", "message", "error", "close"])
        socket.addEventListener(type, event => { events.push(event); wake(); });
    const next = async () => {
        while (events.length === 0) await new Promise(resolve => { wake = resolve; });
        return events.shift();
    };
    const first = await next();
    if (first.type !== "open") return {opened: false, code: (await next()).code};
    const say = message => socket.send(JSON.stringify({jsonrpc: "2.0", ...message}));
    const answer = async () => JSON.parse((await next()).data);
    say({id: 1, method: "initialize", params: {protocolVersion: "2025-11-25", capabilities: {},
        clientInfo: {name: "page", version: "1"}}});
    const hello = await answer();
    say({method: "notifications/initialized"});
    say({id: 2, method: "tools/call", params: {name: "add", arguments: {a: 2, b: 3}}});
    const sum = await answer();
    socket.close(1000);
    const closed = await next();
    return {opened: true, protocol: socket.protocol, server: hello.result.serverInfo.name,
        sum: sum.result.content[0].text, code: closed.code, clean: closed.wasClean};
}
</script>
"""

SERVED = {
    "opened": True,
    "protocol": "mcp",
    "server": "browsed",
    "sum": "5",
    "code": 1000,
    "clean": True,
}
REFUSED = {"opened": False, "code": 1006}


def make_server() -> Server[None]:
    server: Server[None] = Server("browsed")

    @server.tool
    async def add(a: int, b: int) -> str:
        return str(a + b)

    return server


async def all_of(site: Pages, host: str, urls: list[str], tmp_path: Path) -> Any:
    """What a page on that host sees of each URL."""
    talks = ", ".join(f"talk({url!r})" for url in urls)
    return await site.see(
        host, f"{TALK}<script>Promise.all([{talks}]).then(tell)</script>", tmp_path / "profile"
    )


async def test_pages_of_this_machine_and_others(tmp_path: Path) -> None:
    async with pages() as site, trio.open_nursery() as nursery:
        [(_, port)] = await nursery.start(make_server().serve_websocket, "127.0.0.1", 0)
        open_to_them = functools.partial(
            make_server().serve_websocket,
            "127.0.0.1",
            0,
            allowed_origins=[f"http://{FOREIGN}:{site.port}"],
        )
        [(_, other)] = await nursery.start(open_to_them)
        urls = [f"ws://127.0.0.1:{port}/ws", f"ws://127.0.0.1:{other}/ws"]

        assert await all_of(site, "localhost", urls, tmp_path) == [SERVED, REFUSED]
        # The last is DNS rebinding: a name of the page's own that leads to the server.
        rebound = [*urls, f"ws://{FOREIGN}:{port}/ws"]
        assert await all_of(site, FOREIGN, rebound, tmp_path) == [REFUSED, SERVED, REFUSED]
        nursery.cancel_scope.cancel()


async def test_a_sandboxed_page(tmp_path: Path) -> None:
    """Its origin is `null`, whoever it is from."""
    async with pages() as site, trio.open_nursery() as nursery:
        [(_, port)] = await nursery.start(make_server().serve_websocket, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{port}/ws"
        inside = f"{TALK}<script>talk('{url}').then(told => parent.postMessage(told, '*'))</script>"
        escaped = inside.replace("&", "&amp;").replace('"', "&quot;")
        html = f"""
            <script>addEventListener("message", event => tell(event.data))</script>
            <iframe sandbox="allow-scripts" srcdoc="{escaped}"></iframe>
        """
        assert await site.see("localhost", html, tmp_path / "profile") == REFUSED
        nursery.cancel_scope.cancel()
