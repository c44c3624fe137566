"""Tasks that answer one request after another: nothing of a request reaches the next one.

A second task is only started where the first is busy, so in these tests, where one request follows
the other, both run in the same task if it may be used again.
"""

from __future__ import annotations

import contextvars
import json
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
import trio.testing
from pydantic import BaseModel

from tests.tasks import working_tasks
from trimcp import Context, Server, ToolError
from trimcp.protocol import LATEST, LATEST_HANDSHAKE
from trimcp.runtime import MOST_IDLE, _workers
from trimcp.testing import RawPeer, stateless
from trimcp.transports import open_memory_channels

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="untouched")


#: Members of `_meta`: a client that can be asked.
ELICITS: Final = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}


def tasks_living() -> int:
    """How many tasks there are in this run of Trio."""
    return trio.lowlevel.current_statistics().tasks_living


class Word(BaseModel):
    word: str


class Tools:
    """A server whose tools leave something behind.

    Attributes:
        tasks: The task of each call, in their order. They are kept so that no two have one address.
        finished: How many handlers that sleep came to their end.
        sessions: What became of sessions.
    """

    def __init__(self) -> None:
        self.server: Server[None] = Server("workers", session_lifespan=self.session)
        self.sessions: list[str] = []
        self.tasks: list[trio.lowlevel.Task] = []
        self.finished = 0
        self.lock = trio.Lock()
        for tool in (
            self.plain, self.sleep, self.report, self.ask, self.fail, self.refuse,
            self.set_variable, self.read_variable, self.hold_lock, self.take_lock, self.leave_scope,
        ):  # fmt: skip
            self.server.tool(tool)

    @asynccontextmanager
    async def session(self, session: object) -> AsyncIterator[None]:
        self.sessions.append("opened")
        yield
        await trio.sleep(1)
        self.sessions.append("closed")

    def _enter(self) -> None:
        self.tasks.append(trio.lowlevel.current_task())

    async def plain(self) -> str:
        self._enter()
        return "done"

    async def sleep(self) -> str:
        self._enter()
        await trio.sleep(1)
        self.finished += 1
        return "slept"

    async def report(self, ctx: Context) -> str:
        self._enter()
        await ctx.report_progress(1)
        return "reported"

    async def ask(self, ctx: Context) -> str:
        word = (await ctx.elicit("a word?", Word)).word
        await trio.sleep(1)
        self.finished += 1
        return word

    async def fail(self) -> str:
        self._enter()
        raise RuntimeError("meant to fail")

    async def refuse(self) -> str:
        self._enter()
        raise ToolError("refused")

    async def set_variable(self) -> str:
        self._enter()
        VARIABLE.set("left behind")
        return "set"

    async def read_variable(self) -> str:
        self._enter()
        return VARIABLE.get()

    async def hold_lock(self) -> str:
        self._enter()
        await self.lock.acquire()
        return "held"

    async def take_lock(self) -> str:
        self._enter()
        try:
            async with self.lock:
                return "taken"
        except trio.BrokenResourceError:
            return "broken"

    async def leave_scope(self) -> str:
        self._enter()
        trio.CancelScope().__enter__()
        return "left"


class Caller:
    """Calls tools of a server, in one revision.

    Attributes:
        ended: Set when the server has ended the connection.
    """

    def __init__(self, peer: RawPeer, revision: str) -> None:
        self.peer = peer
        self.ended = trio.Event()
        self._is_stateless = revision == LATEST.date
        self._next = 100

    def request(self, tool: str, **meta: Any) -> dict[str, Any]:
        params = {"name": tool, "arguments": {}, "_meta": meta}
        self._next += 1
        return {
            "jsonrpc": "2.0",
            "id": self._next,
            "method": "tools/call",
            "params": stateless(params) if self._is_stateless else params,
        }

    def send(self, *messages: dict[str, Any]) -> None:
        """Send messages that are read together."""
        for message in messages:
            self.peer.channel.outbox.send_nowait(json.dumps(message).encode())

    async def call(self, tool: str) -> str:
        """Call a tool; return its text."""
        self.send(self.request(tool))
        answer = await self.peer.receive()
        await trio.testing.wait_all_tasks_blocked()
        return str(answer["result"]["content"][0]["text"])


def cancelled(request: dict[str, Any]) -> dict[str, Any]:
    method = "notifications/cancelled"
    return {"jsonrpc": "2.0", "method": method, "params": {"requestId": request["id"]}}


@asynccontextmanager
async def calling(
    tools: Tools, revision: str, *, turn: float = 0.0, drains: bool = False
) -> AsyncIterator[Caller]:
    """A connection to the server.

    Args:
        tools: The server.
        revision: The revision of the calls.
        turn: The `turn` of the server's channel.
        drains: Whether the client still wants answers after the end of its input.
    """
    limits = tools.server.limits
    async with (
        tools.server.joined(signals=False) as application,
        open_memory_channels(limits) as (ours, theirs),
        trio.open_nursery() as nursery,
    ):
        theirs.turn, theirs.drains = turn, drains
        caller = Caller(RawPeer(ours), revision)

        async def serve() -> None:
            await application.serve(theirs, grace=100)
            caller.ended.set()

        nursery.start_soon(serve)
        if revision != LATEST.date:
            await caller.peer.initialize(revision)
        yield caller
        nursery.cancel_scope.cancel()


@by_era
async def test_a_task_answers_the_next_request(revision: str) -> None:
    tools = Tools()
    async with calling(tools, revision) as caller:
        assert await caller.call("plain") == await caller.call("plain") == "done"
    assert tools.tasks[0] is tools.tasks[1]


@by_era
async def test_a_cancel_between_giving_and_starting(revision: str, autojump_clock: object) -> None:
    """A request and its cancellation that are read together; a task already waits for it."""
    tools = Tools()
    async with calling(tools, revision) as caller:
        await caller.call("plain")
        request = caller.request("sleep")
        caller.send(request, cancelled(request))
        await trio.sleep(10)
        assert tools.finished == 0
        assert await caller.call("plain") == "done"


@by_era
async def test_a_cancel_while_it_runs(revision: str, autojump_clock: object) -> None:
    tools = Tools()
    async with calling(tools, revision) as caller:
        await caller.call("plain")
        request = caller.request("sleep")
        caller.send(request)
        await trio.testing.wait_all_tasks_blocked()
        caller.send(cancelled(request))
        await trio.sleep(10)
        assert tools.finished == 0
        assert await caller.call("sleep") == "slept"
    assert tools.tasks[1] is not tools.tasks[2]


@by_era
async def test_a_cancel_that_comes_late(revision: str, autojump_clock: object) -> None:
    """The handler has returned, and its answer still waits for its progress to be read."""
    tools = Tools()
    async with calling(tools, revision, turn=1.0) as caller:
        request = caller.request("report", progressToken="t")
        caller.send(request)
        await trio.testing.wait_all_tasks_blocked()
        caller.send(cancelled(request))
        assert (await caller.peer.receive())["method"] == "notifications/progress"
        await trio.sleep(10)
        # Its task is not cancelled, and so can be used again.
        assert await caller.call("sleep") == "slept"
    assert tools.tasks[0] is tools.tasks[1]


async def test_a_retry_that_is_cancelled_between_giving_and_starting(
    autojump_clock: object,
) -> None:
    """It ends the handler that waited for it."""
    tools = Tools()
    async with calling(tools, LATEST.date) as caller:
        caller.send(caller.request("ask", **ELICITS))
        asked = (await caller.peer.receive())["result"]
        await trio.testing.wait_all_tasks_blocked()
        assert tools.server.statistics().parked == 1
        retry = caller.request("ask", **ELICITS)
        (key,) = asked["inputRequests"]
        answer = {"action": "accept", "content": {"word": "yes"}}
        retry["params"] |= {"requestState": asked["requestState"], "inputResponses": {key: answer}}
        caller.send(retry, cancelled(retry))
        await trio.sleep(10)
        assert tools.finished == 0


@pytest.mark.parametrize("bad", ["fail", "refuse", "hold_lock", "leave_scope"])
@by_era
async def test_a_task_that_is_not_used_again(bad: str, revision: str) -> None:
    tools = Tools()
    async with calling(tools, revision) as caller:
        for _ in range(3):
            await caller.call(bad)
            await caller.call("plain")
    # A bad call may run in the task of the good one before it, but none runs after a bad one.
    assert all(
        bad is not good for bad, good in zip(tools.tasks[::2], tools.tasks[1::2], strict=True)
    )


@by_era
async def test_a_context_variable_that_is_not_reset(revision: str) -> None:
    tools = Tools()
    async with calling(tools, revision) as caller:
        await caller.call("set_variable")
        assert await caller.call("read_variable") == "untouched"
    assert tools.tasks[0] is tools.tasks[1]


@by_era
async def test_a_context_variable_of_whoever_serves(revision: str) -> None:
    tools = Tools()
    token = VARIABLE.set("of the program")
    try:
        async with calling(tools, revision) as caller:
            for _ in range(3):
                assert await caller.call("read_variable") == "of the program"
    finally:
        VARIABLE.reset(token)
    assert tools.tasks[0] is tools.tasks[2]


@by_era
async def test_a_lock_that_is_not_released(revision: str) -> None:
    """The next request learns that it is broken, as after the end of any task."""
    tools = Tools()
    async with calling(tools, revision) as caller:
        await caller.call("hold_lock")
        assert await caller.call("take_lock") == "broken"


@by_era
async def test_a_scope_that_is_not_left(revision: str) -> None:
    """The request that left it fails, and the next one does not run in it."""
    tools = Tools()
    async with calling(tools, revision) as caller:
        assert await caller.call("leave_scope") == "The tool failed unexpectedly."
        assert await caller.call("plain") == "done"


@by_era
async def test_how_many_wait(revision: str, autojump_clock: object) -> None:
    """Only as many tasks as are allowed."""
    tools = Tools()
    many = 2 * MOST_IDLE
    async with calling(tools, revision) as caller:
        await trio.testing.wait_all_tasks_blocked()
        before = tasks_living()
        caller.send(*(caller.request("sleep") for _ in range(many)))
        await trio.testing.wait_all_tasks_blocked()
        assert tasks_living() >= before + many - 1
        await trio.sleep(10)
        assert tools.finished == many
        assert tasks_living() <= before + MOST_IDLE


@by_era
async def test_how_many_wait_in_all(
    revision: str, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all connections and servers together; the longest idle end, and all are served."""
    monkeypatch.setattr(_workers, "MOST_IDLE_IN_ALL", 5)
    servers = [Tools() for _ in range(3)]
    async with AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(calling(tools, revision)) for tools in servers]
        for finished in (4, 8):
            for caller in callers:
                caller.send(*(caller.request("sleep") for _ in range(4)))
            await trio.sleep(10)
            assert [tools.finished for tools in servers] == [finished] * 3
            assert tasks_living() - working_tasks() == 5


@pytest.mark.parametrize("end", ["end of input", "shutdown"])
@by_era
async def test_none_waits_any_longer(end: str, revision: str, autojump_clock: object) -> None:
    """A connection ends with its last request, although a task waits for another one."""
    tools = Tools()
    async with calling(tools, revision, drains=True) as caller:
        await caller.call("plain")
        caller.send(caller.request("sleep"), caller.request("sleep"))
        await trio.testing.wait_all_tasks_blocked()
        if end == "shutdown":
            tools.server.shutdown()
        else:
            await caller.peer.close()
        began = trio.current_time()
        await caller.ended.wait()
        # The sleeping tools need a second, and the end of the session another one.
        assert trio.current_time() - began == 2
    assert tools.finished == 2


async def test_a_session_ends_before_the_next_begins(autojump_clock: object) -> None:
    """A task that waits for requests of no session is no such request."""
    tools = Tools()
    async with calling(tools, LATEST_HANDSHAKE.date) as caller:
        await caller.call("plain")
        await Caller(caller.peer, LATEST.date).call("plain")
        await caller.peer.initialize()
        await caller.call("plain")
        assert tools.sessions == ["opened", "closed", "opened"]
