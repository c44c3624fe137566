"""Middleware: what it sees, its order, and what it can put in place of a result."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import (
    Context,
    RegistrationError,
    RequestError,
    Server,
    ToolError,
    open_client,
)
from trimcp.errors import INVALID_PARAMS
from trimcp.protocol import LATEST, LATEST_HANDSHAKE
from trimcp.types import CallToolResult, InputRequiredResult, TextContent

if TYPE_CHECKING:
    from trimcp import CallNext
    from trimcp.types import ElicitRequestFormParams

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])


@dataclass
class Word:
    word: str


async def answer(form: ElicitRequestFormParams) -> dict[str, Any]:
    return {"word": form.message.lower()}


def watched() -> tuple[Server, list[str]]:
    """A server, and what its middleware saw."""
    server = Server("watched")
    seen: list[str] = []

    @server.middleware
    async def outer(ctx: Context, call_next: CallNext) -> Any:
        seen.append(f"+outer {ctx.method}")
        try:
            return await call_next()
        finally:
            seen.append("-outer")

    @server.middleware
    async def inner(ctx: Context, call_next: CallNext) -> Any:
        seen.append(f"+inner {ctx.params.get('name', '')}")
        try:
            result = await call_next()
        except Exception as error:
            seen.append(f"-inner {type(error).__name__}")
            raise
        seen.append(f"-inner {type(result).__name__}")
        return result

    @server.tool
    async def echo(text: str) -> str:
        assert server.request_context.method == "tools/call"
        return text

    @server.tool
    async def refuse() -> None:
        raise ToolError("never")

    @server.tool
    async def ask(ctx: Context) -> str:
        first = await ctx.elicit("ONE", Word)
        second = await ctx.elicit("TWO", Word)
        return f"{first.word} {second.word}"

    return server, seen


@by_era
async def test_order(revision: str) -> None:
    server, seen = watched()
    async with open_client(server, revision=revision) as client:
        seen.clear()
        assert (await client.call_tool("echo", {"text": "a"})).text == "a"
        assert seen == ["+outer tools/call", "+inner echo", "-inner CallToolResult", "-outer"]


@by_era
async def test_errors_pass_through(revision: str) -> None:
    server, seen = watched()
    async with open_client(server, revision=revision) as client:
        seen.clear()
        result = await client.call_tool("refuse")
        assert (result.is_error, result.text) == (True, "never")
        assert seen[2:] == ["-inner ToolError", "-outer"]
        with pytest.raises(RequestError):
            await client.call_tool("unknown")
        assert seen[-2:] == ["-inner RequestError", "-outer"]
        with pytest.raises(RequestError):
            await client.request("unknown/method")
        assert seen[-4:-2] == ["+outer unknown/method", "+inner "]


async def test_each_round_of_a_question() -> None:
    server, seen = watched()
    async with open_client(server, elicitation=answer) as client:
        seen.clear()
        assert (await client.call_tool("ask")).text == "one two"
    rounds = [each for each in seen if each.startswith("-inner")]
    assert rounds == [
        f"-inner {InputRequiredResult.__name__}",
        f"-inner {InputRequiredResult.__name__}",
        f"-inner {CallToolResult.__name__}",
    ]
    assert seen.count("+outer tools/call") == seen.count("-outer") == 3


async def test_question_of_a_session_is_one_round() -> None:
    server, seen = watched()
    async with open_client(server, elicitation=answer, revision=LATEST_HANDSHAKE.date) as client:
        seen.clear()
        assert (await client.call_tool("ask")).text == "one two"
    assert seen == ["+outer tools/call", "+inner ask", "-inner CallToolResult", "-outer"]


@by_era
async def test_putting_something_in_place(revision: str) -> None:
    server = Server("s")
    calls = 0

    @server.middleware
    async def replace(ctx: Context, call_next: CallNext) -> Any:
        if ctx.method != "tools/call":
            return await call_next()
        name = ctx.params["name"]
        if name == "cached":
            return CallToolResult((TextContent("from the cache"),))
        if name == "refused":
            raise RequestError(INVALID_PARAMS, "not you")
        if name == "told":
            raise ToolError("told the model")
        await call_next()
        return await call_next()

    @server.tool
    async def count() -> int:
        nonlocal calls
        calls += 1
        return calls

    async with open_client(server, revision=revision) as client:
        assert (await client.call_tool("cached")).text == "from the cache"
        with pytest.raises(RequestError, match="not you"):
            await client.call_tool("refused")
        assert (await client.call_tool("told")).text == "told the model"
        assert (await client.call_tool("count")).text == "2", "it may go on more than once"


@by_era
async def test_bug_in_middleware_leaks_nothing(
    revision: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server("s")

    @server.middleware
    async def broken(ctx: Context, call_next: CallNext) -> Any:
        if ctx.method == "tools/list":
            raise ValueError("secret")
        return await call_next()

    async with open_client(server, revision=revision) as client:
        with pytest.raises(RequestError) as caught:
            await client.list_tools()
        assert "secret" not in str(caught.value)
        assert "secret" in caplog.text


async def test_forgotten_return(caplog: pytest.LogCaptureFixture) -> None:
    server = Server("s")

    @server.middleware
    async def forgetful(ctx: Context, call_next: CallNext) -> Any:
        result = await call_next()
        if ctx.method != "tools/list":
            return result

    async with open_client(server) as client:
        with pytest.raises(RequestError, match="Internal error"):
            await client.list_tools()
    assert "it must return what call_next() gave" in caplog.text


@by_era
async def test_cancelling(revision: str, autojump_clock: object) -> None:
    """A cancelled round is cancelled in its middleware, and in the handler that may ask."""
    server, seen = watched()
    ended = trio.Event()

    @server.tool
    async def wait(ctx: Context) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with open_client(server, revision=revision, elicitation=answer) as client:
        seen.clear()
        with trio.move_on_after(1):
            await client.call_tool("wait")
        with trio.fail_after(5):
            await ended.wait()
        await client.ping()
        assert seen[:3] == ["+outer tools/call", "+inner wait", "-outer"]


async def test_middleware_cannot_ask() -> None:
    server = Server("s")

    @server.middleware
    async def ask(ctx: Context, call_next: CallNext) -> Any:
        if ctx.method == "tools/call":
            await ctx.elicit("Well?", Word)
        return await call_next()

    @server.tool
    async def echo(ctx: Context) -> None: ...

    async with open_client(server, elicitation=answer) as client:
        with pytest.raises(RequestError, match="Context parameter"):
            await client.call_tool("echo")


def test_what_is_no_middleware() -> None:
    server = Server("s")

    def plain(ctx: Context, call_next: CallNext) -> Any: ...

    async def alone(ctx: Context) -> Any: ...

    for flawed in (plain, alone):
        with pytest.raises(RegistrationError):
            server.middleware(flawed)  # type: ignore[type-var]


async def test_a_partial() -> None:
    async def counted(seen: list[str], ctx: Context, call_next: CallNext) -> Any:
        seen.append(ctx.method)
        return await call_next()

    server, seen = Server("s"), list[str]()
    server.middleware(functools.partial(counted, seen))
    async with open_client(server) as client:
        await client.list_tools()
    assert seen == ["server/discover", "tools/list"]


async def test_callable_object() -> None:
    class Count:
        requests = 0

        async def __call__(self, ctx: Context, call_next: CallNext) -> Any:
            self.requests += 1
            return await call_next()

    server, count = Server("s"), Count()
    server.middleware(count)
    async with open_client(server) as client:
        await client.list_tools()
    assert count.requests == 2, "server/discover and tools/list"
