"""Whose pages may talk to `/mcp`, and read its answers: asked from a real browser."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import trio

from trimcp import Server

from .chromium import FOREIGN, Pages, needs_chromium, pages

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = needs_chromium

#: Calls a tool in the stateless era, and tells what the page could read of the answer.
TALK = """
<script>
async function talk(url, plain) {
    const meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}, progressToken: 1};
    const params = {name: "count", arguments: {}, _meta: meta};
    const body = JSON.stringify({jsonrpc: "2.0", id: 1, method: "tools/call", params});
    const headers = plain ? {"Content-Type": "text/plain"} : {
        "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "count"};
    try {
        const answer = await fetch(url, {method: "POST", headers, body, mode: "cors"});
        const text = await answer.text();
        const events = text.split("\\n\\n").filter(each => each.startsWith("data:"));
        return {status: answer.status, events: events.length, counted: text.includes("counted")};
    } catch (error) {
        return {blocked: error.name};
    }
}
</script>
"""

SERVED = {"status": 200, "events": 3, "counted": True}
BLOCKED = {"blocked": "TypeError"}


class Counting:
    """A server, and how often its tool was called."""

    def __init__(self) -> None:
        self.server: Server[None] = Server("browsed")
        self.calls = 0

        @self.server.tool
        async def count() -> Any:
            self.calls += 1
            yield 1
            yield "counted"

    async def serve(self, *, task_status: trio.TaskStatus[list[str]], **options: Any) -> None:
        await self.server.serve_http("127.0.0.1", 0, task_status=task_status, **options)


async def all_of(
    site: Pages, host: str, urls: list[str], tmp_path: Path, *, plain: bool = False
) -> Any:
    """What a page on that host sees of each URL."""
    talks = ", ".join(f"talk({url!r}, {str(plain).lower()})" for url in urls)
    script = f"{TALK}<script>Promise.all([{talks}]).then(tell)</script>"
    return await site.see(host, script, tmp_path / "profile")


async def test_pages_of_this_machine_and_others(tmp_path: Path) -> None:
    closed, open_to_them = Counting(), Counting()
    async with pages() as site, trio.open_nursery() as nursery:
        [url] = await nursery.start(closed.serve)
        origin = f"http://{FOREIGN}:{site.port}"
        serve = functools.partial(open_to_them.serve, allowed_origins=[origin])
        [other] = await nursery.start(serve)
        urls = [f"{url}/mcp", f"{other}/mcp"]
        rebound = f"{url}/mcp".replace("127.0.0.1", FOREIGN)

        # The page asks first, with OPTIONS, and is told that it may not.
        assert await all_of(site, "localhost", urls, tmp_path) == [BLOCKED, BLOCKED]
        assert (closed.calls, open_to_them.calls) == (0, 0)
        # The last is DNS rebinding: a name of the page's own that leads to the server.
        seen = await all_of(site, FOREIGN, [*urls, rebound], tmp_path)
        assert seen == [BLOCKED, SERVED, BLOCKED]
        assert (closed.calls, open_to_them.calls) == (0, 1)
        nursery.cancel_scope.cancel()


async def test_requests_that_are_sent_without_asking(tmp_path: Path) -> None:
    """What a form could send too: the page cannot read the answer, and nothing was done."""
    counting = Counting()
    async with pages() as site, trio.open_nursery() as nursery:
        [url] = await nursery.start(counting.serve)
        assert await all_of(site, FOREIGN, [f"{url}/mcp"], tmp_path, plain=True) == [BLOCKED]
        assert counting.calls == 0
        nursery.cancel_scope.cancel()
