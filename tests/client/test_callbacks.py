"""Callbacks, async or not: what they do never keeps a call beyond its deadline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.spec.harness import ERAS, STATELESS, Message, facing, notification, result
from trimcp import Context, ProtocolViolation, RequestTimeout, Server, open_client
from trimcp.types import TextContent

if TYPE_CHECKING:
    from trio.testing import MockClock

LOG = notification("notifications/message", {"level": "info", "data": "x"})


def answered(asked: Message, **more: Any) -> Message:
    return result(asked, {"resultType": "complete", "content": [], **more})


async def test_a_log_callback_may_call_from_a_child_task(autojump_clock: MockClock) -> None:
    done = []

    async def on_log(_: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
        done.append(trio.current_time())

    async def call() -> None:
        await to.client.call_tool("inner", timeout=5)

    async with facing(STATELESS, logging=on_log) as to:
        began = trio.current_time()
        later = to.start(to.client.call_tool, "outer", timeout=5)
        outer = await to.line.receive()
        await to.line.send(LOG, answered(outer))
        inner = await to.line.receive()
        await to.line.send(answered(inner))
        await later.get()
        assert done == [began]


async def test_a_callback_that_does_not_end_keeps_no_call_beyond_its_deadline(
    autojump_clock: MockClock,
) -> None:
    """Its answer is there, so it is given back."""

    async def on_log(_: Any) -> None:
        await trio.sleep_forever()

    async with facing(STATELESS, logging=on_log) as to:
        began = trio.current_time()
        later = to.start(to.client.call_tool, "x", timeout=5)
        asked = await to.line.receive()
        await to.line.send(LOG, answered(asked))
        await later.get()
        assert trio.current_time() - began == pytest.approx(5)


async def test_logs_before_an_answer_are_delivered_before_it(autojump_clock: MockClock) -> None:
    heard = []

    async def on_log(said: Any) -> None:
        await trio.sleep(2)
        heard.append(said.data)

    async with facing(STATELESS, logging=on_log) as to:
        later = to.start(to.client.call_tool, "x", timeout=5)
        asked = await to.line.receive()
        await to.line.send(LOG, answered(asked))
        await later.get()
        assert heard == ["x"]


async def test_a_task_that_outlives_its_callback_waits_like_any_other(
    autojump_clock: MockClock,
) -> None:
    heard = []
    again = trio.Event()

    async def on_log(said: Any) -> None:
        if not heard:
            to.nursery.start_soon(call)
        heard.append(said.data)
        await trio.sleep(1)

    async def call() -> None:
        await again.wait()
        await to.client.call_tool("later", timeout=5)
        heard.append("answered")

    async with facing(STATELESS, logging=on_log) as to:
        await to.line.send(LOG)
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(2)
        again.set()
        asked = await to.line.receive()
        await to.line.send(LOG, answered(asked))
        await trio.sleep(3)
        assert heard == ["x", "x", "answered"]


async def test_rounds_of_questions_share_one_deadline(autojump_clock: MockClock) -> None:
    question = {"method": "roots/list"}

    async with facing(STATELESS, roots=["/tmp"]) as to:
        began = trio.current_time()
        later = to.start(to.client.call_tool, "x", timeout=10)
        for _ in range(2):
            asked = await to.line.receive()
            await trio.sleep(4)
            more = {"resultType": "input_required", "inputRequests": {"q": question}}
            await to.line.send(result(asked, {**more, "requestState": "s"}))
        await later.fails(RequestTimeout)
        assert trio.current_time() - began == pytest.approx(10)


# -- callbacks that are not async -----------------------------------------------------------------


def serving() -> Server[Any]:
    server: Server[Any] = Server("callbacks")

    @server.tool
    async def report(ctx: Context) -> str:
        await ctx.report_progress(1, 2, "half")
        await ctx.info("said")
        return "done"

    @server.tool
    async def ask(ctx: Context) -> list[str]:
        roots = await ctx.list_roots()
        sampled = await ctx.sample("hello", max_tokens=5)
        assert isinstance(sampled.content[0], TextContent)
        return [roots[0].uri, sampled.content[0].text]

    return server


@pytest.mark.parametrize("revision", ERAS)
async def test_callbacks_need_not_be_async(revision: str, autojump_clock: MockClock) -> None:
    said: list[Any] = []
    async with open_client(
        serving(),
        revision=revision,
        logging=lambda message: said.append(message.data),
        log_level="info",
        roots=lambda: ["/tmp/x"],
        sampling=lambda _: "hi",
        elicitation=lambda _: None,
        url_elicitation=lambda _: True,
    ) as client:
        client.on_notification("notifications/x", said.append)
        await client.call_tool("report", progress=lambda *seen: said.append(seen))
        assert len(said) == 2
        assert (1, 2, "half") in said
        assert "said" in said
        asked = await client.call_tool("ask")
        assert asked.structured_content is not None
        assert "file:///tmp/x" in asked.text
        assert "hi" in asked.text


# -- chunks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", ["1e999", "-1e999", '"\\ud800"', "1" * 5000])
async def test_a_chunk_that_cannot_be_read_fails_its_call_alone(
    chunk: str, autojump_clock: MockClock
) -> None:
    async with facing(STATELESS, probe_timeout=3) as to:

        async def stream() -> None:
            async with to.client.stream_tool("x", timeout=50) as chunks:
                async for _ in chunks:
                    pass

        later = to.start(stream)
        other = to.start(to.client.call_tool, "other", timeout=50)
        calls = [await to.line.receive(), await to.line.receive()]
        [asked] = [each for each in calls if each["params"]["name"] == "x"]
        [rest] = [each for each in calls if each["params"]["name"] == "other"]
        token = asked["params"]["_meta"]["progressToken"]
        params = {"progressToken": token, "progress": 1, "_meta": {"io.trimcp/chunk": "CHUNK"}}
        progress = json.dumps(notification("notifications/progress", params)) + "\n"
        progress = progress.replace('"CHUNK"', chunk)
        began = trio.current_time()
        await to.line.send_bytes(progress.encode())
        await trio.testing.wait_all_tasks_blocked()
        await to.line.send(answered(rest))
        await other.get()
        if chunk.endswith("1e999"):
            await later.fails(ProtocolViolation)
        assert trio.current_time() == began
        to.nursery.cancel_scope.cancel()
