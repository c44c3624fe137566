"""Leaving a child process: in the documented steps, whoever is cancelled."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import open_stdio_client

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds within which everything happens, however busy the machine is.
PATIENCE = 60.0

#: A server of the handshake era that writes down what it hears and how it ends.
SERVER = """
import json, signal, sys, time
said = open(sys.argv[1], "a", buffering=1)
mode = sys.argv[2]
def cleaned(*_):
    said.write("SIGTERM\\n")
    if mode == "stubborn":
        return
    time.sleep(0.6)
    said.write("cleaned up\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, cleaned)
for line in sys.stdin:
    asked = json.loads(line)
    said.write(asked["method"] + "\\n")
    print(asked["method"], file=sys.stderr, flush=True)
    if asked["method"] == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "x", "version": "1"}}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
said.write("end of input\\n")
# As much as no pipe holds: it must be read, or the server could not end.
for stream in (sys.stdout, sys.stderr):
    stream.write(("x" * 1000 + "\\n") * 200)
    stream.flush()
if mode == "polite":
    time.sleep(0.5)
    said.write("cleaned up\\n")
else:
    while True:
        time.sleep(5)
"""


async def left(tmp_path: Path, mode: str, grace: float, *, cancelled: bool) -> list[str]:
    """What a server saw, from the call on that was in flight when its client was left."""
    seen = tmp_path / "seen"
    command = [sys.executable, "-c", SERVER, str(seen), mode]
    called = trio.Event()

    def hear(line: str) -> None:
        if line == "tools/call":
            called.set()

    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        async with (
            open_stdio_client(command, revision="handshake", grace=grace, on_stderr=hear) as client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(client.call_tool, "wait")
            await called.wait()
            (scope if cancelled else nursery.cancel_scope).cancel()
    said = seen.read_text().splitlines()
    return said[said.index("tools/call") + 1 :]


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_server_that_cleans_up_at_the_end_of_its_input(
    tmp_path: Path, cancelled: bool
) -> None:
    said = await left(tmp_path, "polite", 30, cancelled=cancelled)
    assert said == ["notifications/cancelled", "end of input", "cleaned up"]


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_server_that_cleans_up_on_sigterm(tmp_path: Path, cancelled: bool) -> None:
    """It gets at least a second, however short the grace is."""
    said = await left(tmp_path, "on SIGTERM", 0.2, cancelled=cancelled)
    assert said == ["notifications/cancelled", "end of input", "SIGTERM", "cleaned up"]


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_server_that_does_not_end(tmp_path: Path, cancelled: bool) -> None:
    said = await left(tmp_path, "stubborn", 0.2, cancelled=cancelled)
    assert said == ["notifications/cancelled", "end of input", "SIGTERM"]
