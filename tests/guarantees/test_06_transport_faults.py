"""Guarantee 6: a transport fault stays where it is.

"One dropped TCP connection fails that one HTTP call with a typed error that has a cause; its
siblings finish; the client goes on." A call of the handshake era whose answer has begun is resumed.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import ConnectionLost, open_http_client

from .harness import ERAS, PATIENCE, Dialect
from .relay import relayed
from .test_over_http import over_http

if TYPE_CHECKING:
    from trimcp.client import Client

NAMES = ("victim", "left", "right")


def text(result: Any) -> str:
    found: str = result.content[0].text
    return found


@pytest.mark.parametrize("dialect", ERAS, ids=["handshake", "stateless"])
async def test_one_dropped_connection_fails_one_call(dialect: Dialect) -> None:
    ended: dict[str, str | ConnectionLost] = {}

    async def call(client: Client, label: str) -> None:
        try:
            ended[label] = text(await client.call_tool("until_released", {"label": label}))
        except ConnectionLost as error:
            ended[label] = error
            failed.set()

    failed = trio.Event()
    async with (
        over_http("waiting") as (program, web),
        relayed(web.port) as relay,
        open_http_client(f"http://127.0.0.1:{relay.port}/mcp", revision=dialect.revision) as client,
    ):
        await program.stderr.wait("release armed")
        async with trio.open_nursery() as nursery:
            for name in NAMES:
                nursery.start_soon(call, client, name)
            await program.stderr.wait(*(f"{name} began" for name in NAMES))
            assert relay.cut(b'"victim"') == 1
            with trio.fail_after(PATIENCE):
                await failed.wait()
            assert list(ended) == ["victim"]
            program.signal(signal.SIGUSR1)
        assert text(await client.call_tool("add", {"a": 2, "b": 3})) == "5"
    error = ended.pop("victim")
    assert isinstance(error, ConnectionLost)
    assert error.__cause__ is not None
    assert ended == {"left": "left released", "right": "right released"}


async def test_a_call_whose_answer_has_begun_is_resumed() -> None:
    reported = trio.Event()
    results: list[str] = []

    def progress(done: float, total: float | None, message: str | None) -> None:
        reported.set()

    async def call(client: Client) -> None:
        result = await client.call_tool("released_after_progress", progress=progress)
        results.append(text(result))

    async with (
        over_http("waiting") as (program, web),
        relayed(web.port) as relay,
        open_http_client(f"http://127.0.0.1:{relay.port}/mcp", revision="handshake") as client,
    ):
        await program.stderr.wait("release armed")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, client)
            with trio.fail_after(PATIENCE):
                await reported.wait()
            assert relay.cut(b'"released_after_progress"') == 1
            program.signal(signal.SIGUSR1)
    assert results == ["released"]
