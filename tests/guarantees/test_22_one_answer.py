"""Guarantee 22: one answer, never two, never after cancel.

"For every interleaving a state-machine test can find (memory, both eras, client and server back to
back)": our client and our server, whole, with calls, questions, streams, subscriptions,
cancellations and deadlines. What is said, what arrives and what happens when is up to hypothesis.
(`tests/protocol/test_connections_back_to_back.py` does the same below the runtime.)
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator  # noqa: TC003  the server reads it
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tests.strategies import examples
from trimcp import (
    AnswerRefused,
    Client,
    Context,
    Limits,
    MCPError,
    Server,
    ToolError,
    open_stream_client,
)
from trimcp.errors import LIMIT_EXCEEDED

from .harness import ERAS, Dialect
from .held import End, Message, Passed, Record, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds that a call of the client waits for its answer.
TIMEOUT = 100.0
LIMITS = Limits(in_flight=8, parked=3, parked_seconds=300, subscribers=4)
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


class Text(BaseModel):
    """What every question asks for."""

    text: str


@attrs.define(eq=False)
class Handler:
    """A handler that does what it is told, one thing after another.

    Attributes:
        orders: What it is to do next.
        ended: The step in which its `finally` ran.
    """

    give: trio.MemorySendChannel[str]
    orders: trio.MemoryReceiveChannel[str]
    ended: int | None = None


@attrs.define(eq=False)
class Called:
    """A call of the client.

    Attributes:
        scope: Leaves it.
        outcome: What became of it.
    """

    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    outcome: str = ""


class World:
    """A server and a client, and all that goes on between them."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.record = Record()
        self.to_server = Way("client", self.record)
        self.to_client = Way("server", self.record)
        self.handlers: dict[str, Handler] = {}
        self.calls: dict[str, Called] = {}
        self.listeners: list[trio.CancelScope] = []
        self.questions: dict[str, trio.Event] = {}
        self.answers_at_once = False
        self.client: Client
        self.nursery: trio.Nursery
        self.server: Server[None] = Server("world", limits=LIMITS)
        self.server.tool(self.work)
        self.server.tool(self.stream)
        self.server.resource("thing://one")(lambda: "one")

    # -- at the server ------------------------------------------------------------------------

    def begin(self, label: str) -> Handler:
        assert label not in self.handlers, "a call was handled twice"
        handler = self.handlers[label] = Handler(*trio.open_memory_channel[str](1000))
        return handler

    async def work(self, label: str, ctx: Context) -> str:
        handler = self.begin(label)
        done = 0
        try:
            while (order := await handler.orders.receive()) != "finish":
                done += 1
                if order == "fail":
                    raise ToolError(f"{label} failed")
                await self.obey(order, f"{label}/{done}", done, ctx)
        finally:
            handler.ended = self.record.step
        return f"{label} done"

    async def obey(self, order: str, name: str, done: int, ctx: Context) -> None:
        if order == "report":
            await ctx.report_progress(done)
        elif order == "ask":
            await self.ask(name, ctx)
        elif order == "ask twice":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.ask, f"{name}a", ctx)
                nursery.start_soon(self.ask, f"{name}b", ctx)

    async def ask(self, question: str, ctx: Context) -> None:
        try:
            answer = await ctx.elicit(question, Text)
        except AnswerRefused:
            return
        assert answer.text == question, "an answer to another question"

    async def stream(self, label: str) -> AsyncIterator[str]:
        handler = self.begin(label)
        try:
            while (order := await handler.orders.receive()) != "finish":
                if order == "fail":
                    raise ToolError(f"{label} failed")
                yield f"{label} chunk"
            yield f"{label} done"
        finally:
            handler.ended = self.record.step

    # -- at the client ------------------------------------------------------------------------

    async def fill_in(self, form: Any) -> dict[str, str] | None:
        if not self.answers_at_once:
            answered = self.questions[form.message] = trio.Event()
            try:
                await answered.wait()
            finally:
                self.questions.pop(form.message, None)
        return None if form.message.endswith("3") else {"text": form.message}

    async def call(self, label: str, tool: str) -> None:
        called = self.calls[label] = Called()
        with called.scope:
            try:
                text = await self.make_call(label, tool)
            except MCPError as error:
                called.outcome = type(error).__name__
            else:
                called.outcome = "result"
                assert text in (f"{label} done", f"{label} failed"), "a result of another call"
        called.outcome = called.outcome or "left"

    async def make_call(self, label: str, tool: str) -> str:
        if tool == "work":
            arguments = {"label": label}
            result = await self.client.call_tool("work", arguments, timeout=TIMEOUT, progress=note)
            return result.text
        async with self.client.stream_tool("stream", {"label": label}, timeout=TIMEOUT) as stream:
            async for chunk in stream:
                assert chunk.startswith(label), "a chunk of another stream"
        return stream.result.text

    async def listen(self) -> None:
        scope = trio.CancelScope()
        self.listeners.append(scope)
        with scope:
            try:
                async with self.client.listen(
                    resources=["thing://one"], timeout=TIMEOUT
                ) as changes:
                    async for _ in changes:
                        pass
            except MCPError:
                return

    # -- steps --------------------------------------------------------------------------------

    async def rest(self) -> None:
        """Everything comes to rest; a new step begins."""
        await trio.testing.wait_all_tasks_blocked()
        self.record.step += 1

    def do(self, step: str, number: int) -> None:
        """One step: whatever it is about, if there is any."""
        if step in ("work", "stream"):
            if len(self.calls) < 12:
                self.nursery.start_soon(self.call, f"c{len(self.calls)}", step)
        elif step == "listen":
            self.nursery.start_soon(self.listen)
        elif step == "leave":
            pick(list(self.calls.values()), number, lambda each: each.scope.cancel())
        elif step == "stop listening":
            pick(self.listeners, number, lambda each: each.cancel())
        elif step == "answer":
            pick(list(self.questions.values()), number, lambda each: each.set())
        elif step == "to server":
            self.to_server.deliver(1 + number % 4)
        elif step == "to client":
            self.to_client.deliver(1 + number % 4)
        elif step == "change":
            self.nursery.start_soon(self.server.notify_resource_updated, "thing://one")
        else:
            living = [each for each in self.handlers.values() if each.ended is None]
            pick(living, number, lambda each: each.give.send_nowait(step))

    async def end(self, ending: str) -> None:
        """Let everything come to its end, in one of several ways."""
        if ending == "cut":
            self.to_server.end()
            self.to_client.end()
        if ending == "shut down":
            self.server.shutdown(grace=50)
        self.to_server.open()
        self.to_client.open()
        self.answers_at_once = True
        for _ in range(20):
            for question in list(self.questions.values()):
                question.set()
            for handler in self.handlers.values():
                if handler.ended is None:
                    handler.give.send_nowait("finish")
            await self.rest()
        for scope in self.listeners:
            scope.cancel()
        # Now only those are left whose client has gone away without a word.
        await trio.sleep(2 * LIMITS.parked_seconds)
        await self.rest()


async def note(done: float, total: float | None, message: str | None) -> None:
    await trio.lowlevel.checkpoint()


def pick(things: list[Any], number: int, use: Callable[[Any], Any]) -> None:
    """Use one of them, if there is any."""
    if things:
        use(things[number % len(things)])


# -- what must hold ---------------------------------------------------------------------------


def is_answer(message: Message) -> bool:
    return "method" not in message


def asked_by(record: Record, side: Any) -> Iterator[tuple[Any, Passed]]:
    """The requests of one side, by id."""
    for _, each in record.by(side):
        if "id" in each.message and not is_answer(each.message):
            yield each.message["id"], each


def cancelled_by(record: Record, side: Any) -> dict[Any, int]:
    """For each id that one side gave up and of which the other heard, the cancellation's number."""
    return {
        each.message["params"]["requestId"]: number
        for number, each in record.by(side)
        if each.message.get("method") == "notifications/cancelled" and number in record.heard
    }


def concerns(message: Message) -> Any:
    """The id of the request that a message answers or tells about, if it is one."""
    if is_answer(message):
        return message.get("id")
    params = message.get("params", {})
    if message["method"] == "notifications/progress":
        return params["progressToken"]
    return params.get("_meta", {}).get(SUBSCRIPTION)


def check_answers(record: Record, asker: Any, other: Any) -> Counter[Any]:
    """At most one answer to each request, and nothing about it that was cancelled before."""
    asked = dict(asked_by(record, asker))
    gone = cancelled_by(record, asker)
    answers: Counter[Any] = Counter()
    for _, each in record.by(other):
        about = concerns(each.message)
        if is_answer(each.message):
            assert about in asked, f"an answer to nothing: {each}"
            answers[about] += 1
            assert answers[about] == 1, f"a second answer: {each}"
        elif each.message["method"] != "notifications/progress" and about is not None:
            assert not answers[about], f"after the answer: {each}"
        if about in gone and each.sent > record.unaware[gone[about]]:
            assert is_refusal(each.message), f"after the cancellation: {each}"
            assert arrived_together(record, asker, about, gone[about]), f"too late: {each}"
    return answers


def is_refusal(message: Message) -> bool:
    """Whether it says that too many requests are in flight, for which no handler begins."""
    return bool(message.get("error", {}).get("code") == LIMIT_EXCEEDED)


def arrived_together(record: Record, asker: Any, identity: Any, cancellation: int) -> bool:
    """Whether a request was read at once with its cancellation, after it.

    What is refused is complete before the cancellation is read, which then may be ignored
    (Cancellation, Behavior Requirements).
    """
    request = next(
        number
        for number, each in record.by(asker)
        if each.message.get("id") == identity and not is_answer(each.message)
    )
    return record.heard[request] == record.heard[cancellation]


def check(world: World, ending: str) -> None:
    record = world.record
    answers = check_answers(record, "client", "server")
    check_answers(record, "server", "client")
    requests = dict(asked_by(record, "client"))
    if world.dialect.is_stateless:
        assert not dict(asked_by(record, "server")), "a server that asks by requests"
        check_cancellations_of_the_server(record, requests)
    gone = cancelled_by(record, "client")
    if ending == "close":
        for identity, each in requests.items():
            assert answers[identity] or identity in gone, f"never answered: {each}"
    for label, called in world.calls.items():
        assert called.outcome, f"{label} has no outcome"
    for label, handler in world.handlers.items():
        assert handler.ended is not None, f"the handler of {label} goes on"
    for identity, number in gone.items():
        params = requests[identity].message.get("params", {})
        handling = world.handlers.get(params.get("arguments", {}).get("label"))
        if handling is not None and not answers[identity]:
            heard = record.heard[number]
            assert handling.ended is not None
            assert handling.ended <= heard, f"{identity} was cancelled, and its handler went on"


def check_cancellations_of_the_server(record: Record, requests: dict[Any, Passed]) -> None:
    """Of subscriptions only, and after their answers."""
    answered = set()
    for _, each in record.by("server"):
        if is_answer(each.message):
            answered.add(each.message["id"])
        elif each.message["method"] == "notifications/cancelled":
            identity = each.message["params"]["requestId"]
            assert requests[identity].message["method"] == "subscriptions/listen"
            assert identity in answered


# -- the machine ------------------------------------------------------------------------------

STEPS = st.sampled_from(
    [
        *("work", "work", "stream", "listen", "leave", "stop listening", "change"),
        *("report", "ask", "ask", "ask twice", "finish", "fail"),
        *("answer", "answer", "answer", "let time pass"),
        *("to server", "to server", "to server", "to client", "to client", "to client"),
    ]
)
#: Something is under way from the beginning, or most programs would do nothing.
PROGRAMS = st.lists(st.tuples(STEPS, st.integers(0, 11)), min_size=30, max_size=80).map(
    lambda steps: [("work", 0), ("work", 0), ("listen", 0), ("to server", 3), *steps]
)
ENDINGS = st.sampled_from(["close", "close", "close", "shut down", "cut"])


async def play(dialect: Dialect, program: list[tuple[str, int]], ending: str) -> None:
    world = World(dialect)
    living = trio.lowlevel.current_statistics().tasks_living
    async with trio.open_nursery() as nursery:
        closing = await nursery.start(serve, world)
        async with trio.open_nursery() as world.nursery:
            await converse(world, program, ending)
        check(world, ending)
        await trio.testing.wait_all_tasks_blocked()
        left = world.server.statistics()
        assert left.connections == left.in_flight == left.parked == left.subscribers == 0
        closing.set()
    assert trio.lowlevel.current_statistics().tasks_living == living


async def serve(world: World, task_status: trio.TaskStatus[trio.Event]) -> None:
    """The server, until it is closed or shut down."""
    closing = trio.Event()
    async with world.server.application(signals=False), trio.open_nursery() as nursery:
        end = End(world.to_client, world.to_server)
        await nursery.start(world.server.serve_stream, end)
        task_status.started(closing)
        await closing.wait()


async def converse(world: World, program: list[tuple[str, int]], ending: str) -> None:
    """One client, from its beginning to its end."""
    ways = (world.to_server, world.to_client)
    opening = open_stream_client(
        End(*ways), revision=world.dialect.revision, elicitation=world.fill_in, limits=LIMITS
    )
    for way in ways:
        way.is_open = True
    async with opening as world.client:
        for way in ways:
            way.is_open = False
        for step, number in program:
            if step == "let time pass":
                await trio.sleep(TIMEOUT / 2)
            else:
                world.do(step, number)
            await world.rest()
        await world.end(ending)
        if ending == "close":
            left = world.server.statistics()
            assert (left.in_flight, left.parked, left.pending_changes) == (0, 0, 0)
            assert left.subscribers == int(not world.dialect.is_stateless)


@pytest.mark.parametrize("dialect", ERAS, ids=["handshake", "stateless"])
@pytest.mark.timeout(1200)
@examples(150)
@given(program=PROGRAMS, ending=ENDINGS)
def test_every_interleaving(dialect: Dialect, program: list[tuple[str, int]], ending: str) -> None:
    async def main() -> None:
        with trio.fail_after(100_000):
            await play(dialect, program, ending)

    logging.getLogger("trimcp").setLevel(logging.CRITICAL)
    try:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logging.getLogger("trimcp").setLevel(logging.NOTSET)
