"""Cancelled at whichever checkpoint, clients over HTTP and WebSocket and their server end.

As `test_cancel_at_each_checkpoint.py`, with the real servers and clients of both transports over a
network inside the process; and what can be given up there alone: the renewal of a session.
Guarantees 2, 10, 13 and 23.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from tests.cancelling import Ledger, at_each_checkpoint
from tests.giving_up import REVISIONS, a_server, answer, be_asked, call, listen, stop_streaming
from tests.network import Network
from trimcp import MCPError, open_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cancelling import Moment
    from trimcp import Client, Server

DOORS = ["http", "websocket", "websocket over http"]

#: An HTTP scenario takes tenths of a second, so that only a long look tries every checkpoint.
STRIDE: Final = 1 if os.environ.get("HYPOTHESIS_PROFILE") in ("thorough", "deep") else 5

#: Virtual seconds after which a server has forgotten the sessions that nobody uses.
FORGOTTEN: Final = 3000.0


@asynccontextmanager
async def served(server: Server[None], door: str, port: int = 50_000) -> AsyncIterator[str]:
    """A server at a door, shut down at the end; yields its URL."""
    serve: Any = server.serve_websocket if door == "websocket" else server.serve_http
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, "127.0.0.1", port)
        yield f"http://127.0.0.1:{port}/mcp" if door == "http" else f"ws://127.0.0.1:{port}/ws"
        server.shutdown()


async def everything(client: Client) -> None:
    """All at the same time."""
    async with trio.open_nursery() as nursery:
        for use in (call, stop_streaming, be_asked, listen):
            nursery.start_soon(use, client)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_client_that_is_given_up(revision: str, door: str) -> None:
    """Connecting, using and closing: nothing of it is held, and the server serves the next one."""
    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        async with trio.open_nursery() as relays:
            with Network(relays).installed():
                async with served(server, door) as url:
                    idle, inside = server.statistics(), sorted(ledger.open)
                    with moment.inside():
                        async with open_client(
                            url, revision=revision, elicitation=answer, timeout=1000
                        ) as client:
                            await everything(client)
                    await trio.sleep(FORGOTTEN)
                    assert server.statistics() == idle
                    assert sorted(ledger.open) == inside
                    async with open_client(url, revision=revision) as client:
                        await call(client)
        assert ledger.open == []

    assert at_each_checkpoint(scenario, stride=STRIDE if door == "http" else 1) > 50


@pytest.mark.parametrize("how", ["cancelled", "shut down"])
@pytest.mark.parametrize("door", ["serve_websocket", "serve_http"])
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_websocket_server_that_is_given_up(revision: str, door: str, how: str) -> None:
    """Its handlers and lifespans end; its client has an answer or an error instead of waiting."""
    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        async def serve(task_status: trio.TaskStatus[Any]) -> None:
            with moment.inside(server.shutdown if how == "shut down" else None):
                await getattr(server, door)("127.0.0.1", 50_000, task_status=task_status)
            assert ledger.open == []

        async def use() -> None:
            async with open_client(
                "ws://127.0.0.1:50000/ws", revision=revision, elicitation=answer, timeout=1000
            ) as client:
                await everything(client)

        async with trio.open_nursery() as relays:
            with Network(relays).installed():
                try:
                    async with trio.open_nursery() as nursery:
                        await nursery.start(serve)
                        await use()
                        server.shutdown()
                except* (MCPError, OSError):
                    assert moment.has_come
                except* RuntimeError:
                    # Trio's own error: it was cancelled before it served.
                    assert moment.has_come
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 50


def test_a_renewal_of_a_session_that_is_given_up() -> None:
    """The server has been started again and knows no session (404): the client begins another.

    Given up meanwhile, the client still renews its session with the next call, and closes.
    """
    ledger = Ledger()
    first, second = a_server(ledger), a_server(ledger)

    async def scenario(moment: Moment) -> None:
        ended = trio.Event()

        async def serve_first(task_status: trio.TaskStatus[Any]) -> None:
            await first.serve_http("127.0.0.1", 50_000, task_status=task_status)
            ended.set()

        async with trio.open_nursery() as serving:
            with Network(serving).installed():
                [url] = await serving.start(serve_first)
                async with open_client(
                    f"{url}/mcp", revision=REVISIONS[0], elicitation=answer, timeout=1000
                ) as client:
                    await call(client)
                    first.shutdown()
                    await ended.wait()
                    await serving.start(second.serve_http, "127.0.0.1", 50_000)
                    with moment.inside():
                        await call(client)
                    await call(client)
                    await be_asked(client)
                await trio.sleep(FORGOTTEN)
                assert second.statistics().http_sessions == 0
                second.shutdown()
        assert ledger.open == []

    assert at_each_checkpoint(scenario, stride=STRIDE) > 20
