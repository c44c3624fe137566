"""Guarantee 3: a client that stops reading cannot keep a server alive.

"Stop reading stdout with output pending, close stdin: the process is gone after the grace
period."
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from .harness import ERAS, HANDSHAKE, PROMPT, Dialect, serving

if TYPE_CHECKING:
    from pathlib import Path

GRACE = ("--grace", 0.3, "--eof-grace", 0.3)


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
async def test_stdin_closed_with_output_pending(dialect: Dialect, tmp_path: Path) -> None:
    async with serving("flooding", "stdio", tmp_path, *GRACE) as peer:
        program = peer.program
        await program.send(dialect.call(1, "flood", _meta={"progressToken": 1}))
        # Nothing is read from here on, and the tool finds that there is no more room.
        await program.stderr.wait("stuck")
        await program.close_stdin()
        status, _ = await program.wait_exit(within=0.3 + PROMPT)
        assert status == 0
        await program.stderr.wait("flood finally", "lifespan left")


async def test_only_the_answer_is_pending(tmp_path: Path) -> None:
    """The handler is done; what waits is its long answer, half of it in the pipe."""
    async with serving("flooding", "stdio", tmp_path, *GRACE) as peer:
        program = peer.program
        await program.send(HANDSHAKE.call(1, "big", {"size": 8_000_000}))
        await program.receiving.receive_some(1)
        await program.close_stdin()
        status, _ = await program.wait_exit(within=0.3 + PROMPT)
        assert status == 0


@pytest.mark.parametrize("door", ["stdio", "tcp", "unix", "websocket", "http"])
async def test_a_signal_with_output_pending(door: str, tmp_path: Path) -> None:
    async with serving("flooding", door, tmp_path, *GRACE) as peer:
        program = peer.program
        await peer.wire.send(HANDSHAKE.call(1, "flood", _meta={"progressToken": 1}))
        await program.stderr.wait("stuck")
        program.signal(signal.SIGTERM)
        status, _ = await program.wait_exit(within=0.3 + PROMPT)
        assert status == 0
        await program.stderr.wait("flood finally", "lifespan left")
