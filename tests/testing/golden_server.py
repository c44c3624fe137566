"""The server of the golden transcripts: one of everything, and nothing that varies."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio

from trimcp import Context, Final, Forbidden, RequestError, ResourceNotFound, Server, ToolError
from trimcp.types import (
    Annotations,
    AudioContent,
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    Icon,
    ImageContent,
    PromptMessage,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)

ICON = Icon("https://example.org/icon.png", mime_type="image/png", sizes=("48x48",))


# Without docstrings: whether they become descriptions is up to pydantic's version.
@dataclass
class Name:
    name: str


@dataclass
class Point:
    x: int
    y: int


def make_server() -> Server[None]:
    """A server with tools, resources, prompts, completions and questions."""
    server: Server[None] = Server(
        "golden",
        version="1.0",
        title="The golden server",
        instructions="Be careful with it.",
        website_url="https://example.org",
        icons=[ICON],
        page_size=8,
        list_ttl_ms=60_000,
        list_scope="public",
    )
    _add_tools(server)
    _add_questions(server)
    _add_resources(server)
    _add_prompts(server)
    return server


def _add_tools(server: Server[None]) -> None:
    @server.tool(
        title="Addition",
        annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True),
        icons=[ICON],
        meta={"example.org/kind": "sum"},
    )
    async def add(a: int, b: int) -> int:
        """Add two integers.

        Args:
            a: The first.
            b: The second.
        """
        return a + b

    @server.tool
    async def locate() -> Point:
        """Structured output."""
        return Point(1, 2)

    @server.tool
    async def everything() -> list[ContentBlock]:
        """One content block of each kind."""
        hints = Annotations(audience=("user",), priority=0.5, last_modified="2025-01-01T00:00:00Z")
        return [
            TextContent("text", annotations=hints),
            ImageContent("aW1hZ2U=", "image/png"),
            AudioContent("c291bmQ=", "audio/wav"),
            ResourceLink("note:today", "today", title="Today"),
            EmbeddedResource(TextResourceContents("note:today", "Rain.", "text/plain")),
        ]

    @server.tool
    async def report(ctx: Context) -> str:
        """Progress and log messages."""
        await ctx.report_progress(1, 2, "half of it")
        await ctx.debug("nobody wants to know")
        await ctx.warning({"careful": True}, logger="golden")
        await ctx.report_progress(2, 2)
        return "reported"

    @server.tool
    async def count(n: int) -> AsyncIterator[int | Final[str]]:
        """A streaming tool."""
        for i in range(n):
            yield i
        yield Final("counted")

    @server.tool
    async def wait() -> None:
        """Until it is cancelled."""
        await trio.sleep_forever()

    @server.tool
    async def change(what: str) -> None:
        """Tells subscribers of a change."""
        if what == "tools":
            await server.notify_tools_changed()
        elif what == "prompts":
            await server.notify_prompts_changed()
        elif what == "resources":
            await server.notify_resources_changed()
        else:
            await server.notify_resource_updated(what)

    @server.tool
    async def fail(how: str) -> None:
        """Errors of each kind."""
        if how == "tool":
            raise ToolError("it did not work")
        if how == "request":
            raise RequestError(-31999, "refused", {"why": "because"})
        if how == "forbidden":
            raise Forbidden("not for you")
        raise RuntimeError("never on the wire")


def _add_questions(server: Server[None]) -> None:
    @server.tool
    async def greet(ctx: Context) -> str:
        """Asks the user."""
        return f"Hello, {(await ctx.elicit('What is your name?', Name)).name}."

    @server.tool
    async def pay(ctx: Context) -> str:
        """Sends the user to a page."""
        await ctx.elicit_url("The bank wants to know you.", "https://example.org/pay")
        return "paid"

    @server.tool
    async def think(ctx: Context) -> str:
        """Asks a model."""
        answer = await ctx.sample("What is new?", max_tokens=100)
        return f"{answer.model} said something"

    @server.tool
    async def roots(ctx: Context) -> list[str]:
        """Asks for the roots."""
        return [root.uri for root in await ctx.list_roots()]


def _add_resources(server: Server[None]) -> None:
    @server.resource("note:today", title="Today", mime_type="text/plain", size=5, icons=[ICON])
    async def today() -> str:
        """What is noted for today."""
        return "Rain."

    @server.resource("note:picture", ttl_ms=1_000, cache_scope="public")
    async def picture() -> BlobResourceContents:
        return BlobResourceContents("note:picture", "aW1hZ2U=", "image/png")

    @server.resource("note:day/{day}", description="Any day's note.")
    async def note(day: int) -> str:
        if day > 31:
            raise ResourceNotFound(f"note:day/{day}")
        return f"The note of day {day}."

    @server.completion("day", resource="note:day/{day}")
    async def days(value: str) -> list[str]:
        return [each for each in map(str, range(1, 32)) if each.startswith(value)]


def _add_prompts(server: Server[None]) -> None:
    @server.prompt(title="A letter", icons=[ICON])
    async def letter(to: str, tone: str = "kind") -> list[PromptMessage]:
        """Write a letter.

        Args:
            to: Who gets it.
            tone: How it sounds.
        """
        return [
            PromptMessage("user", TextContent(f"Write a {tone} letter to {to}.")),
            PromptMessage("assistant", TextContent("Dear")),
        ]

    @server.completion("tone", prompt="letter")
    async def tones(value: str, arguments: dict[str, str]) -> list[str]:
        return [each for each in ("kind", "curt", arguments.get("to", "?")) if value in each]
