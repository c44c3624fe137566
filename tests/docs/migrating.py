"""The programs of the pages about migrating, and what their servers are asked."""

from __future__ import annotations

import json
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.interop.environments import programs_of
from trimcp import Client, RequestError, open_stdio_client
from trimcp.types import UNSET, CallToolResult

from .pages import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

PROGRAMS: Final = EXAMPLES / "migrating"

#: Where each maker's programs run, and "" is where the tests do.
ENVIRONMENTS: Final = {"trimcp": "", "sdk": "", "fastmcp": "fastmcp", "sdk_1": "mcp-1.30"}


def python_of(maker: str) -> str:
    """The interpreter that runs a maker's programs."""
    name = ENVIRONMENTS[maker]
    return str(programs_of(name) / "python") if name else sys.executable


def program(subject: str, maker: str) -> Path:
    return PROGRAMS / f"{subject}_{maker}.py"


def command(subject: str, maker: str) -> list[str]:
    """What starts a program."""
    return [python_of(maker), str(program(subject, maker))]


@asynccontextmanager
async def connected(subject: str, maker: str, **options: Any) -> AsyncIterator[Client]:
    """A client of a maker's server, on standard streams."""
    options.setdefault("on_stderr", lambda line: None)
    async with open_stdio_client(command(subject, maker), **options) as client:
        yield client


def structured(result: CallToolResult) -> Any:
    """The structured content, as it was before it was wrapped; or else the text."""
    content = result.structured_content
    if content is UNSET:
        return result.text
    if isinstance(content, dict) and set(content) == {"result"}:
        return content["result"]
    return content


async def called(client: Client, tool: str, **arguments: Any) -> Any:
    """What a call gives, in a form that can be compared."""
    try:
        result = await client.call_tool(tool, arguments)
    except RequestError as error:
        return "error", error.code, error.data
    return ("failed", result.text) if result.is_error else structured(result)


async def read(client: Client, uri: str) -> Any:
    """The contents of a resource, with JSON parsed, or the code of an error."""
    try:
        [contents] = (await client.read_resource(uri)).contents
    except RequestError as error:
        return "error", error.code
    if contents.mime_type == "application/json":
        return json.loads(contents.text)  # type: ignore[union-attr]
    return getattr(contents, "text", None) or getattr(contents, "blob", None)


async def prompted(client: Client, name: str, **arguments: str) -> Any:
    """The messages of a prompt, or the code of an error."""
    try:
        result = await client.get_prompt(name, arguments)
    except RequestError as error:
        return "error", error.code
    return [(each.role, each.content.text) for each in result.messages]  # type: ignore[union-attr]


# -- what the servers are asked, for which all makers answer the same ----------------------------


async def tools(client: Client) -> Any:
    call = partial(called, client)
    listed = {tool.name: tool for tool in await client.list_tools()}
    schema = listed["find_books"].input_schema
    assert client.server_info is not None
    return {
        "about": (client.server_info.name, client.instructions),
        "listed": {name: tool.description for name, tool in listed.items()},
        "required": schema["required"],
        "types": {name: each["type"] for name, each in schema["properties"].items()},
        "after": schema["properties"]["after"]["description"],
        "found": await call("find_books", word="m"),
        "text for a number": await call("find_books", word="m", after="1850"),
        "none": await call("find_books", word="x"),
        "a model": await call("oldest"),
    }


TOOLS: Final = {
    "about": ("library", "Ask it about books."),
    "listed": {
        "find_books": "Find books by a word of their title.",
        "oldest": "Tell which book is the oldest.",
    },
    "required": ["word"],
    "types": {"word": "string", "after": "integer"},
    "after": "The first year.",
    "found": [{"title": "Emma", "year": 1815}, {"title": "Middlemarch", "year": 1871}],
    "text for a number": [{"title": "Middlemarch", "year": 1871}],
    "none": [],
    "a model": {"title": "Emma", "year": 1815},
}


async def resources(client: Client) -> Any:
    templates = await client.list_resource_templates()
    asked = ["config://app", "user://1", "page://a/b%20c", "posts://ada", "posts://ada?limit=5"]
    return {
        "listed": {each.uri: each.description for each in await client.list_resources()},
        "templates": sorted(each.name for each in templates),
        "read": [await read(client, uri) for uri in asked],
        "bytes": await read(client, "logo://small"),
        "nothing": await read(client, "nothing://there"),
    }


RESOURCES: Final = {
    "listed": {"config://app": "The settings.", "logo://small": "A picture."},
    "templates": ["page", "posts", "user"],
    "read": [
        {"theme": "dark"},
        "Ada",
        "The page at a/b c",
        "2 posts by ada",
        "5 posts by ada",
    ],
    "bytes": "R0lGODlhAQABAAAAADs=",
    "nothing": ("error", -32602),
}


async def prompts(client: Client) -> Any:
    listed = await client.list_prompts()
    return {
        "listed": {each.name: each.description for each in listed},
        "title": listed[1].title,
        "arguments": [(each.name, bool(each.required)) for each in listed[0].arguments or ()],
        "default": await prompted(client, "explain", topic="Trio"),
        "messages": await prompted(client, "review", code="x = 1"),
    }


PROMPTS: Final = {
    "listed": {"explain": "Ask for an explanation.", "review": "Begin a code review."},
    "title": "Code review",
    "arguments": [("topic", True), ("level", False)],
    "default": [("user", "Explain Trio to a child.")],
    "messages": [
        ("user", "Review this code:\n\nx = 1"),
        ("assistant", "What should I look for above all?"),
    ],
}


async def lifespan(client: Client) -> Any:
    call = partial(called, client, "keep")
    return [await call(name="one", value=1), await call(name="two", value=2)]


async def errors(client: Client) -> Any:
    kind, text = await called(client, "take", count=7)
    unexpected, hidden = await called(client, "stumble")
    invalid, flaw = await called(client, "take", count="x")
    return {
        "for the model": (kind, "There are not 7 left. Take 3." in text),
        "by mistake": (unexpected, "secret" in hidden),
        "invalid": (invalid, "valid integer" in flaw),
    }


ERRORS: Final = {
    "for the model": ("failed", True),
    "by mistake": ("failed", False),
    "invalid": ("failed", True),
}

#: What is asked, and what the answer is.
SAME: Final[dict[str, tuple[Callable[[Client], Awaitable[Any]], Any]]] = {
    "tools": (tools, TOOLS),
    "resources": (resources, RESOURCES),
    "prompts": (prompts, PROMPTS),
    "lifespan": (lifespan, [2, 3]),
    "errors": (errors, ERRORS),
}
