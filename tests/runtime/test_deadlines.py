"""Deadlines stand still while the other side waits for an answer to its question.

Time in which a question is open belongs to whoever answers it: it counts neither for a call whose
server asks meanwhile, nor for the timeout of a tool that asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.test_parking import Text
from tests.spec.harness import facing, request
from tests.strategies import examples
from trimcp import Context, RequestTimeout, Server, open_memory_client
from trimcp.protocol import LATEST, LATEST_HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trimcp.types import ElicitRequestFormParams

FORM = {"requestedSchema": {"type": "object", "properties": {}}}

#: When a question is asked, and after how many seconds it is answered.
questions = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), max_size=4)
#: When a call is made, and its timeout: never at the same moment as anything else.
calls = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 30).map(lambda seconds: seconds + 0.5)),
    min_size=1,
    max_size=4,
)


def run(main: Callable[[], Awaitable[Any]]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def outside(spans: Iterable[tuple[float, float]], began: float, ended: float) -> float:
    """How much of a time lies in none of these spans."""
    covered, until = 0.0, began
    for begin, end in sorted(spans):
        begin, end = max(begin, until), min(end, ended)
        if begin < end:
            covered, until = covered + end - begin, end
    return ended - began - covered


@examples(50)
@given(questions, calls)
def test_calls_do_not_count_the_time_of_questions(
    questions: list[tuple[int, int]], calls: list[tuple[int, float]]
) -> None:
    """Those that were made before a question, and those that are made while it is open."""
    spans: list[tuple[float, float]] = []

    async def answer(form: ElicitRequestFormParams) -> dict[str, Any]:
        began = trio.current_time()
        await trio.sleep(float(form.message))
        spans.append((began, trio.current_time()))
        return {}

    async def main() -> None:
        async with (
            facing(LATEST_HANDSHAKE.date, elicitation=answer) as to,
            trio.open_nursery() as nursery,
        ):
            failed: list[tuple[float, float, float]] = []
            turn = trio.Lock()

            async def ask(number: int, start: int, seconds: int) -> None:
                await trio.sleep(start)
                params = FORM | {"message": str(seconds)}
                async with turn:
                    await to.line.send(request(f"q{number}", "elicitation/create", params))

            async def call(start: int, timeout: float) -> None:
                await trio.sleep(start)
                began = trio.current_time()
                with pytest.raises(RequestTimeout):
                    await to.client.call_tool("x", timeout=timeout)
                failed.append((began, trio.current_time(), timeout))

            async def swallow() -> None:
                while True:
                    await to.line.receive()

            for number, question in enumerate(questions):
                nursery.start_soon(ask, number, *question)
            for each in calls:
                nursery.start_soon(call, *each)
            nursery.start_soon(swallow)
            await trio.sleep(500)
            assert len(failed) == len(calls)
            for began, ended, timeout in failed:
                assert outside(spans, began, ended) == pytest.approx(timeout)
            nursery.cancel_scope.cancel()

    run(main)


@pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])
@examples(50)
@given(questions, st.integers(0, 25).map(lambda seconds: seconds + 0.5))
def test_the_timeout_of_a_tool_does_not_count_the_time_of_its_questions(
    revision: str, questions: list[tuple[int, int]], timeout: float
) -> None:
    """Not even where several tasks of the tool ask, at the same time or one after another."""
    server = Server[Any]("asking")
    spans: list[tuple[float, float]] = []
    took: list[tuple[float, float]] = []

    @server.tool(timeout=timeout)
    async def ask(ctx: Context) -> str:
        async def one(start: int, seconds: int) -> None:
            await trio.sleep(start)
            began = trio.current_time()
            await ctx.elicit(str(seconds), Text)
            spans.append((began, trio.current_time()))

        began = trio.current_time()
        try:
            async with trio.open_nursery() as nursery:
                for question in questions:
                    nursery.start_soon(one, *question)
                await trio.sleep_forever()
        finally:
            took.append((began, trio.current_time()))
        raise AssertionError

    async def answer(form: ElicitRequestFormParams) -> dict[str, Any]:
        await trio.sleep(float(form.message))
        return {"value": ""}

    async def main() -> None:
        async with open_memory_client(server, revision=revision, elicitation=answer) as client:
            result = await client.call_tool("ask", timeout=5000)
            assert f"within {timeout:g} seconds" in result.text
        [(began, ended)] = took
        assert outside(spans, began, ended) == pytest.approx(timeout)

    run(main)
