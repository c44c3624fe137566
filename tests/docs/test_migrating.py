"""Whoever migrates gets the same: each pair of programs is asked the same, and says the same.

Their programs run in environments of their own. Where a pair differs, a test says how.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from tests.interop.test_parts import serving
from tests.ports import free_port
from trimcp import Client, open_client, open_stdio_client

from .migrating import (
    PROGRAMS,
    SAME,
    TOOLS,
    called,
    command,
    connected,
    program,
    prompted,
    python_of,
    read,
    tools,
)
from .pages import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

MAKERS: Final = ["trimcp", "fastmcp", "sdk"]

#: Seconds for one program.
PATIENCE: Final = 60.0

by_maker = pytest.mark.parametrize("maker", MAKERS)

# The first test that needs an environment makes it.
pytestmark = pytest.mark.timeout(200)


# -- the same ---------------------------------------------------------------------------------


@by_maker
@pytest.mark.parametrize("subject", SAME)
async def test_servers_say_the_same(subject: str, maker: str) -> None:
    ask, expected = SAME[subject]
    async with connected(subject, maker) as client:
        assert client.revision == "2026-07-28"
        assert await ask(client) == expected


async def test_a_server_of_the_sdk_before_says_the_same() -> None:
    async with connected("tools", "sdk_1") as client:
        assert client.revision == "2025-11-25"
        assert await tools(client) == TOOLS


@pytest.mark.parametrize("maker", [*MAKERS, "sdk_1"])
async def test_the_same_over_http(maker: str) -> None:
    port = free_port()
    async with (
        serving(port, *command("tools", maker), port),
        open_client(f"http://127.0.0.1:{port}/mcp") as client,
    ):
        assert await tools(client) == TOOLS


@by_maker
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_they_report_the_same(revision: str, maker: str) -> None:
    reports: list[Any] = []
    logs: list[Any] = []

    async with connected(
        "reporting",
        maker,
        revision=revision,
        logging=lambda record: logs.append((record.level, record.logger, record.data)),
    ) as client:
        result = await client.call_tool(
            "copy",
            {"files": ["a", "b"]},
            progress=lambda *report: reports.append(report),
        )
        assert result.text == "2"
    assert reports[-1] == (2, 2, "b")
    text = "The disk is nearly full."
    # FastMCP puts the text into an object, also without `extra=`.
    data = {"msg": text, "extra": None} if maker == "fastmcp" else text
    assert logs == [("warning", "disk", data)]


def answer(question: Any) -> dict[str, Any] | None:
    return {"guests": 4} if "Friday" in question.message else None


async def bookings(client: Client) -> list[Any]:
    return [await called(client, "book", day=day) for day in ("Friday", "Monday")]


BOOKED: Final = ["Booked: Friday, 4 guests, inside.", "Not booked: decline."]


@by_maker
async def test_they_ask_the_same(maker: str) -> None:
    forms = []

    def seen(question: Any) -> Any:
        properties = question.requested_schema["properties"]
        forms.append({name: each["type"] for name, each in properties.items()})
        return answer(question)

    async with connected("questions", maker, revision="2025-11-25", elicitation=seen) as client:
        assert await bookings(client) == BOOKED
        [tool] = await client.list_tools()
        result = await client.call_tool("book", {"day": "Friday"})
    assert forms == [{"guests": "integer", "place": "string"}] * 3
    # With them a text is structured content too.
    assert bool(tool.output_schema) is bool(result.structured_content) is (maker != "trimcp")


@by_maker
async def test_the_lifespan_is_left_when_the_client_goes(maker: str) -> None:
    said: list[str] = []
    async with connected("lifespan", maker, on_stderr=said.append) as client:
        await called(client, "keep", name="one", value=1)
    assert "closed with 2 values" in said


SEEN: Final = """\
tools: add_note find_notes add_notes delete_note
notes: 2
failed: There already is a note 'show'. Choose another title.
note: Friday
prompt: "Write a short summary of this note, called 'show':\\n\\nFriday"
asked: Delete the note 'show' for good?
deleted: Deleted 'show'.
error: {code} {{'uri': 'note://show'}}
progress: (2.0, 2.0, 'shop')
"""


@pytest.mark.parametrize("maker", [*MAKERS, "sdk_1"])
def test_clients_see_the_same(maker: str, tmp_path: Path) -> None:
    server = [sys.executable, str(EXAMPLES / "tutorial_5.py")]
    done = subprocess.run(
        [*command("client", maker), *server],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    # Version 1 knows no revision in which the code is another.
    assert done.stdout == SEEN.format(code=-32002 if maker == "sdk_1" else -32602)


@pytest.mark.parametrize(
    ("maker", "setting"),
    [("trimcp", "trio_mode = true"), ("fastmcp", "asyncio_mode = auto"), ("sdk", "")],
)
def test_their_tests_pass(maker: str, setting: str, tmp_path: Path) -> None:
    for subject in ("tools", "test_tools"):
        shutil.copy(program(subject, maker), tmp_path)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\n{setting}\n")
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [python_of(maker), *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


# -- what differs -----------------------------------------------------------------------------


@by_maker
async def test_questions_of_the_stateless_era(maker: str) -> None:
    async with connected("questions", maker, elicitation=answer) as client:
        assert client.revision == "2026-07-28"
        booked = await bookings(client)
    if maker == "trimcp":
        assert booked == BOOKED
    elif maker == "sdk":
        assert booked == [("error", -32600, None)] * 2
    else:
        assert {kind for kind, _ in booked} == {"failed"}
        assert "unavailable on 2026-07-28 connections" in booked[0][1]


@by_maker
async def test_arguments_and_results_of_tools(maker: str) -> None:
    async with connected("tools", maker) as client:
        flaw = await called(client, "find_books", word="Emma", after=3)
        unknown = await called(client, "find_books", word="Emma", until=1900)
        tool = await called(client, "no_such_tool")
        books = (await client.call_tool("find_books", {"word": "m"})).content
        none = await client.call_tool("find_books", {"word": "x"})
        titles = [tool.title for tool in await client.list_tools()]
    assert flaw[0] == "failed"
    assert "Input should be greater than or equal to 1450" in flaw[1]
    assert flaw[1].startswith("Invalid arguments for tool find_books:") is (maker == "trimcp")
    # The official SDK ignores what is unknown.
    ignored = [{"title": "Emma", "year": 1815}]
    assert (unknown == ignored) is (maker == "sdk")
    assert (unknown[0] == "failed") is (maker != "sdk")
    assert tool[:2] == (("error", -32602) if maker == "trimcp" else ("failed", tool[1]))
    # It makes a text of each item, and neither of them has one for no item.
    assert len(books) == (2 if maker == "sdk" else 1)
    assert len(none.content) == (1 if maker == "trimcp" else 0)
    assert none.structured_content == ([] if maker == "trimcp" else {"result": []})
    assert (titles == ["Find Books", "Oldest"]) is (maker == "fastmcp")


#: How each maker's server begins, in a program of a few lines.
BEGINNINGS: Final = {
    "trimcp": "from trimcp import Server\nserver = Server('inline')\ntool = server.tool\n",
    "fastmcp": "from fastmcp import FastMCP\nserver = FastMCP('inline')\ntool = server.tool\n",
    "sdk": "from mcp.server import MCPServer\nserver = MCPServer('x')\ntool = server.tool()\n",
}

FUNCTIONS: Final = """
import threading
import anyio

def is_main(times: int = 1) -> bool:
    '''Whether this is the main thread.

    Args:
        times: How often.
    '''
    return threading.current_thread() is threading.main_thread()

async def rest() -> int:
    await anyio.sleep(0)
    return 1

tool(is_main)
tool(rest)
server.run()
"""


@by_maker
async def test_functions(maker: str) -> None:
    program = [python_of(maker), "-c", BEGINNINGS[maker] + FUNCTIONS]
    async with open_stdio_client(program, on_stderr=lambda line: None) as client:
        assert await called(client, "is_main") is False
        assert await called(client, "rest") == 1
        [schema, _] = [tool.input_schema for tool in await client.list_tools()]
    described = schema["properties"]["times"].get("description")
    assert described == (None if maker == "sdk" else "How often.")


ENVIRONMENT_SERVER: Final = """
import os
from trimcp import Server
server = Server("environment")

@server.tool
def names() -> str:
    return " ".join(sorted(os.environ))

server.run()
"""

#: Clients that print what their server says of its environment.
ENVIRONMENT_CLIENTS: Final = {
    "trimcp": """
import sys, trio
from trimcp import open_client
async def main():
    async with open_client(sys.argv[1:]) as client:
        print((await client.call_tool("names")).text)
trio.run(main)
""",
    "fastmcp": """
import asyncio, sys
from fastmcp import Client
from fastmcp.client.transports import StdioTransport
async def main():
    async with Client(StdioTransport(sys.argv[1], sys.argv[2:])) as client:
        print((await client.call_tool("names")).content[0].text)
asyncio.run(main())
""",
    "sdk": """
import anyio, sys
from mcp import Client, StdioServerParameters
async def main():
    parameters = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    async with Client(parameters) as client:
        print((await client.call_tool("names")).content[0].text)
anyio.run(main)
""",
}


@by_maker
def test_the_environment_of_a_child(maker: str, tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text(ENVIRONMENT_SERVER)
    done = subprocess.run(
        [python_of(maker), "-c", ENVIRONMENT_CLIENTS[maker], sys.executable, "server.py"],
        cwd=tmp_path,
        env={**os.environ, "OF_MINE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "PATH" in done.stdout.split()
    assert ("OF_MINE" in done.stdout.split()) is (maker == "trimcp")


@by_maker
async def test_resources_that_are_not_there(maker: str) -> None:
    async with connected("resources", maker) as client:
        nobody = await read(client, "user://9")
        no_number = await read(client, "user://x")
        outside = await read(client, "page://../etc/passwd")
    assert nobody == ("error", -32603 if maker == "fastmcp" else -32602)
    assert no_number == ("error", -32602 if maker == "trimcp" else -32603)
    # All refuse such a path before the function sees it.
    assert outside == ("error", -32602)


@by_maker
async def test_arguments_of_prompts(maker: str) -> None:
    async with connected("prompts", maker) as client:
        missing = await prompted(client, "explain")
        unknown = await prompted(client, "explain", topic="Trio", tone="dry")
        prompt = await prompted(client, "no_such_prompt")
    refused = ("error", -32603 if maker == "sdk" else -32602)
    assert missing == prompt == refused
    assert (unknown == refused) is (maker != "fastmcp")


@by_maker
async def test_errors_in_words(maker: str) -> None:
    async with connected("errors", maker) as client:
        said = [await called(client, tool) for tool in ("stumble", "close")]
        said.insert(0, await called(client, "take", count=7))
    told = "There are not 7 left. Take 3."
    closed = ("error", 4711, {"since": "Monday"})
    assert (
        said
        == {
            "trimcp": [("failed", told), ("failed", "The tool failed unexpectedly."), closed],
            "fastmcp": [
                ("failed", told),
                ("failed", "Error calling tool 'stumble'"),
                ("failed", "Error calling tool 'close'"),
            ],
            "sdk": [
                ("failed", f"Error executing tool take: {told}"),
                ("failed", "Error executing tool stumble"),
                closed,
            ],
        }[maker]
    )


async def test_fastmcp_shows_details_of_errors_if_not_told_otherwise() -> None:
    shown = f"""
import sys
sys.path.insert(0, {str(PROGRAMS)!r})
import fastmcp
fastmcp.FastMCP = lambda *a, mask_error_details, base=fastmcp.FastMCP, **k: base(*a, **k)
from errors_fastmcp import mcp
mcp.run()
"""
    command = [python_of("fastmcp"), "-c", shown]
    async with open_stdio_client(command, on_stderr=lambda line: None) as client:
        assert await called(client, "stumble") == (
            "failed",
            "Error calling tool 'stumble': 'a secret'",
        )
        assert await called(client, "close") == (
            "failed",
            "Error calling tool 'close': It is closed already.",
        )


async def test_the_sdk_runs_on_trio_too() -> None:
    """On standard streams, where anyio decides."""
    on_trio = f"""
import sys
sys.path.insert(0, {str(PROGRAMS)!r})
import anyio, trio
from tools_sdk import mcp
@mcp.tool()
async def rest() -> int:
    await trio.sleep(0)
    return 1
anyio.run(mcp.run_stdio_async, backend="trio")
"""
    with trio.fail_after(PATIENCE):
        async with open_stdio_client([sys.executable, "-c", on_trio]) as client:
            assert await called(client, "rest") == 1
