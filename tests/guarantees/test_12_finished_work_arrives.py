"""Guarantee 12: finished work arrives.

"Shutdown with a call in flight that ends inside the grace period: the client has the result."
"""

from __future__ import annotations

import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import RequestError, open_tcp_client, open_unix_client

from .harness import (
    ERAS,
    PATIENCE,
    PROMPT,
    STATELESS,
    Dialect,
    Program,
    command,
    connect_to,
    opened,
    started,
    stream_wire,
)
from .test_01_signals import until_refused as until_wire_refuses

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trimcp import Client

by_era = pytest.mark.parametrize("dialect", ERAS, ids=["handshake", "stateless"])

#: A grace that no test lives to see the end of.
LONG = 600

SHUTTING_DOWN = -31002


async def shut_down(program: Program, way: str) -> None:
    """In one of the three ways that there are."""
    if way != "shutdown":
        program.signal(signal.Signals[way])
        return
    async with stream_wire(await connect_to("tcp", await program.port())) as control:
        await control.send(STATELESS.call("down", "shut_down", {"grace": LONG}))
        await control.receive_all()


async def until_refused(client: Client) -> None:
    """Ask until the server refuses: the signal may take a moment to arrive."""
    code = 0
    with trio.fail_after(PATIENCE):
        while not code:
            try:
                await client.list_tools()
            except RequestError as error:
                code = error.code
    assert code == SHUTTING_DOWN


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "shutdown"])
@pytest.mark.parametrize("door", ["stdio", "tcp", "unix", "websocket"])
async def test_on_the_wire(door: str, way: str, tmp_path: Path) -> None:
    """Every call that ends in time is answered, in both eras, and nothing else is said."""
    path = tmp_path / "socket"
    argv = command("notifying", door, "--path", path, "--grace", LONG)
    async with started(argv) as program, opened(program, door, path) as wire:
        await wire.shake_hands()
        labels = [f"{each.revision} {number}" for each in ERAS for number in range(10)]
        for label in labels:
            dialect = next(each for each in ERAS if label.startswith(each.revision))
            await wire.send(dialect.call(label, "until_released", {"label": label}))
        await program.stderr.wait(*[f"{label} began" for label in labels])
        await shut_down(program, way)
        await until_wire_refuses(wire)
        program.signal(signal.SIGUSR1)
        answers = await wire.answers(*labels, within=PROMPT)
        for label, answer in answers.items():
            assert answer["result"]["content"][0]["text"] == f"{label} released"
        assert await wire.receive_all(PROMPT) == []
        assert (await program.wait_exit(PROMPT))[0] == 0


@asynccontextmanager
async def client_of(
    program: Program, door: str, path: Path, dialect: Dialect
) -> AsyncIterator[Client]:
    port = await program.port()
    if door == "unix":
        opening = open_unix_client(path, revision=dialect.revision)
    else:
        opening = open_tcp_client("127.0.0.1", port, revision=dialect.revision)
    async with opening as client:
        yield client


@by_era
@pytest.mark.parametrize("door", ["tcp", "unix"])
async def test_our_client_has_the_result(door: str, dialect: Dialect, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    argv = command("notifying", door, "--path", path, "--grace", LONG)
    async with (
        started(argv) as program,
        client_of(program, door, path, dialect) as client,
        trio.open_nursery() as nursery,
    ):
        results: list[str] = []
        done = trio.Event()

        async def call(label: str) -> None:
            results.append((await client.call_tool("until_released", {"label": label})).text)
            if len(results) == 5:
                done.set()

        for number in range(5):
            nursery.start_soon(call, f"call {number}")
        await program.stderr.wait(*[f"call {number} began" for number in range(5)])
        program.signal(signal.SIGTERM)
        await until_refused(client)
        assert results == []
        program.signal(signal.SIGUSR1)
        with trio.fail_after(PROMPT):
            await done.wait()
        assert sorted(results) == [f"call {number} released" for number in range(5)]


@by_era
async def test_large_results_arrive_whole(dialect: Dialect) -> None:
    """More than the pipe and the sockets hold: the writer gets its time too."""
    argv = command("flooding", "stdio", "--grace", LONG)
    size = 5_000_000
    async with started(argv) as program:
        await program.shake_hands()
        await program.send(dialect.call("big", "big", {"size": size}))
        # The first of it is there, so the call is done and its answer is being written.
        first = bytes(await program.receiving.receive_some(1))
        program.signal(signal.SIGTERM)
        whole = bytearray(first)
        with trio.fail_after(PATIENCE):
            while data := await program.receiving.receive_some():
                whole += data
        assert whole.count(b"\n") == 1
        assert len(whole) > size
        assert (await program.wait_exit(PROMPT))[0] == 0
