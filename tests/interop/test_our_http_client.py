"""The trimcp client against HTTP servers made with other SDKs, in both eras."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.lowlevel

from trimcp import (
    Client,
    ConnectionLost,
    RequestError,
    RequestTimeout,
    ToolsListChanged,
    open_http_client,
)

from .conftest import HERE, NODE
from .test_our_client import SOON, add, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimcp.types import ElicitRequestFormParams

pytestmark = pytest.mark.usefixtures("node_modules")

PROGRAMS = {
    "python": [sys.executable, str(HERE / "http_server_sdk.py")],
    "typescript": [str(NODE), str(HERE / "http_server.mjs")],
}


def started(sdk: str) -> tuple[subprocess.Popen[str], str]:
    """A server's process and its URL."""
    process = subprocess.Popen(
        PROGRAMS[sdk], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    assert url.startswith("http://"), "the server did not start"
    return process, url


def stop(process: subprocess.Popen[str]) -> None:
    """It may hold calls that never end, so it is not asked nicely."""
    process.kill()
    process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """The servers, by SDK; each serves all tests."""
    processes = {sdk: started(sdk) for sdk in PROGRAMS}
    try:
        yield {sdk: url for sdk, (_, url) in processes.items()}
    finally:
        for process, _ in processes.values():
            stop(process)


@attrs.frozen
class Endpoint:
    """One way that a server is spoken to.

    Attributes:
        sdk: What it is made with.
        path: Where.
        revision: What is pinned, if anything.
        agreed: What comes of it.
        streams: Whether progress comes before the answer.
        asks: Whether it can ask, given how it is deployed.
        notices: Whether it notices that a call was left.
    """

    sdk: str
    path: str
    agreed: str
    revision: str | None = None
    streams: bool = True
    asks: bool = True
    notices: bool = True

    def __str__(self) -> str:
        return f"{self.sdk}{self.path}-{self.agreed}"


ENDPOINTS = [
    Endpoint("python", "/mcp", "2026-07-28"),
    # It answers in one piece, and does not watch who waits for it.
    Endpoint("python", "/json", "2026-07-28", streams=False, notices=False),
    Endpoint("python", "/mcp", "2025-11-25", revision="2025-11-25"),
    Endpoint("python", "/mcp", "2025-06-18", revision="2025-06-18"),
    Endpoint("python", "/mcp", "2025-03-26", revision="2025-03-26", asks=False),
    Endpoint("python", "/old", "2025-11-25"),
    Endpoint("python", "/sse", "2025-11-25"),
    Endpoint("typescript", "/mcp", "2026-07-28"),
    # Every request is served by itself, so there is no way back for a question.
    Endpoint("typescript", "/mcp", "2025-11-25", revision="2025-11-25", asks=False, notices=False),
    Endpoint("typescript", "/session", "2025-11-25"),
    Endpoint("typescript", "/session", "2025-06-18", revision="2025-06-18"),
]


@pytest.fixture(params=ENDPOINTS, ids=str)
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    found: Endpoint = request.param
    return found


def client_of(urls: dict[str, str], endpoint: Endpoint, **options: Any) -> Any:
    return open_http_client(
        urls[endpoint.sdk] + endpoint.path, revision=endpoint.revision, **options
    )


async def test_calls(urls: dict[str, str], endpoint: Endpoint) -> None:
    """What it says of itself, its tools, results, and errors of tools and of the protocol."""
    async with client_of(urls, endpoint) as client:
        assert client.revision == endpoint.agreed
        assert client.server_info is not None
        assert client.server_info.name == f"{endpoint.sdk}-sdk-peer"
        await client.ping()
        tools = {tool.name: tool for tool in await client.list_tools()}
        assert {"add", "slow", "countdown", "fail", "ask", "forever", "cancelled"} <= set(tools)
        result = await client.call_tool("add", {"a": 2, "b": 3})
        assert text_of(result) == "5"
        assert (await client.call_tool("fail")).is_error
        with pytest.raises(RequestError) as caught:
            await client.request("no/such/method")
        assert caught.value.code == -32601
        assert text_of(await client.call_tool("add", {"a": 20, "b": 22})) == "42"


async def test_progress_beside_many_calls(urls: dict[str, str], endpoint: Endpoint) -> None:
    seen: list[float] = []
    texts: dict[int, str] = {}

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        assert (total, message) == (5, f"step {done:g}")
        seen.append(done)

    async def call(number: int) -> None:
        texts[number] = text_of(await client.call_tool("add", {"a": number, "b": 1000}))

    async with client_of(urls, endpoint) as client, trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(call, number)
        result = await client.call_tool("countdown", {"steps": 5}, progress=on_progress)
    assert texts == {number: str(number + 1000) for number in range(30)}
    assert text_of(result) == "liftoff"
    if endpoint.streams:
        # Reports that come in one piece are one: the latest.
        assert seen[-1] == 5
        assert seen == sorted(set(seen))


async def test_elicitation(urls: dict[str, str], endpoint: Endpoint) -> None:
    questions: list[ElicitRequestFormParams] = []
    answers: list[Any] = [{"ok": True}, {"ok": False}, None]

    async def answer(question: ElicitRequestFormParams) -> Any:
        questions.append(question)
        return answers.pop(0)

    async with client_of(urls, endpoint, elicitation=answer) as client:
        if not endpoint.asks:
            await assert_does_not_ask(client)
            return
        for expected in ("yes", "no", "no"):
            assert text_of(await client.call_tool("ask")) == expected
    assert {question.message for question in questions} == {"Go on?"}
    assert len(questions) == 3


async def assert_does_not_ask(client: Client) -> None:
    try:
        assert (await client.call_tool("ask")).is_error
    except RequestError:
        return


async def test_leaving_a_call(urls: dict[str, str], endpoint: Endpoint) -> None:
    """The server's handler is cancelled, and so it is after a timeout; the client goes on."""
    async with client_of(urls, endpoint) as client:
        before = int(text_of(await client.call_tool("cancelled")))
        with trio.move_on_after(0.2):
            await client.call_tool("forever")
        with pytest.raises(RequestTimeout):
            await client.call_tool("forever", timeout=0.2)
        assert text_of(await client.call_tool("add", {"a": 1, "b": 1})) == "2"
        if endpoint.notices:
            with trio.fail_after(SOON):
                while int(text_of(await client.call_tool("cancelled"))) < before + 2:
                    pass


async def test_logs(urls: dict[str, str]) -> None:
    for path in ("/mcp", "/old", "/sse"):
        logs: list[Any] = []

        async def on_log(message: Any, logs: list[Any] = logs) -> None:
            logs.append(message.data)

        async with open_http_client(urls["python"] + path, logging=on_log) as client:
            assert text_of(await client.call_tool("chatty")) == "said"
            assert logs == ["line 0", "line 1", "line 2"]


async def test_changes(urls: dict[str, str]) -> None:
    async with open_http_client(urls["typescript"] + "/mcp") as client:
        async with client.listen(tools_list_changed=True) as changes:
            for _ in range(3):
                await client.call_tool("touch")
                with trio.fail_after(SOON):
                    assert await anext(changes) == ToolsListChanged()
        # A stream that was left delays nobody.
        assert await add(client, 2, 3) == 5


async def test_an_answer_that_takes_a_detour(urls: dict[str, str]) -> None:
    """The server closes the stream of the call; the answer is fetched from where it was."""
    async with open_http_client(urls["typescript"] + "/session") as client:
        for _ in range(3):
            assert text_of(await client.call_tool("detour")) == "arrived"


async def test_a_session_that_the_server_forgets(urls: dict[str, str]) -> None:
    async with open_http_client(urls["typescript"] + "/session") as client:
        await client.call_tool("forget")
        await trio.lowlevel.checkpoint()
        assert await add(client, 2, 3) == 5
        assert await add(client, 4, 5) == 9


@pytest.mark.parametrize("sdk", PROGRAMS)
async def test_the_server_dies(sdk: str) -> None:
    """Calls in flight fail at once and say why, and so do those that come later."""
    process, url = started(sdk)
    failures: list[ConnectionLost] = []

    async def call() -> None:
        with pytest.raises(ConnectionLost) as caught:
            await client.call_tool("forever")
        failures.append(caught.value)

    try:
        with trio.fail_after(SOON):
            async with open_http_client(url + "/mcp") as client:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(call)
                    nursery.start_soon(call)
                    await client.call_tool("slow")
                    process.kill()
                await call()
        assert len(failures) == 3
        assert all(failure.__cause__ is not None for failure in failures)
    finally:
        stop(process)
