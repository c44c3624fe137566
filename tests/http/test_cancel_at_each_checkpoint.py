"""Requests over HTTP that are given up at whichever checkpoint: everything of them ends.

As `tests/test_cancel_at_each_checkpoint.py`, with an HTTP application and no sockets. A server that
runs the application cancels it, or tells it that the client has gone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.cancelling import Ledger, add_waiting, at_each_checkpoint
from trimcp import Server

from .harness import Message, call, mirrored, request

if TYPE_CHECKING:
    from tests.cancelling import Moment
    from trimcp import Statistics


def a_server(ledger: Ledger) -> Server[None]:
    server: Server[None] = Server("s")

    add_waiting(server, ledger)

    return server


LISTEN = request(
    "subscriptions/listen",
    {"notifications": {"toolsListChanged": True, "resourceSubscriptions": ["test://data"]}},
)

MESSAGES: dict[str, Message] = {
    "call": call("work"),
    "call with progress": call("work", progressToken=1),
    "stream": call("count", progressToken=1),
    "list": request("tools/list"),
    "read": request("resources/read", {"uri": "test://data"}),
    "listen": LISTEN,
    "unknown": request("no/such"),
    "malformed": {"jsonrpc": "2.0", "id": 1},
}


class Exchange:
    """One request to an ASGI application, and what it answers.

    Args:
        message: Its body.
    """

    def __init__(self, message: Message) -> None:
        body = json.dumps(message).encode()
        mirrors = mirrored(message) if "params" in message else {}
        headers = {
            "host": "localhost",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            **mirrors,
        }
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 5),
            "server": ("localhost", 80),
            "state": {},
        }
        self._pieces = [body[: len(body) // 2], body[len(body) // 2 :]]
        self._gone = trio.Event()
        self.statuses: list[int] = []
        self.is_whole = False

    async def receive(self) -> dict[str, Any]:
        """See ASGI."""
        await trio.lowlevel.checkpoint()
        if self._pieces:
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: dict[str, Any]) -> None:
        """See ASGI."""
        await trio.lowlevel.checkpoint()
        assert not self.is_whole, "something follows the end of the answer"
        if event["type"] == "http.response.start":
            self.statuses.append(event["status"])
        else:
            self.is_whole = not event.get("more_body", False)

    def leave(self) -> None:
        """The client goes away."""
        self._gone.set()


async def held(server: Server[None], ledger: Ledger) -> tuple[list[str], Statistics]:
    """What is held when nothing happens any more."""
    await trio.sleep(60)
    await wait_all_tasks_blocked()
    return sorted(ledger.open), server.statistics()


@pytest.mark.parametrize("how", ["cancelled", "left"])
@pytest.mark.parametrize("name", MESSAGES)
def test_a_request_that_is_given_up(name: str, how: str) -> None:
    """Its handler ends, nothing of it is held, and the next one is served."""
    ledger = Ledger()
    server = a_server(ledger)
    app: Any = server.http_app()

    async def scenario(moment: Moment) -> None:
        async with server.application(signals=False):
            before = await held(server, ledger)
            given_up = Exchange(MESSAGES[name])
            end = given_up.leave if how == "left" else None
            with moment.inside(end), trio.move_on_after(20):
                # A subscription would go on for ever.
                await app(given_up.scope, given_up.receive, given_up.send)
            assert len(given_up.statuses) <= 1
            assert await held(server, ledger) == before
            following = Exchange(call("work"))
            await app(following.scope, following.receive, following.send)
            assert following.statuses == [200]
            assert following.is_whole
            assert await held(server, ledger) == before

    assert at_each_checkpoint(scenario) > 3
