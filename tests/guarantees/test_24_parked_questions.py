"""Guarantee 24: parked questions are bounded.

"`await ctx.elicit` never answered: the frame's `finally` runs at its deadline, at shutdown, and
when the bound is exceeded; a forged, expired or foreign `requestState` is refused; answers of
concurrent questions never swap; with `Limits(parked=0)` a `replay=True` tool still works, and
without replay the client is told that the state is lost."
"""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING

import pytest

from .asking import Asked, Served, accept, asked, asking
from .harness import ERAS, HANDSHAKE, PROMPT, Dialect, Message, cancelled, stopwatch, text_of
from .test_01_signals import until_refused

if TYPE_CHECKING:
    from pathlib import Path

by_door = pytest.mark.parametrize("door", ["stdio", "tcp", "websocket"])
by_era = pytest.mark.parametrize("dialect", ERAS, ids=["handshake", "stateless"])

#: A grace that no test lives to see the end of.
LONG = 600


async def ask_once(served: Served, label: str) -> None:
    """Call a tool whose question is never answered, in the way of the connection's era."""
    caller = served.caller
    if caller.dialect is HANDSHAKE:
        await caller.start("ask", label=label)
        assert (await caller.wire.receive())["method"] == "elicitation/create"
    else:
        await caller.ask("ask", label=label)


async def hears_finally(served: Served, label: str) -> None:
    assert served.program is not None
    await served.program.stderr.wait(f"{label} finally", within=PROMPT)


def said(served: Served) -> list[str]:
    assert served.program is not None
    return served.program.stderr.seen


# -- the end of waiting -------------------------------------------------------------------------


@by_era
@by_door
async def test_the_deadline(door: str, dialect: Dialect, tmp_path: Path) -> None:
    async with asking(door, tmp_path, dialect=dialect, seconds=0.5) as served:
        with stopwatch() as elapsed:
            await ask_once(served, "first")
            await hears_finally(served, "first")
        assert 0.4 < elapsed() < 0.5 + PROMPT
        if dialect is HANDSHAKE:
            # Its question is taken back, and the call has an answer.
            assert (await served.caller.wire.receive())["method"] == "notifications/cancelled"
            answer = await served.caller.wire.answer("call 1")
            assert "error" in answer or answer["result"]["isError"]
        assert await served.caller.parked() == 0


@by_era
@by_door
async def test_a_signal(door: str, dialect: Dialect, tmp_path: Path) -> None:
    """A parked handler goes at once; a call of the handshake era has its grace."""
    grace = 0.5 if dialect is HANDSHAKE else LONG
    async with asking(door, tmp_path, dialect=dialect, grace=grace) as served:
        for label in ("one", "two"):
            await ask_once(served, label)
        assert served.program is not None
        served.program.signal(signal.SIGTERM)
        status, _ = await served.program.wait_exit(0.5 + PROMPT)
        assert status == 0
        await served.program.stderr.wait("one finally", "two finally", "lifespan left")
        lines = said(served)
        assert lines.index("one finally") < lines.index("lifespan left")


@by_door
async def test_an_answer_during_the_grace(door: str, tmp_path: Path) -> None:
    """Handshake era: the question was asked before, so its answer is heard and the call ends."""
    async with asking(door, tmp_path, dialect=HANDSHAKE, grace=LONG) as served:
        wire = served.caller.wire
        await served.caller.start("ask", label="one")
        question = await wire.receive()
        assert served.program is not None
        served.program.signal(signal.SIGTERM)
        await until_refused(wire)
        await wire.send({"jsonrpc": "2.0", "id": question["id"], "result": accept("yes")})
        assert text_of(await wire.answer("call 1", PROMPT)) == "yes"
        assert (await served.program.wait_exit(PROMPT))[0] == 0


@by_era
@by_door
async def test_the_client_goes(door: str, dialect: Dialect, tmp_path: Path) -> None:
    """The end of its input is the end of its answers, on standard streams too."""
    async with asking(door, tmp_path, dialect=dialect) as served:
        await ask_once(served, "left")
        await served.caller.wire.sending.aclose()
        await hears_finally(served, "left")


@by_door
async def test_over_the_bound(door: str, tmp_path: Path) -> None:
    """Who has waited longest goes, and is told so; the others go on."""
    async with asking(door, tmp_path, parked=3) as served:
        caller = served.caller
        waiting: list[Asked] = []
        for number in range(8):
            waiting.append(await caller.ask("ask", label=f"call {number}"))
            assert await caller.parked() <= 3
        for number in range(5):
            await hears_finally(served, f"call {number}")
        for each in waiting[:5]:
            assert "state lost" in await caller.refused(each)
        assert "call 5 finally" not in said(served)
        for each in waiting[5:]:
            [key] = each.questions
            assert text_of(await caller.retry(each, {key: accept("yes")})) == "yes"
        assert await caller.parked() == 0


@by_door
async def test_a_round_that_is_cancelled(door: str, tmp_path: Path) -> None:
    """A call of the handshake era that is cancelled while it asks takes its question back."""
    async with asking(door, tmp_path, dialect=HANDSHAKE) as served:
        await ask_once(served, "left")
        await served.caller.wire.send(cancelled("call 1"))
        await hears_finally(served, "left")
        assert (await served.caller.wire.receive())["method"] == "notifications/cancelled"
        assert await served.caller.parked() == 0


# -- states that will not do --------------------------------------------------------------------


@by_door
async def test_forged(door: str, tmp_path: Path) -> None:
    """Changed anywhere, cut, put together of two, or made up."""
    chance = random.Random(24)
    async with asking(door, tmp_path) as served:
        caller = served.caller
        one = await caller.ask("ask", label="one")
        two = await caller.ask("ask", label="two")
        state, half = one.state, len(one.state) // 2
        forged = ["", "AAAA", "=", "é", state[:-8], state[half:], state[:half] + two.state[half:]]
        for _ in range(100):
            at = chance.randrange(len(state) - 4)
            other = "A" if state[at] != "A" else "B"
            forged.append(state[:at] + other + state[at + 1 :])
        for text in forged:
            assert "not issued" in await caller.refused(one, requestState=text), text
        # The real one is as good as it was.
        [key] = one.questions
        assert text_of(await caller.retry(one, {key: accept("yes")})) == "yes"


@by_door
async def test_expired(door: str, tmp_path: Path) -> None:
    """Though the tool could run again, and the answer is here."""
    async with asking(door, tmp_path, seconds=0.3) as served:
        first = await served.caller.ask("ask_twice", label="late")
        await hears_finally(served, "late")
        assert "expired" in await served.caller.refused(first)


@by_door
async def test_foreign(door: str, tmp_path: Path) -> None:
    """For another tool, for other arguments, or of another server."""
    async with asking(door, tmp_path, keys=["a key of this server"]) as served:
        caller = served.caller
        one = await caller.ask("ask", label="one")
        for other in ({"name": "ask_by_returning"}, {"arguments": {"label": "two"}}):
            assert "another request" in await caller.refused(one, **other)
        assert await caller.parked() == 1
        path = tmp_path / "other"
        path.mkdir()
        async with asking(door, path, keys=["a key of that server"]) as elsewhere:
            assert "not issued" in await elsewhere.caller.refused(one)
            mine = await elsewhere.caller.ask("ask_twice", label="mine")
        assert "not issued" in await caller.refused(mine)
        [key] = one.questions
        assert text_of(await caller.retry(one, {key: accept("yes")})) == "yes"


# -- answers and questions ------------------------------------------------------------------------


def the_right_answer(text: str, key: str) -> Message:
    return accept(f"{text} {key}")


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("parked", [1000, 0], ids=["parked", "replayed"])
async def test_answers_never_swap(parked: int, seed: int, tmp_path: Path) -> None:
    """Two calls with ten questions each; any part of them answered, in any order."""
    chance = random.Random(seed)
    async with asking("stdio", tmp_path, parked=parked) as served:
        caller = served.caller
        waiting = [await caller.ask("ask_many", label=label, count=10) for label in ("a", "b")]
        while waiting:
            each = waiting.pop(chance.randrange(len(waiting)))
            keys = chance.sample(sorted(each.questions), chance.randint(1, len(each.questions)))
            given = {key: the_right_answer(each.questions[key], key) for key in keys}
            answer = await caller.retry(each, given)
            if answer["result"]["resultType"] == "input_required":
                left = asked(each.params, answer)
                assert set(left.questions) == set(each.questions) - set(keys)
                waiting.append(left)
                continue
            label = each.params["arguments"]["label"]
            assert answer["result"]["structuredContent"] == {
                f"{label} {number}": f"{label} {number}? {label} {number}"
                if number % 2
                else f"{label}? {label} {number}"
                for number in range(10)
            }


async def test_answers_never_swap_between_requests(tmp_path: Path) -> None:
    """Handshake era: a hundred questions of ten calls, answered in any order."""
    chance = random.Random(24)
    async with asking("stdio", tmp_path, dialect=HANDSHAKE) as served:
        wire = served.caller.wire
        calls = {}
        for number in range(10):
            identity, _ = await served.caller.start("ask_many", label=f"{number}", count=10)
            calls[identity] = f"{number}"
        questions = [await wire.receive() for _ in range(100)]
        chance.shuffle(questions)
        for each in questions:
            text = accept(each["params"]["message"])
            await wire.send({"jsonrpc": "2.0", "id": each["id"], "result": text})
        for identity, answer in (await wire.answers(*calls)).items():
            label = calls[identity]
            assert answer["result"]["structuredContent"] == {
                f"{label} {number}": f"{label} {number}?" if number % 2 else f"{label}?"
                for number in range(10)
            }


# -- nobody waits -------------------------------------------------------------------------------


@by_door
async def test_without_waiting(door: str, tmp_path: Path) -> None:
    """`Limits(parked=0)`: what can run again does; the rest says that it cannot."""
    async with asking(door, tmp_path, parked=0) as served:
        caller = served.caller
        lost = await caller.ask("ask", label="lost")
        await hears_finally(served, "lost")
        assert await caller.parked() == 0
        assert "state lost" in await caller.refused(lost)

        each = await caller.ask("ask_twice", label="kept")
        for number in range(2):
            await hears_finally(served, "kept")
            assert await caller.parked() == 0
            [(key, text)] = each.questions.items()
            assert text == f"kept {number}?"
            answer = await caller.retry(each, {key: accept(f"answer {number}")})
            if number == 0:
                each = asked(each.params, answer)
        assert text_of(answer) == "answer 0 answer 1"

        returned = await caller.ask("ask_by_returning", label="returned")
        assert text_of(await caller.retry(returned, {"answer": accept("yes")})) == "yes"


@by_door
async def test_after_a_restart_without_replay(door: str, tmp_path: Path) -> None:
    """The state is good, the handler is gone: the client is told to begin again."""
    keys = ["a key that both of them have"]
    async with asking(door, tmp_path, keys=keys) as served:
        lost = await served.caller.ask("ask", label="lost")
    async with asking(door, tmp_path, keys=keys) as served:
        assert "state lost" in await served.caller.refused(lost)
        again = await served.caller.ask("ask", label="again")
        [key] = again.questions
        assert text_of(await served.caller.retry(again, {key: accept("yes")})) == "yes"
