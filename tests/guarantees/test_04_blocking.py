"""Guarantee 4: blocking tools do not block the protocol.

"100 blocked sync tools: a ping, a cancel and an async tool are still answered at once (threads
for tools have a limiter of their own)."
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .harness import ERAS, HANDSHAKE, PROMPT, STATELESS, Wire, cancelled, serving, text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


async def counts_until(wire: Wire, fits: Callable[[dict[str, int]], bool]) -> dict[str, int]:
    """Ask until the numbers fit; each answer must come at once."""
    for attempt in range(10_000):
        answer = await wire.ask(HANDSHAKE.call(f"counts {attempt}", "counts"), PROMPT)
        counts: dict[str, Any] = answer["result"]["structuredContent"]
        if fits(counts):
            return counts
    raise AssertionError(f"never came to pass: {counts}")


async def test_a_hundred_blocked_tools(tmp_path: Path) -> None:
    async with serving("blocking", "stdio", tmp_path) as peer:
        program, wire = peer.program, peer.wire
        for number in range(100):
            await wire.send(ERAS[number % 2].call(number, "block"))
        counts = await counts_until(wire, lambda now: now["threads"] == 40)
        assert counts["open"] == 101

        for each in ERAS:
            await wire.ask(each.ping("ping"), PROMPT)
            answer = await wire.ask(each.call("own", "own_thread"), PROMPT)
            assert text_of(answer) == "from a thread"

        # An asynchronous tool starts, and is cancelled.
        await wire.send(HANDSHAKE.call("hang", "hang"))
        await program.stderr.wait("hang began", within=PROMPT)
        await wire.send(cancelled("hang"))
        await program.stderr.wait("hang finally", within=PROMPT)

        # Of the blocked ones, 30 are cancelled: neither those in threads nor those waiting for
        # one are ever answered, and the threads that go on are counted. Which of them have got a
        # thread is up to Trio, but some of every third have.
        gone = range(0, 90, 3)
        await wire.send(*(cancelled(number) for number in gone))
        await counts_until(wire, lambda now: now["open"] == 71 and now["abandoned"] > 0)

        await wire.send(STATELESS.call("go", "let_go"))
        left = [number for number in range(100) if number not in gone]
        answers = await wire.answers("go", *left, within=PROMPT + PROMPT)
        assert all(text_of(answers[number]) == "let go" for number in left)
        counts = await counts_until(wire, lambda now: now["threads"] == 0)
        assert counts["abandoned"] == 0

        await program.close_stdin()
        assert await wire.receive_all() == []
        assert (await program.wait_exit(PROMPT))[0] == 0


async def test_blocked_threads_do_not_keep_the_process(tmp_path: Path) -> None:
    async with serving("blocking", "stdio", tmp_path) as peer:
        program, wire = peer.program, peer.wire
        await wire.send(*(HANDSHAKE.call(number, "block") for number in range(100)))
        await counts_until(wire, lambda now: now["threads"] == 40)
        await program.close_stdin()
        status, _ = await program.wait_exit(within=0.2 + PROMPT)
        assert status == 0
