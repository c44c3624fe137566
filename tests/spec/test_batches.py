"""Overview, Batching (2025-03-26)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio.testing

from trimcp import Context, Server

from .harness import (
    REVISIONS,
    STATELESS,
    Line,
    Message,
    code_of,
    facing,
    initialized,
    notification,
    request,
    result,
    talking,
    text_of,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

BATCHES = "2025-03-26"


def example() -> Server[Any]:
    server = Server[Any]("example")

    @server.tool
    async def echo(text: str) -> str:
        return text

    @server.tool
    async def revision(ctx: Context) -> str:
        return ctx.revision

    return server


async def test_the_server_takes_batches(autojump_clock: MockClock) -> None:
    """BATCH-01: requests, notifications and what is malformed, answered in one array."""
    async with talking(example(), BATCHES) as script:
        calls = [script.calling("echo", {"text": str(turn)}) for turn in range(3)]
        heard = notification("notifications/unheard-of")
        await script.send([calls[0], heard, calls[1], 5, calls[2]])  # type: ignore[list-item]
        answers: list[Message] = await script.receive()
        assert {each["id"]: text_of(each) for each in answers if "result" in each} == {
            call["id"]: str(turn) for turn, call in enumerate(calls)
        }
        assert [code_of(each) for each in answers if "error" in each] == [-32600]
        await script.expect_silence()


async def test_a_batch_of_notifications(autojump_clock: MockClock) -> None:
    """BATCH-01: has no answer."""
    async with talking(example(), BATCHES) as script:
        await script.send([notification("notifications/unheard-of")] * 3)
        await script.expect_silence()


async def test_the_client_takes_batches(autojump_clock: MockClock) -> None:
    """BATCH-01: answers and requests, mixed; its own answers come in one array."""
    async with facing(BATCHES) as to:
        calls = [to.start(to.client.call_tool, "echo") for _ in range(2)]
        asked = [await to.line.receive() for _ in calls]
        answers = [result(each, {"content": []}) for each in asked]
        await to.line.send([*answers, request("a", "ping"), request("b", "ping")])
        pongs = await to.line.receive()
        assert sorted(each["id"] for each in pongs) == ["a", "b"]
        for call in calls:
            await call.get()


async def test_initialize_is_not_part_of_a_batch(autojump_clock: MockClock) -> None:
    """BATCH-02: neither before there is a session nor in one."""
    params = {
        "protocolVersion": BATCHES,
        "capabilities": {},
        "clientInfo": {"name": "script", "version": "1"},
    }
    async with talking(example(), BATCHES, opened=False) as script:
        await script.send([request("initialize", "initialize", params)])
        assert code_of(await script.receive()) == -32600
        await script.shake_hands()
        await script.send([request("again", "initialize", params), script.calling("revision")])
        refused, served = sorted(await script.receive(), key=lambda each: str(each["id"]))
        assert (refused["id"], code_of(refused)) == ("again", -32600)
        assert text_of(served) == BATCHES


async def test_the_client_sends_initialize_alone(autojump_clock: MockClock) -> None:
    """BATCH-02: and everything else too."""
    lines: list[bytes] = []

    async def welcome(line: Line) -> None:
        lines.append(await line.receive_bytes())
        await line.send(result({"id": 1}, initialized(BATCHES)))
        lines.append(await line.receive_bytes())

    async with facing(BATCHES, welcome=welcome, revision=BATCHES) as to:
        for _ in range(2):
            to.start(to.client.list_tools)
        await trio.testing.wait_all_tasks_blocked()
        lines += [await to.line.receive_bytes() for _ in range(2)]
    assert [line[:1] for line in lines] == [b"{"] * 4


@pytest.mark.parametrize("revision", [each for each in REVISIONS if each != BATCHES])
async def test_no_batches_elsewhere(revision: str, autojump_clock: MockClock) -> None:
    """LIFE-13: a line holds one message in all other revisions."""
    async with talking(example(), revision) as script:
        await script.send([script.calling("echo", {"text": "x"})])
        answer = await script.receive()
        assert code_of(answer) == -32600
        assert answer.get("id") is None
        # A request of the stateless era does not become a batch by an older session either.
        if revision != STATELESS:
            await script.expect_silence()
