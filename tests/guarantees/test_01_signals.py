"""Guarantee 1: signals end a server cleanly.

"stdio server, stdin open, a call in flight that would never end: one SIGINT, or one SIGTERM,
lets it drain for the grace period (stdio 0.5 s), cancels handlers (their `finally` runs), leaves
the lifespans and ends the process within a second after; the same for TCP, WebSocket […] with
their grace; a second signal cancels at once."
"""

from __future__ import annotations

import itertools
import signal
from typing import TYPE_CHECKING

import pytest
import trio

from .harness import ERAS, HANDSHAKE, PATIENCE, PROMPT, STATELESS, Wire, command, serving, started

if TYPE_CHECKING:
    from pathlib import Path

SIGNALS = [signal.SIGINT, signal.SIGTERM]
DOORS = ["stdio", "tcp", "unix", "websocket", "http"]

#: A grace that no test lives to see the end of.
LONG = ("--grace", 600)

SHUTTING_DOWN = -31002


async def until_refused(wire: Wire) -> None:
    """Ask until the server refuses: the signal may take a moment to arrive."""
    with trio.fail_after(PATIENCE):
        for identity in itertools.count():
            answer = await wire.ask(STATELESS.ping(identity), PROMPT)
            if "error" in answer:
                assert answer["error"]["code"] == SHUTTING_DOWN
                return


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("door", DOORS)
async def test_drains_cancels_and_ends(door: str, number: signal.Signals, tmp_path: Path) -> None:
    # The default of stdio is 0.5 s, elsewhere it is 5 s: too long to wait for it in every test.
    given = () if door == "stdio" else ("--grace", 0.5)
    async with serving("waiting", door, tmp_path, *given) as peer:
        program = peer.program
        for each in ERAS:
            await peer.wire.send(each.call(each.revision, "hang", {"label": each.revision}))
        await peer.wire.send(HANDSHAKE.call("thread", "hang_in_thread", {"label": "thread"}))
        await program.stderr.wait("2025-11-25 began", "2026-07-28 began", "thread began")

        program.signal(number)
        status, seconds = await program.wait_exit(within=0.5 + PROMPT)

        assert status == 0
        assert seconds > 0.4, "the calls in flight were given no time"
        await program.stderr.wait("lifespan left")
        said = program.stderr.seen
        for each in ERAS:
            assert f"{each.revision} cancelled" in said
            assert said.index(f"{each.revision} finally") < said.index("on_shutdown")
        assert said.index("on_shutdown") < said.index("lifespan left")
        assert not any("Traceback" in text for text in said), said


@pytest.mark.parametrize(
    ("door", "number"),
    [("stdio", signal.SIGTERM), ("tcp", signal.SIGINT), ("websocket", signal.SIGTERM)],
    ids=["stdio", "tcp", "websocket"],
)
async def test_what_ends_in_time_is_answered(
    door: str, number: signal.Signals, tmp_path: Path
) -> None:
    async with serving("waiting", door, tmp_path, *LONG) as peer:
        program, wire = peer.program, peer.wire
        await program.stderr.wait("release armed")
        for each in ERAS:
            await wire.send(each.call(each.revision, "until_released", {"label": each.revision}))
        await program.stderr.wait("2025-11-25 began", "2026-07-28 began")

        program.signal(number)
        # Whatever is asked from now on is refused.
        await until_refused(wire)
        refused = await wire.ask(HANDSHAKE.call("late", "moment", {"seconds": 0}), PROMPT)
        assert refused["error"]["code"] == SHUTTING_DOWN

        # The calls in flight go on.
        program.signal(signal.SIGUSR1)
        answers = await wire.answers("2025-11-25", "2026-07-28", within=PROMPT)
        for revision, answer in answers.items():
            assert answer["result"]["content"][0]["text"] == f"{revision} released"
        assert await wire.receive_all(PROMPT) == []
        status, _ = await program.wait_exit(PROMPT)
        assert status == 0


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("door", ["stdio", "tcp", "websocket"])
async def test_idle_server_ends_at_once(door: str, number: signal.Signals, tmp_path: Path) -> None:
    async with serving("waiting", door, tmp_path, *LONG) as peer:
        peer.program.signal(number)
        status, _ = await peer.program.wait_exit(PROMPT)
        assert status == 0
        await peer.program.stderr.wait("on_shutdown", "lifespan left")


@pytest.mark.parametrize(
    ("door", "first", "second"),
    [
        ("stdio", signal.SIGTERM, signal.SIGINT),
        ("tcp", signal.SIGINT, signal.SIGINT),
        ("websocket", signal.SIGINT, signal.SIGTERM),
    ],
    ids=["stdio", "tcp", "websocket"],
)
async def test_second_signal_cancels_at_once(
    door: str, first: signal.Signals, second: signal.Signals, tmp_path: Path
) -> None:
    async with serving("waiting", door, tmp_path, *LONG) as peer:
        program, wire = peer.program, peer.wire
        await wire.send(HANDSHAKE.call("hang", "hang", {"label": "hang"}))
        await program.stderr.wait("hang began")
        program.signal(first)
        # Signals that arrive together are one: wait until the first has been noticed.
        await until_refused(wire)
        assert "hang cancelled" not in program.stderr.seen

        program.signal(second)
        status, _ = await program.wait_exit(PROMPT)
        assert status == 0
        await program.stderr.wait("hang finally", "on_shutdown", "lifespan left")


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
async def test_the_shortest_program(number: signal.Signals) -> None:
    """`trio.run(server.serve_stdio)`: no traceback, nothing said at all."""
    async with started(command("plain")) as program:
        await program.shake_hands()
        await program.send(STATELESS.call("moment", "moment", {"seconds": 600}))
        await program.ask(HANDSHAKE.ping("ping"))
        program.signal(number)
        # The default grace of stdio is half a second.
        assert (await program.wait_exit(within=0.5 + PROMPT))[0] == 0
        assert await program.stderr.whole() == ""


# -- before the server has started, and while it cleans up ------------------------------------


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("door", ["stdio", "tcp", "http", "application"])
async def test_a_signal_while_the_lifespan_is_entered(door: str, number: signal.Signals) -> None:
    async with started(command("lifespans", door, "entering")) as program:
        await program.stderr.wait("at entering")
        program.signal(number)
        assert (await program.wait_exit(PROMPT))[0] == 0
        await program.stderr.wait("lifespan left")
        assert "Traceback" not in await program.stderr.whole()


@pytest.mark.parametrize("door", ["stdio", "tcp"])
@pytest.mark.parametrize("stage", ["on_startup", "bus"])
async def test_a_signal_while_the_server_starts(door: str, stage: str) -> None:
    async with started(command("lifespans", door, stage)) as program:
        await program.stderr.wait(f"at {stage}")
        program.signal(signal.SIGTERM)
        assert (await program.wait_exit(PROMPT))[0] == 0
        # What was entered is left in peace.
        await program.stderr.wait("closed", "cleaned up", "lifespan left")
        assert "Traceback" not in await program.stderr.whole()


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("stage", ["on_shutdown", "leaving"])
@pytest.mark.parametrize("ended_by", ["the end of input", "a signal"])
async def test_a_signal_while_the_server_cleans_up(
    ended_by: str, stage: str, number: signal.Signals
) -> None:
    async with started(command("lifespans", "stdio", stage)) as program:
        await program.stderr.wait("listening None")
        if ended_by == "a signal":
            program.signal(number)
        else:
            await program.close_stdin()
        await program.stderr.wait(f"at {stage}")
        if ended_by != "a signal":
            # The first one lets it clean up.
            program.signal(number)
            program.signal(signal.SIGUSR1)
            await program.stderr.wait("released")
        else:
            # The second one does not.
            program.signal(number)
        assert (await program.wait_exit(PROMPT))[0] == 0
        await program.stderr.wait("lifespan left")
        said = await program.stderr.whole()
        assert ("released" in said) == (ended_by != "a signal")
        assert "Traceback" not in said
