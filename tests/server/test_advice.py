"""Errors that say what to do: names that were meant, results that do not fit, code for asyncio."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import Context, NotServing, Principal, RequestError, Server, open_client
from trimcp._similar import did_you_mean
from trimcp.auth import StaticTokenVerifier
from trimcp.testing import called_by

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

PAGE = '"Libraries made for asyncio" (docs/asyncio.md)'


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("wether", ["weather", "warmest"], "; did you mean 'weather'?"),
        ("Weather", ["weather"], "; did you mean 'weather'?"),
        ("--outptu", ["--output", "--timeout"], "; did you mean '--output'?"),
        ("unknown", ["weather"], ""),
        ("", ["weather"], ""),
        ("weather", [], ""),
        ("w" * 41, ["w" * 40], ""),
        ("w" * 40, ["w" * 41], ""),
    ],
)
def test_a_similar_name_is_suggested(name: str, known: list[str], hint: str) -> None:
    assert did_you_mean(name, known) == hint


def test_the_names_that_are_compared_are_bounded() -> None:
    """However many there are, and however long the name is that a peer sends."""
    looked_at = 0

    def names() -> Any:
        nonlocal looked_at
        while True:
            looked_at += 1
            yield f"name-{looked_at}"

    assert did_you_mean("name-0", names()) != ""
    assert looked_at <= 500
    assert did_you_mean("n" * 1_000_000, names()) == ""
    assert looked_at <= 500


def make_server() -> Server[None]:
    server: Server[None] = Server(
        "weather", auth=StaticTokenVerifier({"token": Principal("ann", scopes=set())})
    )

    @server.tool
    async def weather(city: str, unit: str = "celsius") -> str:
        return city + unit

    @server.tool(scopes={"admin"})
    async def delete_all() -> None: ...

    @server.prompt
    async def greet(name: str) -> str:
        return name

    @server.prompt(scopes={"admin"})
    async def secrets(name: str) -> str:
        return name

    return server


async def test_tools_and_prompts_are_suggested() -> None:
    async with open_client(make_server()) as client:
        for asked, message in [
            (client.call_tool("wether"), "Unknown tool: wether; did you mean 'weather'?"),
            (client.call_tool("forecasts"), "Unknown tool: forecasts"),
            (client.call_tool("delete_al"), "Unknown tool: delete_al; did you mean 'delete_all'?"),
            (client.get_prompt("great"), "Unknown prompt: great; did you mean 'greet'?"),
        ]:
            with pytest.raises(RequestError) as caught:
                await asked
            assert caught.value.message == message


async def test_no_name_is_told_that_scopes_hide_from_the_caller() -> None:
    """Whoever has the scope is told it."""
    for scopes, hints in [
        (set(), ("", "")),
        ({"admin"}, ("; did you mean 'delete_all'?", "; did you mean 'secrets'?")),
    ]:
        principal = Principal("ann", scopes=scopes)
        async with open_client(called_by(make_server(), principal)) as client:
            with pytest.raises(RequestError) as tool:
                await client.call_tool("delete_al")
            with pytest.raises(RequestError) as prompt:
                await client.get_prompt("secret")
        assert tool.value.message == f"Unknown tool: delete_al{hints[0]}"
        assert prompt.value.message == f"Unknown prompt: secret{hints[1]}"


async def test_parameters_are_suggested() -> None:
    async with open_client(make_server()) as client:
        result = await client.call_tool("weather", {"citty": "Lima"})
        headline, *flaws = result.text.splitlines()
        assert headline == "Invalid arguments for tool weather:"
        # Older versions of pydantic name them in the other order.
        assert sorted(flaws) == [
            "$.citty: Extra inputs are not permitted; did you mean 'city'?",
            "$.city: Field required",
        ]
        with pytest.raises(RequestError, match="did you mean 'name'"):
            await client.get_prompt("greet", {"nam": "Ada"})


# -- results ----------------------------------------------------------------------------------


async def fetch() -> str:
    """What a tool forgets to await."""
    return "text"


def failing_server() -> Server[None]:
    server: Server[None] = Server("failing")

    @server.tool
    async def wrong() -> int:
        return "many"  # type: ignore[return-value]

    @server.tool
    async def forgotten() -> str:
        return fetch()  # type: ignore[return-value]

    @server.prompt
    async def prompt_forgotten() -> str:
        return fetch()  # type: ignore[return-value]

    @server.resource("x://forgotten")
    async def resource_forgotten() -> str:
        return fetch()  # type: ignore[return-value]

    return server


@pytest.mark.parametrize(
    ("method", "name", "expected"),
    [
        ("call_tool", "wrong", "returned a str: correct that, or its return annotation."),
        ("call_tool", "forgotten", "returned a coroutine: write `await` before fetch(...)."),
        ("get_prompt", "prompt_forgotten", "write `await` before fetch(...)."),
        ("read_resource", "x://forgotten", "write `await` before fetch(...)."),
    ],
)
async def test_the_log_says_what_to_do_about_a_result(
    method: str, name: str, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_client(failing_server()) as client:
        try:
            answer = str((await getattr(client, method)(name)).content)
        except RequestError as error:
            answer = str(error)
    assert "unexpectedly" in answer or "Internal error" in answer
    assert "await" not in answer
    [record] = caplog.records
    note = logged_text(record).splitlines()[-1]
    assert note.endswith(expected)
    assert "test_advice.py, line " in note


def logged_text(record: logging.LogRecord) -> str:
    assert record.exc_info is not None
    return "".join(traceback.format_exception(record.exc_info[1])).rstrip()


# -- asyncio ----------------------------------------------------------------------------------


async def asyncio_sleep(ctx: Context) -> None:
    await asyncio.sleep(1)


async def asyncio_yields(ctx: Context) -> None:
    await asyncio.sleep(0)


async def asyncio_waits(ctx: Context) -> None:
    await asyncio.Event().wait()


async def asyncio_in_a_nursery(ctx: Context) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asyncio.sleep, 1)


def asyncio_in_a_thread(ctx: Context) -> None:
    asyncio.get_running_loop()


@pytest.mark.parametrize(
    "tool",
    [asyncio_sleep, asyncio_yields, asyncio_waits, asyncio_in_a_nursery, asyncio_in_a_thread],
    ids=lambda tool: tool.__name__,
)
async def test_code_for_asyncio_is_recognized(
    tool: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    server: Server[None] = Server("asyncio")
    server.tool(tool)
    async with open_client(server) as client:
        result = await client.call_tool(tool.__name__)
    assert result.content[0].text == "The tool failed unexpectedly."  # type: ignore[union-attr]
    [record] = caplog.records
    text = logged_text(record)
    assert text.count(PAGE) == 1
    assert text.splitlines()[-1].startswith("This code is made for asyncio, and trimcp runs on Tri")


async def test_other_errors_get_no_advice(caplog: pytest.LogCaptureFixture) -> None:
    server: Server[None] = Server("other")

    @server.tool
    async def fail() -> None:
        raise RuntimeError("no running engine")

    async with open_client(server) as client:
        await client.call_tool("fail")
    [record] = caplog.records
    assert PAGE not in logged_text(record)


async def test_a_lifespan_for_asyncio_is_recognized() -> None:
    server: Server[None] = Server("asyncio")

    @server.on_startup
    async def start() -> None:
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="no running event loop") as caught:
        async with server.application():
            raise AssertionError("unreachable")
    assert PAGE in "".join(getattr(caught.value, "__notes__", ()))


def test_asyncio_run_is_answered_with_the_page() -> None:
    server: Server[None] = Server("asyncio")

    async def connect() -> None:
        async with open_client("http://127.0.0.1:9/mcp"):
            raise AssertionError("unreachable")

    for start in (server.serve_stdio, lambda: server.serve_http("127.0.0.1", 0)):
        with pytest.raises(NotServing) as caught:
            asyncio.run(start())
        assert PAGE in str(caught.value)
    with pytest.raises(RuntimeError) as refused:
        asyncio.run(connect())
    assert PAGE in str(refused.value)
