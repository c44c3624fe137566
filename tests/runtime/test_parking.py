"""Questions to the client: handlers that wait between two requests, and those that cannot."""

from __future__ import annotations

import functools
import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import examples
from trimcp import (
    AnswerRefused,
    CallNext,
    Context,
    InputRequired,
    Limits,
    RequestError,
    Server,
    ToolError,
    form_question,
    open_memory_client,
)
from trimcp.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    MISSING_CLIENT_CAPABILITY,
    SHUTTING_DOWN,
)
from trimcp.protocol import LATEST, LATEST_HANDSHAKE, META_PREFIX
from trimcp.transports import open_stream_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trimcp.types import ElicitRequestFormParams

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])

KEY = b"k" * 32


@dataclass
class Text:
    value: str


# -- both eras, through our own client --------------------------------------------------------


@by_era
async def test_questions_in_a_loop(revision: str, autojump_clock: object) -> None:
    server = Server("asking")
    runs = 0

    @server.tool
    async def ask(ctx: Context) -> list[str]:
        nonlocal runs
        runs += 1
        return [(await ctx.elicit(f"Number {n}?", Text)).value for n in range(2)]

    async def answer(form: ElicitRequestFormParams) -> dict[str, Any]:
        await trio.sleep(5)
        return {"value": form.message.upper()}

    async with open_memory_client(server, revision=revision, elicitation=answer) as client:
        result = await client.call_tool("ask")
        assert json.loads(result.content[0].text) == ["NUMBER 0?", "NUMBER 1?"]  # type: ignore[union-attr]
        assert runs == 1
        assert server.statistics().parked == 0


@by_era
@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
async def test_siblings_get_their_own_answers(
    revision: str, order: tuple[int, ...], autojump_clock: object
) -> None:
    """Whichever question the user answers first."""
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> dict[str, str]:
        return await ask_three(ctx, keyed=False)

    async def answer(form: ElicitRequestFormParams) -> dict[str, Any]:
        number = int(form.message)
        await trio.sleep(order.index(number))
        return {"value": f"answer {number}"}

    async with open_memory_client(server, revision=revision, elicitation=answer) as client:
        result = await client.call_tool("ask")
        assert dict(result.structured_content) == {
            str(number): f"answer {number}" for number in range(3)
        }


async def ask_three(ctx: Context, *, keyed: bool) -> dict[str, str]:
    """Three tasks, each with a question of its own."""
    answers: dict[str, str] = {}

    async def one(number: int) -> None:
        key = f"key-{number}" if keyed else None
        answers[str(number)] = (await ctx.elicit(str(number), Text, key=key)).value

    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(one, number)
    return answers


@by_era
@pytest.mark.parametrize(("content", "action"), [(None, "decline"), ("cancel", "cancel")])
async def test_refused_answer(revision: str, content: Any, action: str) -> None:
    from trimcp.types import ElicitResult

    server = Server("asking")
    seen: list[str] = []

    @server.tool
    async def ask(ctx: Context) -> str:
        try:
            return (await ctx.elicit("Well?", Text)).value
        except AnswerRefused as refusal:
            seen.append(refusal.action)
            raise

    async def answer(_: Any) -> Any:
        return None if content is None else ElicitResult("cancel")

    async with open_memory_client(server, revision=revision, elicitation=answer) as client:
        result = await client.call_tool("ask")
        assert result.is_error
        assert result.content[0].text == f"The user answered the question with: {action}."  # type: ignore[union-attr]
        assert seen == [action]


@by_era
async def test_a_timeout_stands_still_while_a_question_waits(
    revision: str, autojump_clock: object
) -> None:
    """Only the time in which the tool itself runs counts."""
    server = Server("asking")

    @server.tool(timeout=2)
    async def ask(seconds: float, ctx: Context) -> str:
        await trio.sleep(1)
        answer = await ctx.elicit("Well?", Text)
        await trio.sleep(seconds)
        return answer.value

    async def answer(_: Any) -> dict[str, Any]:
        await trio.sleep(100)
        return {"value": "at last"}

    async with open_memory_client(server, revision=revision, elicitation=answer) as client:
        result = await client.call_tool("ask", {"seconds": 0.5})
        assert result.content[0].text == "at last"  # type: ignore[union-attr]
        began = trio.current_time()
        result = await client.call_tool("ask", {"seconds": 1.5})
        assert result.content[0].text == "The tool did not finish within 2 seconds."  # type: ignore[union-attr]
        assert trio.current_time() - began == pytest.approx(102)


# -- the stateless era, by hand ---------------------------------------------------------------


class Wire:
    """A client that writes its own lines."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._ids = itertools.count(1)
        self._buffer = b""

    async def send(self, message: dict[str, Any]) -> None:
        await self.stream.send_all(json.dumps(message).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            data = await self.stream.receive_some()
            assert data, "the server hung up"
            self._buffer += bytes(data)
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    async def request(
        self, tool: str = "ask", *, method: str = "tools/call", elicits: bool = True, **params: Any
    ) -> int:
        """Call a tool; return the request's id."""
        identity = next(self._ids)
        meta = {
            META_PREFIX + "protocolVersion": LATEST.date,
            META_PREFIX + "clientCapabilities": {"elicitation": {}} if elicits else {},
        }
        subject = {"name": tool} if method == "tools/call" else {}
        await self.send(
            {
                "jsonrpc": "2.0",
                "id": identity,
                "method": method,
                "params": {**subject, **params, "_meta": meta},
            }
        )
        return identity

    async def call(self, tool: str = "ask", **params: Any) -> dict[str, Any]:
        """Call a tool, or another method; return the result."""
        identity = await self.request(tool, **params)
        message = await self.receive()
        assert message["id"] == identity
        assert "result" in message, message
        result: dict[str, Any] = message["result"]
        return result

    async def refused(self, tool: str = "ask", **params: Any) -> dict[str, Any]:
        """Call a tool; return the error."""
        identity = await self.request(tool, **params)
        message = await self.receive()
        assert message["id"] == identity
        error: dict[str, Any] = message["error"]
        return error


@asynccontextmanager
async def connected(server: Server[Any]) -> AsyncIterator[Wire]:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_stream, theirs)
        yield Wire(ours)
        await ours.aclose()


def accept(value: str) -> dict[str, Any]:
    return {"action": "accept", "content": {"value": value}}


def retry(result: dict[str, Any], **answers: str) -> dict[str, Any]:
    """The params of the next round: questions are answered by their messages."""
    assert result["resultType"] == "input_required", result
    keys = {request["params"]["message"]: key for key, request in result["inputRequests"].items()}
    return {
        "requestState": result["requestState"],
        "inputResponses": {keys[message]: accept(value) for message, value in answers.items()},
    }


def text_of(result: dict[str, Any]) -> str:
    assert result["resultType"] == "complete", result
    (block,) = result["content"]
    text: str = block["text"]
    return text


class Asking:
    """A server with one tool that asks, and what became of the handlers."""

    def __init__(self, *, replay: bool = False, **limits: Any) -> None:
        self.server = Server("asking", limits=Limits(**limits), state_keys=[KEY])
        self.runs = 0
        self.ended: list[tuple[Any, float]] = []
        self.after: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint

        @self.server.tool(replay=replay)
        async def ask(ctx: Context, name: str = "") -> str:
            self.runs += 1
            try:
                first = await ctx.elicit("first", Text)
                second = await ctx.elicit("second", Text)
                await self.after()
                return f"{first.value} {second.value}"
            finally:
                self.ended.append((name, trio.current_time()))

        @self.server.tool
        async def slow() -> str:
            await trio.sleep(3)
            return "slow"

        @self.server.tool
        async def other(name: str = "") -> str:
            return "other"

    @property
    def names(self) -> list[Any]:
        return [name for name, _ in self.ended]

    def check_nothing_is_left(self) -> None:
        numbers = self.server.statistics()
        assert (numbers.parked, numbers.in_flight) == (0, 0)
        application = self.server._application
        if application is not None:
            assert not application.parking._askers
            assert not application.parking._waiting
            assert all(not peer.parked for peer in application.peers)


async def test_rounds(autojump_clock: object) -> None:
    asking = Asking()
    async with connected(asking.server) as wire:
        first = await wire.call()
        assert asking.server.statistics().parked == 1
        assert asking.server.statistics().in_flight == 0
        (request,) = first["inputRequests"].values()
        assert request["method"] == "elicitation/create"
        await trio.sleep(100)
        second = await wire.call(**retry(first, first="a"))
        assert list(second["inputRequests"]) != list(first["inputRequests"])
        assert text_of(await wire.call(**retry(second, second="b"))) == "a b"
        assert asking.runs == 1
        asking.check_nothing_is_left()


@examples(40)
@given(
    keyed=st.booleans(),
    parks=st.booleans(),
    rounds=st.permutations(range(3)).flatmap(
        lambda order: st.integers(1, 3).map(
            lambda size: [order[at : at + size] for at in range(0, 3, size)]
        )
    ),
)
def test_answers_never_swap(keyed: bool, parks: bool, rounds: list[list[int]]) -> None:
    """Whatever is answered in whichever round, by a handler that waits or one that is replayed."""
    server = Server("asking", limits=Limits(parked=10 * parks), state_keys=[KEY])

    @server.tool(replay=True)
    async def ask(ctx: Context) -> dict[str, str]:
        return await ask_three(ctx, keyed=keyed)

    async def main() -> None:
        with trio.fail_after(60):
            await converse()

    async def converse() -> None:
        async with connected(server) as wire:
            result = await wire.call()
            assert len(result["inputRequests"]) == 3
            for numbers in rounds:
                answers = {str(number): f"answer {number}" for number in numbers}
                result = await wire.call(**retry(result, **answers))
            assert result["structuredContent"] == {
                str(number): f"answer {number}" for number in range(3)
            }

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_same_question_twice() -> None:
    """Told apart by how often it was asked."""
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> str:
        return " ".join([(await ctx.elicit("same", Text)).value for _ in range(3)])

    async with connected(server) as wire:
        result = await wire.call()
        seen = set()
        for answer in ("a", "b", "c"):
            seen |= set(result["inputRequests"])
            result = await wire.call(**retry(result, same=answer))
        assert text_of(result) == "a b c"
        assert len(seen) == 3


async def test_missing_answers_are_asked_again() -> None:
    asking = Asking()
    async with connected(asking.server) as wire:
        first = await wire.call()
        again = await wire.call(requestState=first["requestState"])
        assert again["inputRequests"] == first["inputRequests"]
        nonsense = {"nonsense": accept("x")}
        again = await wire.call(requestState=again["requestState"], inputResponses=nonsense)
        assert again["inputRequests"] == first["inputRequests"]
        second = await wire.call(**retry(again, first="a"))
        assert text_of(await wire.call(**retry(second, second="b"))) == "a b"
        assert asking.runs == 1


async def test_older_state_of_the_same_frame() -> None:
    """Its questions are matched by name, so it does no harm."""
    asking = Asking()
    async with connected(asking.server) as wire:
        first = await wire.call()
        await wire.call(**retry(first, first="a"))
        again = await wire.call(**retry(first, first="changed"))
        assert text_of(await wire.call(**retry(again, second="b"))) == "a b"


async def test_context_speaks_of_the_current_round() -> None:
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> str:
        before = ctx.request_id
        await ctx.elicit("first", Text)
        assert server.request_context.request_id == ctx.request_id
        return f"{before} {ctx.request_id}"

    async with connected(server) as wire:
        assert text_of(await wire.call(**retry(await wire.call(), first="x"))) == "1 2"


async def test_answer_that_does_not_fit() -> None:
    asking = Asking()
    async with connected(asking.server) as wire:
        for flawed in (
            {"action": "accept", "content": {"value": 5}},
            {"action": "accept", "content": {}},
            {"action": "perhaps"},
            {},
        ):
            first = await wire.call()
            (key,) = first["inputRequests"]
            error = await wire.refused(
                requestState=first["requestState"], inputResponses={key: flawed}
            )
            assert error["code"] == INVALID_PARAMS
        asking.check_nothing_is_left()


async def test_missing_capability() -> None:
    asking = Asking()
    async with connected(asking.server) as wire:
        error = await wire.refused(elicits=False)
        assert error["code"] == MISSING_CLIENT_CAPABILITY
        assert error["data"] == {"requiredCapabilities": {"elicitation": {"form": {}}}}


# -- the end of waiting -----------------------------------------------------------------------


async def test_expiry(autojump_clock: object) -> None:
    asking = Asking(parked_seconds=60)
    async with connected(asking.server) as wire:
        began = trio.current_time()
        first = await wire.call()
        await trio.sleep(59.9)
        assert asking.ended == []
        await trio.sleep(0.2)
        assert asking.ended == [("", began + 60)]
        asking.check_nothing_is_left()
        error = await wire.refused(**retry(first, first="a"))
        assert error["code"] == INVALID_PARAMS
        assert "state lost" in error["message"]


async def test_each_round_has_its_own_deadline(autojump_clock: object) -> None:
    asking = Asking(parked_seconds=60)
    async with connected(asking.server) as wire:
        first = await wire.call()
        await trio.sleep(50)
        second = await wire.call(**retry(first, first="a"))
        await trio.sleep(50)

        async def work() -> None:
            await trio.sleep(1000)

        asking.after = work
        # Once it runs again, its time is not bounded.
        assert text_of(await wire.call(**retry(second, second="b"))) == "a b"


async def test_questions_of_siblings_do_not_lengthen_the_wait(autojump_clock: object) -> None:
    """They wait for the next round; the deadline is that of the round's questions."""
    server = Server("asking", limits=Limits(parked_seconds=60))
    ended: list[float] = []

    @server.tool
    async def ask(ctx: Context) -> str:
        try:
            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(ctx.elicit, str(number), Text)
                    await trio.sleep(20)
        finally:
            ended.append(trio.current_time())
        return "never"

    async with connected(server) as wire:
        began = trio.current_time()
        first = await wire.call()
        await trio.sleep(50)
        second = await wire.call(**retry(first, **{"0": "a"}))
        messages = {each["params"]["message"] for each in second["inputRequests"].values()}
        assert messages == {"1", "2"}
        await trio.sleep(100)
        assert ended == [began + 50 + 60]


async def test_eviction(autojump_clock: object) -> None:
    asking = Asking(parked=2)
    async with connected(asking.server) as wire:
        rounds = {
            name: await wire.call(arguments={"name": name}) for name in ("one", "two", "three")
        }
        await trio.testing.wait_all_tasks_blocked()
        assert asking.names == ["one"], "the one that waits longest goes"
        assert asking.server.statistics().parked == 2
        error = await wire.refused(arguments={"name": "one"}, **retry(rounds["one"], first="a"))
        assert "state lost" in error["message"]
        # A frame that was asked again waits anew.
        await wire.call(arguments={"name": "two"}, requestState=rounds["two"]["requestState"])
        await wire.call(arguments={"name": "four"})
        await trio.testing.wait_all_tasks_blocked()
        assert asking.names == ["one", "three"]


async def test_ended_handlers_leave_no_task(autojump_clock: object) -> None:
    """An evicted or expired handler's task is gone at once, and not only at its deadline."""
    asking = Asking(parked=1, parked_seconds=600)
    async with connected(asking.server) as wire:
        await wire.call("other")
        await trio.testing.wait_all_tasks_blocked()
        living = trio.lowlevel.current_statistics().tasks_living
        for _ in range(5):
            await wire.call()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == living + 1
        assert len(asking.ended) == 4


@pytest.mark.parametrize("grace", [0, 30])
async def test_shutdown(grace: float, autojump_clock: object) -> None:
    asking = Asking()
    began = trio.current_time()
    async with connected(asking.server) as wire:
        await wire.call()
        asking.server.shutdown(grace=grace)
        assert await wire.stream.receive_some() == b""
        assert asking.ended == [("", began)], "it is not waited for"
    assert trio.current_time() == began


async def test_shutdown_with_others_in_flight(autojump_clock: object) -> None:
    """The grace is for those; nobody will bring the answers that this one waits for."""
    asking = Asking()
    began = trio.current_time()
    async with connected(asking.server) as wire:
        await wire.call()
        slow = await wire.request("slow")
        await trio.testing.wait_all_tasks_blocked()
        asking.server.shutdown(grace=30)
        message = await wire.receive()
        assert message["id"] == slow
        assert text_of(message["result"]) == "slow"
        assert asking.ended == [("", began)]


async def test_end_of_input_that_drains(autojump_clock: object) -> None:
    """On stdio the end of input ends those that wait, and the others may finish."""
    asking = Asking()
    began = trio.current_time()
    ours, theirs = trio.testing.memory_stream_pair()
    wire = Wire(ours)
    async with (
        asking.server.joined(signals=False) as application,
        open_stream_channel(theirs, Limits(), peer="x", drains=True) as channel,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(functools.partial(application.serve, channel, grace=0))
        await wire.call()
        slow = await wire.request("slow")
        await ours.send_eof()
        message = await wire.receive()
        assert message["id"] == slow
        assert text_of(message["result"]) == "slow"
        assert asking.ended == [("", began)]


@pytest.mark.parametrize("end", ["close", "half-close"])
async def test_disconnect(end: str, autojump_clock: object) -> None:
    asking = Asking()
    began = trio.current_time()
    async with connected(asking.server) as wire:
        await wire.call()
        assert asking.ended == []
        if end == "close":
            await wire.stream.aclose()
        else:
            await wire.stream.send_eof()  # type: ignore[attr-defined]
        await trio.testing.wait_all_tasks_blocked()
        assert asking.ended == [("", began)]


async def test_cancelling_a_round_cancels_the_handler(autojump_clock: object) -> None:
    asking = Asking()
    asking.after = trio.sleep_forever
    async with connected(asking.server) as wire:
        first = await wire.call()
        second = await wire.call(**retry(first, first="a"))
        identity = await wire.request(**retry(second, second="b"))
        await trio.testing.wait_all_tasks_blocked()
        assert asking.ended == []
        await wire.send(
            {
                "jsonrpc": "2.0",
                "method": "notifications/cancelled",
                "params": {"requestId": identity},
            }
        )
        await trio.testing.wait_all_tasks_blocked()
        assert len(asking.ended) == 1
        asking.check_nothing_is_left()
        # Nothing is said to the cancelled request.
        assert text_of(await wire.call("other")) == "other"


async def test_outcome_between_two_rounds_is_kept(autojump_clock: object) -> None:
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.elicit, "first", Text)
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
        return "went on without"

    @server.tool
    async def fail(ctx: Context) -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.elicit, "first", Text)
            await trio.sleep(5)
            raise ToolError("lost patience")

    async with connected(server) as wire:
        for tool, text in (("ask", "went on without"), ("fail", "lost patience")):
            first = await wire.call(tool)
            await trio.sleep(100)
            assert text_of(await wire.call(tool, **retry(first, first="a"))) == text
        assert server.statistics().parked == 0


async def test_outcome_after_several_rounds_is_kept(autojump_clock: object) -> None:
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> str:
        first = await ctx.elicit("first", Text)
        with trio.move_on_after(5):
            await ctx.elicit("second", Text)
        return first.value

    async with connected(server) as wire:
        second = await wire.call(**retry(await wire.call(), first="a"))
        await trio.sleep(10)
        assert server.statistics().parked == 1
        assert text_of(await wire.call(**retry(second, second="too late"))) == "a"


@pytest.mark.parametrize("end", ["expiry", "shutdown", "disconnect"])
async def test_a_clean_up_that_fails_between_two_rounds_is_logged(
    end: str, caplog: pytest.LogCaptureFixture, autojump_clock: object
) -> None:
    """Its round has been answered: nobody is told, and the log has the error once."""
    server = Server("asking", limits=Limits(parked_seconds=60))

    @server.tool
    async def ask(ctx: Context) -> str:
        try:
            return (await ctx.elicit("first", Text)).value
        finally:
            raise ValueError("in the clean-up")

    async with server.application(signals=False), connected(server) as wire:
        await wire.call()
        assert "in the clean-up" not in caplog.text
        if end == "expiry":
            await trio.sleep(61)
        elif end == "shutdown":
            server.shutdown(grace=1)
        else:
            await wire.stream.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert caplog.text.count("ValueError: in the clean-up") == 1
        assert server.statistics().parked == 0


async def test_retry_while_the_handler_is_cleaning_up(autojump_clock: object) -> None:
    """It has been told to stop and takes its time: nobody may hand it a request any more."""
    server = Server("asking", limits=Limits(parked=1))

    @server.tool
    async def ask(ctx: Context) -> str:
        try:
            return (await ctx.elicit("first", Text)).value
        finally:
            with trio.CancelScope(shield=True, relative_deadline=5):
                await trio.sleep(1)

    async with connected(server) as wire:
        first = await wire.call()
        await wire.call()
        await trio.testing.wait_all_tasks_blocked()
        assert "state lost" in (await wire.refused(**retry(first, first="a")))["message"]


async def test_outcome_nobody_fetches_is_dropped(autojump_clock: object) -> None:
    server = Server("asking", limits=Limits(parked_seconds=60))

    @server.tool
    async def ask(ctx: Context) -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ctx.elicit, "first", Text)
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
        return "went on without"

    async with connected(server) as wire:
        await wire.request("ask")
        await wire.receive()
        living = trio.lowlevel.current_statistics().tasks_living
        await trio.sleep(59)
        assert server.statistics().parked == 1
        await trio.sleep(2)
        assert server.statistics().parked == 0
        assert trio.lowlevel.current_statistics().tasks_living < living


# -- states that are not believed -------------------------------------------------------------


async def test_forged_state() -> None:
    asking = Asking()
    async with connected(asking.server) as wire:
        first = await wire.call()
        state = first["requestState"]
        forged = [
            "",
            "nonsense",
            state[:-4],
            state + "AAAA",
            state[:20] + ("A" if state[20] != "A" else "B") + state[21:],
        ]
        for text in forged:
            error = await wire.refused(requestState=text, inputResponses={})
            assert error["code"] == INVALID_PARAMS
        for value in (5, None, [state], {"a": state}):
            error = await wire.refused(requestState=value)
            assert error["code"] == INVALID_PARAMS
        flawed: list[Any] = [5, None, [], {"a": 5}, {"a": None}]
        for responses in flawed:
            error = await wire.refused(requestState=state, inputResponses=responses)
            assert error["code"] == INVALID_PARAMS
        assert asking.ended == [], "the true one still waits"
        second = await wire.call(**retry(first, first="a"))
        assert second["resultType"] == "input_required"


async def test_expired_state(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Asking(parked_seconds=60)
    now = 1_000_000.0
    monkeypatch.setattr("trimcp.runtime._parking.time.time", lambda: now)
    async with connected(asking.server) as wire:
        first = await wire.call()
        now += 59
        second = await wire.call(**retry(first, first="a"))
        now += 61
        error = await wire.refused(**retry(second, second="b"))
        assert error["code"] == INVALID_PARAMS
        assert "expired" in error["message"]


async def test_state_of_another_request() -> None:
    asking = Asking()
    async with connected(asking.server) as wire:
        first = await wire.call(arguments={"name": "mine"})
        for params in (
            {"arguments": {"name": "yours"}},
            {},
            {"arguments": {"name": "mine"}, "extra": 1},
            {"tool": "other", "arguments": {"name": "mine"}},
        ):
            error = await wire.refused(**params, **retry(first, first="a"))
            assert error["code"] == INVALID_PARAMS
            assert "another request" in error["message"]
        assert asking.ended == []
        second = await wire.call(arguments={"name": "mine"}, **retry(first, first="a"))
        assert second["resultType"] == "input_required"


SAME: dict[str, Any] = {"name": "same", "arguments": {}, "uri": "test://same"}


@pytest.mark.parametrize("way", ["waiting", "replayed", "returned"])
@pytest.mark.parametrize("method", ["tools/call", "prompts/get", "resources/read"])
async def test_state_of_another_method(method: str, way: str) -> None:
    """Though its params are the same, and whether or not its handler waits."""
    server = Server("asking", limits=Limits(parked=10 * (way == "waiting")))

    async def ask(ctx: Context) -> Any:
        if way != "returned":
            return (await ctx.elicit("first", Text)).value
        if ctx.input_responses is None:
            return InputRequired({"it": form_question("first", Text)}, state="kept")
        return "done"

    server.tool(name="same", replay=way == "replayed")(ask)
    server.prompt(name="same", replay=way == "replayed")(ask)
    server.resource("test://same", replay=way == "replayed")(ask)

    async with connected(server) as wire:
        first = await wire.call(method=method, **SAME)
        for other in {"tools/call", "prompts/get", "resources/read"} - {method}:
            error = await wire.refused(method=other, **SAME, **retry(first, first="a"))
            assert error["code"] == INVALID_PARAMS
            assert "another request" in error["message"]
        result = await wire.call(method=method, **SAME, **retry(first, first="a"))
        assert result["resultType"] == "complete"


async def test_state_of_another_server() -> None:
    mine = Asking()
    yours = Server("other", state_keys=[b"y" * 32])

    @yours.tool
    async def ask(ctx: Context) -> str:
        return (await ctx.elicit("first", Text)).value

    async with connected(mine.server) as my_wire, connected(yours) as your_wire:
        first = await my_wire.call()
        error = await your_wire.refused(**retry(first, first="a"))
        assert error["code"] == INVALID_PARAMS
        assert "not issued" in error["message"]


# -- when the handler is gone -----------------------------------------------------------------


async def test_no_parking_without_replay() -> None:
    asking = Asking(parked=0)
    async with connected(asking.server) as wire:
        first = await wire.call()
        await trio.testing.wait_all_tasks_blocked()
        assert len(asking.ended) == 1
        asking.check_nothing_is_left()
        error = await wire.refused(**retry(first, first="a"))
        assert error["code"] == INVALID_PARAMS
        assert "state lost" in error["message"]


async def test_no_parking_with_replay() -> None:
    asking = Asking(parked=0, replay=True)
    async with connected(asking.server) as wire:
        first = await wire.call()
        second = await wire.call(**retry(first, first="a"))
        assert [each["params"]["message"] for each in second["inputRequests"].values()] == [
            "second"
        ]
        assert text_of(await wire.call(**retry(second, second="b"))) == "a b"
        assert asking.runs == 3
        await trio.testing.wait_all_tasks_blocked()
        asking.check_nothing_is_left()


async def test_replay_in_another_process() -> None:
    """A state opens wherever the keys are."""
    before, after = Asking(replay=True), Asking(replay=True)
    async with connected(before.server) as wire:
        first = await wire.call()
        second = await wire.call(**retry(first, first="a"))
    async with connected(after.server) as wire:
        assert text_of(await wire.call(**retry(second, second="b"))) == "a b"
        assert after.runs == 1


async def test_question_changed_between_rounds() -> None:
    server = Server("asking", limits=Limits(parked=0))
    wording = "first"

    @server.tool(replay=True)
    async def ask(ctx: Context) -> str:
        return (await ctx.elicit(wording, Text, key="it")).value

    async with connected(server) as wire:
        first = await wire.call()
        wording = "other"
        error = await wire.refused(**retry(first, first="a"))
        assert error["code"] == INVALID_PARAMS
        assert "changed" in error["message"]


async def test_volunteered_answers() -> None:
    """A client that knows what will be asked may say it at once, under the question's key.

    To ask is a checkpoint nevertheless.
    """
    server = Server("asking")

    @server.tool
    async def ask(ctx: Context) -> str:
        with trio.testing.assert_checkpoints():
            return (await ctx.elicit("first", Text, key="it")).value

    async with connected(server) as wire:
        assert text_of(await wire.call(inputResponses={"it": accept("a")})) == "a"
        result = await wire.call(inputResponses={"else": accept("a")})
        assert list(result["inputRequests"]) == ["it"]


@pytest.mark.parametrize("parks", [True, False])
async def test_answers_to_questions_that_were_not_asked_yet(parks: bool) -> None:
    """With a state a client answers what that state asked, and nothing that comes later."""
    server = Server("asking", limits=Limits(parked=10 * parks))

    @server.tool(replay=True)
    async def ask(ctx: Context) -> str:
        return " ".join(
            [(await ctx.elicit(f"{key}?", Text, key=key)).value for key in ("one", "two", "three")]
        )

    everything = {key: accept("early") for key in ("one", "two", "three", "four")}
    async with connected(server) as wire:
        result = await wire.call()
        for key in ("one", "two", "three"):
            assert list(result["inputRequests"]) == [key]
            answers = everything | {key: accept(key)}
            state = result["requestState"]
            result = await wire.call(requestState=state, inputResponses=answers)
        assert text_of(result) == "one two three"


# -- the same retry again ---------------------------------------------------------------------


async def test_same_retry_while_the_first_runs(autojump_clock: object) -> None:
    """The client believes the first one lost: only the later one gets the result."""
    asking = Asking()

    async def work() -> None:
        await trio.sleep(10)

    asking.after = work
    async with connected(asking.server) as wire:
        first = await wire.call()
        second = await wire.call(**retry(first, first="a"))
        lost = await wire.request(**retry(second, second="b"))
        await trio.testing.wait_all_tasks_blocked()
        again = await wire.request(**retry(second, second="b"))
        superseded, result = await wire.receive(), await wire.receive()
        assert superseded["id"] == lost
        assert superseded["error"]["code"] == INVALID_REQUEST
        assert result["id"] == again
        assert text_of(result["result"]) == "a b"
        assert asking.runs == 1
        asking.check_nothing_is_left()


async def test_cancelling_a_superseded_round_leaves_the_handler_alone(
    autojump_clock: object,
) -> None:
    """It belongs to the later round, whatever still goes on in the earlier one."""
    asking = Asking()
    superseded = trio.Event()

    @asking.server.middleware
    async def linger(ctx: Context, call_next: CallNext) -> Any:
        try:
            return await call_next()
        except RequestError:
            superseded.set()
            await trio.sleep_forever()

    async def work() -> None:
        await trio.sleep(10)

    asking.after = work
    async with connected(asking.server) as wire:
        first = await wire.call()
        second = await wire.call(**retry(first, first="a"))
        earlier = await wire.request(**retry(second, second="b"))
        await trio.testing.wait_all_tasks_blocked()
        later = await wire.request(**retry(second, second="b"))
        await superseded.wait()
        await wire.send(
            {
                "jsonrpc": "2.0",
                "method": "notifications/cancelled",
                "params": {"requestId": earlier},
            }
        )
        message = await wire.receive()
        assert message["id"] == later
        assert text_of(message["result"]) == "a b"
        assert asking.runs == 1
        asking.check_nothing_is_left()


@pytest.mark.parametrize("replay", [False, True])
async def test_same_retry_after_the_end(replay: bool) -> None:
    asking = Asking(replay=replay)
    async with connected(asking.server) as wire:
        first = await wire.call()
        second = await wire.call(**retry(first, first="a"))
        assert text_of(await wire.call(**retry(second, second="b"))) == "a b"
        if replay:
            assert text_of(await wire.call(**retry(second, second="b"))) == "a b"
            assert asking.runs == 2
        else:
            assert "state lost" in (await wire.refused(**retry(second, second="b")))["message"]
        asking.check_nothing_is_left()


# -- over two connections ---------------------------------------------------------------------


async def test_retry_over_another_connection() -> None:
    asking = Asking()
    async with (
        asking.server.application(signals=False),
        connected(asking.server) as one,
        connected(asking.server) as two,
    ):
        first = await one.call()
        second = await two.call(**retry(first, first="a"))
        assert text_of(await two.call(**retry(second, second="b"))) == "a b"
        assert asking.runs == 1
        asking.check_nothing_is_left()


async def test_a_handler_speaks_to_the_connection_of_its_round(autojump_clock: object) -> None:
    """Not to the one on which it began."""
    asking = Asking()

    @asking.server.tool
    async def tell(ctx: Context) -> str:
        await ctx.elicit("first", Text)
        await ctx.notify("notifications/com.example/going-on")
        return "told"

    async with (
        asking.server.application(signals=False),
        connected(asking.server) as one,
        connected(asking.server) as two,
    ):
        first = await one.call("tell")
        await two.request("tell", **retry(first, first="a"))
        assert (await two.receive())["method"] == "notifications/com.example/going-on"
        assert text_of((await two.receive())["result"]) == "told"
        assert text_of(await one.call("other")) == "other"
        asking.check_nothing_is_left()


async def test_home_is_gone_while_another_connection_waits(autojump_clock: object) -> None:
    """The task lived on the first connection; the second is told."""
    asking = Asking()
    asking.after = trio.sleep_forever
    async with asking.server.application(signals=False), connected(asking.server) as two:
        async with connected(asking.server) as one:
            first = await one.call()
            second = await two.call(**retry(first, first="a"))
            identity = await two.request(**retry(second, second="b"))
            await trio.testing.wait_all_tasks_blocked()
        message = await two.receive()
        assert message["id"] == identity
        assert "error" in message
        assert len(asking.ended) == 1
        asking.check_nothing_is_left()


async def test_retry_during_shutdown_is_refused(autojump_clock: object) -> None:
    asking = Asking()
    asking.after = trio.sleep_forever
    async with connected(asking.server) as wire:
        first = await wire.call()
        second = await wire.call(**retry(first, first="a"))
        await wire.request(**retry(second, second="b"))
        await trio.testing.wait_all_tasks_blocked()
        asking.server.shutdown(grace=10)
        assert (await wire.refused(**retry(first, first="a")))["code"] == SHUTTING_DOWN
