"""The trimcp client against servers made with other SDKs, over stdio, in both eras."""

from __future__ import annotations

import os
import signal
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from trimcp import (
    Client,
    NoCommonRevision,
    ProcessDied,
    RequestError,
    RequestTimeout,
    open_client,
    open_stdio_client,
)
from trimcp.types import CallToolResult, ElicitRequestFormParams, ElicitResult, TextContent

from .conftest import OUR_SERVER, SDKS, TheirServer, server_command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


pytestmark = pytest.mark.usefixtures("node_modules")

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS = "2026-07-28"

#: Becomes the command it is given, under its own process id, and says this first.
ANNOUNCE = ("/bin/sh", "-c", 'echo "pid $$" >&2; exec "$@"', "sh")

#: A bound of failure for what should be over at once.
SOON = 20.0


@attrs.define
class Child:
    """What a child process said on standard error."""

    lines: list[str] = attrs.field(factory=list)
    announced: trio.Event = attrs.field(factory=trio.Event)

    def hear(self, line: str) -> None:
        self.lines.append(line)
        self.announced.set()

    async def pid(self) -> int:
        await self.announced.wait()
        return int(self.lines[0].removeprefix("pid "))


@asynccontextmanager
async def opened(peer: TheirServer, child: Child, **options: Any) -> AsyncIterator[Client]:
    """A client whose child says who it is; the grace is so long that using it up would fail."""
    command = [*ANNOUNCE, *peer.command]
    with trio.fail_after(60):
        async with open_stdio_client(
            command, on_stderr=child.hear, grace=3 * SOON, **options
        ) as client:
            yield client


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def text_of(result: CallToolResult) -> str:
    """The text of a result that has one block of it."""
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def add(client: Client, a: int, b: int) -> int:
    result = await client.call_tool("add", {"a": a, "b": b})
    assert not result.is_error
    assert result.structured_content == {"result": a + b}
    return int(text_of(result))


async def cancelled_calls(client: Client) -> int:
    """How many calls of `forever` the server has seen cancelled; waits for the first."""
    with trio.fail_after(SOON):
        while (count := int(text_of(await client.call_tool("cancelled")))) == 0:
            pass
    return count


# -- every server, every era ------------------------------------------------------------------


async def test_calls(their_server: TheirServer) -> None:
    """What it says of itself, its tools, results, errors of tools and of the protocol."""
    async with open_client(their_server.command) as client:
        assert client.revision == their_server.newest
        assert client.server_info is not None
        assert (client.server_info.name, client.server_info.version) == (their_server.name, "1.0.0")
        assert client.instructions == "A peer for interoperability tests."
        assert client.capabilities.tools is not None
        await client.ping()

        tools = {tool.name: tool for tool in await client.list_tools()}
        assert set(tools) == {"add", "slow", "countdown", "fail", "ask", "forever", "cancelled"}
        assert tools["add"].description == "Add two integers."
        schema = tools["add"].input_schema
        assert (set(schema["properties"]), set(schema["required"])) == ({"a", "b"}, {"a", "b"})
        assert tools["add"].output_schema is not None
        assert tools["fail"].output_schema is None

        assert await add(client, 2, 3) == 5
        assert not (await client.call_tool("slow")).is_error

        failed = await client.call_tool("fail")
        assert failed.is_error
        assert text_of(failed).endswith("this tool always fails")
        assert (await client.call_tool("add", {"a": "two", "b": 3})).is_error
        await assert_no_such_tool(client, their_server)
        with pytest.raises(RequestError) as caught:
            await client.request("no/such/method")
        assert caught.value.code == -32601
        await assert_cannot_ask(client, their_server)
        assert await add(client, 20, 22) == 42


async def assert_no_such_tool(client: Client, peer: TheirServer) -> None:
    """An error of the protocol, or of a tool where the SDK has it so."""
    if peer.sdk == "typescript":
        with pytest.raises(RequestError) as caught:
            await client.call_tool("no-such-tool")
        assert caught.value.code == -32602
        text = caught.value.message
    else:
        result = await client.call_tool("no-such-tool")
        assert result.is_error
        text = text_of(result)
    assert "no-such-tool" in text


async def test_progress_beside_many_calls(their_server: TheirServer) -> None:
    seen: list[tuple[float, float | None, str | None]] = []
    totals: dict[int, int] = {}

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        seen.append((done, total, message))

    async def call(number: int) -> None:
        totals[number] = await add(client, number, 1000)

    async with open_client(their_server.command) as client, trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(call, number)
        result = await client.call_tool("countdown", {"steps": 5}, progress=on_progress)
    assert totals == {number: number + 1000 for number in range(50)}

    assert text_of(result) == "liftoff"
    # Reports that come in one piece are one: the latest. So the last one is always there.
    assert seen[-1] == (5, 5, "step 5")
    steps = [int(done) for done, _, _ in seen]
    assert steps == sorted(set(steps) & {1, 2, 3, 4, 5})
    assert seen == [(step, 5, f"step {step}") for step in steps]


async def test_elicitation(their_server: TheirServer) -> None:
    """Accepted with either content, declined, dismissed, and given up while the user thinks."""
    questions: list[ElicitRequestFormParams] = []
    thinking = trio.Event()
    answers: list[Any] = [{"ok": True}, {"ok": False}, None, ElicitResult("cancel"), "thinks"]

    async def answer(question: ElicitRequestFormParams) -> Any:
        questions.append(question)
        given = answers.pop(0)
        if given == "thinks":
            thinking.set()
            await trio.sleep_forever()
        return given

    async with open_client(their_server.command, elicitation=answer) as client:
        for expected in ("yes", "no", "no", "no"):
            result = await client.call_tool("ask")
            assert (result.is_error or False, text_of(result)) == (False, expected)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "ask")
            await thinking.wait()
            nursery.cancel_scope.cancel()
        assert await add(client, 20, 22) == 42

    assert len(questions) == 5
    assert {question.message for question in questions} == {"Go on?"}
    schema = questions[0].requested_schema
    assert schema["properties"]["ok"]["type"] == "boolean"
    assert schema["required"] == ["ok"]


async def assert_cannot_ask(client: Client, peer: TheirServer) -> None:
    """The server knows that this client has no callback for questions, and says so."""
    if (peer.sdk, peer.era) == ("typescript", "handshake"):
        result = await client.call_tool("ask")
        assert result.is_error
        assert "capability" in text_of(result)
        return
    with pytest.raises(RequestError) as caught:
        await client.call_tool("ask")
    assert caught.value.code == -32021
    assert caught.value.data == {"requiredCapabilities": {"elicitation": {"form": {}}}}


async def test_cancel_and_leave(their_server: TheirServer) -> None:
    """A call that is left is cancelled at the server; a client that is left ends the process."""
    child = Child()
    async with opened(their_server, child) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "forever")
            # Both travel on one pipe: when this is answered, the other has begun.
            await trio.testing.wait_all_tasks_blocked()
            assert await add(client, 2, 3) == 5
            nursery.cancel_scope.cancel()
        assert await cancelled_calls(client) == 1

        pid = await child.pid()
        assert exists(pid)
        began = trio.current_time()
    # It ended because its input did: no signal was due yet.
    assert trio.current_time() - began < SOON
    assert not exists(pid)


async def test_timeout_and_death(their_server: TheirServer) -> None:
    """After a timeout the connection is good; when the server dies, the calls in flight fail at
    once and say why, and so do those that come later."""
    child = Child()
    failures: list[ProcessDied] = []

    async def call() -> None:
        with pytest.raises(ProcessDied) as caught:
            await client.call_tool("forever")
        failures.append(caught.value)

    async with opened(their_server, child) as client:
        with pytest.raises(RequestTimeout):
            await client.call_tool("forever", timeout=0.1)
        assert await add(client, 2, 3) == 5
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked()
            os.kill(await child.pid(), signal.SIGKILL)
        await call()
    assert len(failures) == 3
    assert {failure.returncode for failure in failures} == {-signal.SIGKILL}


# -- leaving and failing to open --------------------------------------------------------------

TWO_SDKS = pytest.mark.parametrize("sdk", ["typescript", "python-asyncio"])


@TWO_SDKS
async def test_cancelled_client_leaves_no_process(sdk: str) -> None:
    child = Child()
    with trio.CancelScope() as scope:
        async with opened(TheirServer(sdk, "both"), child) as client:
            pid = await child.pid()
            assert await add(client, 2, 3) == 5
            scope.cancel()
            await client.call_tool("forever")
    assert scope.cancelled_caught
    assert not exists(pid)


@TWO_SDKS
async def test_server_ends_before_it_answers(sdk: str) -> None:
    with pytest.raises(ProcessDied, match="nonsense") as caught:
        async with open_client(server_command(sdk, "nonsense")):
            pass
    assert caught.value.returncode == 2


async def test_file_as_target() -> None:
    async with open_client(OUR_SERVER[-1]) as client:
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == 5


# -- revisions --------------------------------------------------------------------------------


async def agree(_: ElicitRequestFormParams) -> dict[str, bool]:
    return {"ok": True}


@TWO_SDKS
@pytest.mark.parametrize("revision", [*HANDSHAKE, STATELESS])
async def test_pinned_revision(sdk: str, revision: str) -> None:
    """A server that speaks all revisions is spoken to in the one that was asked for."""
    steps: list[float] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        steps.append(done)

    command = server_command(sdk, "both")
    async with open_client(command, revision=revision, elicitation=agree) as client:
        assert client.revision == revision
        await client.ping()
        tools = {tool.name: tool for tool in await client.list_tools()}
        result = await client.call_tool("add", {"a": 2, "b": 3})
        assert text_of(result) == "5"
        # Structure and questions came with 2025-06-18.
        is_new = revision >= "2025-06-18"
        assert (tools["add"].output_schema is not None) == is_new
        assert (result.structured_content == {"result": 5}) == is_new
        assert await asks(client) == is_new
        await client.call_tool("countdown", {"steps": 3}, progress=on_progress)
        assert steps[-1] == 3


async def asks(client: Client) -> bool:
    """Whether `ask` got its answer, or else was refused."""
    try:
        result = await client.call_tool("ask")
    except RequestError:
        return False
    assert result.is_error or text_of(result) == "yes"
    return not result.is_error


async def refused(command: list[str], revision: str | None) -> Exception:
    """What opening a client raises; the process is gone by then."""
    child = Child()
    with trio.fail_after(60), pytest.raises((NoCommonRevision, RequestError)) as caught:
        async with open_stdio_client(
            [*ANNOUNCE, *command], revision=revision, on_stderr=child.hear
        ):
            pass
    assert not exists(await child.pid())
    return caught.value


@pytest.mark.parametrize("sdk", SDKS)
async def test_pinned_to_the_era_that_the_server_lacks(sdk: str) -> None:
    error = await refused(server_command(sdk, "handshake"), STATELESS)
    assert isinstance(error, RequestError)
    assert error.code == -32601

    error = await refused(server_command(sdk, "stateless"), HANDSHAKE[-1])
    assert isinstance(error, NoCommonRevision)
    assert error.supported == (STATELESS,)


@pytest.mark.parametrize(
    ("offered", "revision", "agreed"),
    [
        ("2025-06-18,2024-11-05", None, "2025-06-18"),
        ("2024-11-05", None, "2024-11-05"),
        ("2025-06-18,2024-11-05", "2024-11-05", "2024-11-05"),
    ],
)
async def test_older_server(offered: str, revision: str | None, agreed: str) -> None:
    command = server_command("typescript", "handshake", "--revisions", offered)
    async with open_client(command, revision=revision) as client:
        assert client.revision == agreed
        await client.ping()


@pytest.mark.parametrize(
    ("offered", "revision"),
    [("2025-06-18,2024-11-05", "2025-11-25"), ("2024-10-07", None)],
)
async def test_no_common_revision(offered: str, revision: str | None) -> None:
    """The server answers with a revision that was not pinned, or that nobody here knows."""
    command = server_command("typescript", "handshake", "--revisions", offered)
    error = await refused(command, revision)
    assert isinstance(error, NoCommonRevision)
    assert error.supported == (offered.partition(",")[0],)
