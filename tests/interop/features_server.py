"""A stdio server made with trimcp that has one of everything, for clients of other SDKs.

Usage: ``python features_server.py DIRECTORY``

The directory's files are resources. Each request says its era itself.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
import pydantic
import trio

from trimcp import AnswerRefused, Context, ResourceNotFound, Server, ToolError
from trimcp.types import (
    Annotations,
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    Icon,
    ImageContent,
    PromptMessage,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

ICON = Icon("data:image/png;base64,AAEC", "image/png", ("16x16", "any"), "dark")
ANNOTATIONS = Annotations(("user", "assistant"), 0.5, "2026-01-02T03:04:05Z")

BLOCKS = {
    "text": TextContent("żółć \U0001f389 \u2028\x00", ANNOTATIONS, {"kind": "text"}),
    "image": ImageContent("AAEC", "image/png", ANNOTATIONS, {"kind": "image"}),
    "audio": AudioContent("AwQF", "audio/wav", ANNOTATIONS, {"kind": "audio"}),
    "text-resource": EmbeddedResource(
        TextResourceContents("memo://inner", "inner", "text/plain", {"kind": "contents"}),
        ANNOTATIONS,
        {"kind": "resource"},
    ),
    "blob-resource": EmbeddedResource(BlobResourceContents("memo://inner", "BgcI", "image/gif")),
    "link": ResourceLink(
        "memo://elsewhere",
        "elsewhere",
        "Elsewhere",
        "Not here.",
        "text/csv",
        ANNOTATIONS,
        3,
        (ICON,),
        {"kind": "link"},
    ),
}


@attrs.define
class Counter:
    """How often something was done in this process."""

    count: int = 0

    def next(self) -> str:
        self.count += 1
        return str(self.count)


class Point(pydantic.BaseModel):
    """Structured output, with what a class can have."""

    x: int
    y: float = 0.5
    label: str | None = None
    tags: list[str] = pydantic.Field(default_factory=list, serialization_alias="allTags")


class Order(pydantic.BaseModel):
    """A form with every kind of field."""

    name: str = pydantic.Field(description="Who orders.", min_length=1)
    count: int = pydantic.Field(ge=1, le=9)
    weight: float
    gift: bool
    size: Literal["small", "large"]
    colours: list[Literal["red", "green"]]
    note: str = "none"


class Yes(pydantic.BaseModel):
    """A form with one field."""

    yes: bool


def add_content(server: Server) -> None:
    """Tools that give every kind of content."""

    @server.tool
    async def content(kind: str) -> Any:
        """One block of this kind."""
        return BLOCKS[kind]

    @server.tool
    async def mixed() -> Any:
        """A text, then all the blocks."""
        return ["first", *BLOCKS.values()]

    @server.tool
    async def nothing() -> None:
        """No content at all."""

    @server.tool
    async def whole_result() -> CallToolResult:
        """A result with everything that a result can have."""
        return CallToolResult((TextContent("whole"),), {"whole": True}, True, {"own": "meta"})

    @server.tool
    async def fails() -> None:
        """A tool that fails in a group, as tools with a nursery do."""
        raise ExceptionGroup("", [ToolError("failed on purpose")])


def add_structure(server: Server) -> None:
    """Tools with structured output of every shape."""

    @server.tool
    async def point() -> Point:
        """An object."""
        return Point(x=1, tags=["a"])

    @server.tool
    async def points() -> list[Point]:
        """A list of objects."""
        return [Point(x=1), Point(x=2, label="two")]

    @server.tool
    async def table() -> dict[str, int]:
        """An object with any keys."""
        return {"a": 1, "b": 2}

    @server.tool
    async def number() -> float:
        """A primitive."""
        return 2.5

    @server.tool
    async def truth() -> bool:
        """Another primitive, which is easily taken for nothing."""
        return False

    @server.tool
    async def maybe(given: bool) -> int | None:
        """A number or null."""
        return 7 if given else None


def add_described(server: Server) -> None:
    """A tool that says all that a tool can say of itself, and a synchronous one."""

    @server.tool(
        name="described.tool-1",
        title="Described",
        description="Says all.",
        annotations=ToolAnnotations("Hinted", False, True, True, False),
        icons=[ICON],
        meta={"example.org/owner": {"team": 7}},
    )
    async def described(text: Annotated[str, pydantic.Field(max_length=5)], times: int = 1) -> str:
        """Repeat a text.

        Args:
            text: What is repeated.
            times: How often.
        """
        return text * times

    @server.tool
    def thread(text: str) -> str:
        """Runs in a thread, since it is synchronous."""
        is_main = threading.current_thread() is threading.main_thread()
        return f"{text} {'main' if is_main else 'worker'}"


def add_talk(server: Server) -> None:
    """Tools that send notifications."""

    @server.tool
    async def log_all(logger: str, ctx: Context) -> str:
        """One message of each level."""
        await ctx.debug("text", logger=logger)
        await ctx.info({"an": "object"}, logger=logger)
        await ctx.notice(["a", "list"], logger=logger)
        await ctx.warning(1.5, logger=logger)
        await ctx.error(True, logger=logger)
        await ctx.critical("żółć", logger=logger)
        await ctx.log("alert", None, logger=logger)
        await ctx.log("emergency", "", logger=logger)
        return "logged"

    progress_seen = trio.Event()

    @server.tool
    async def progress(ctx: Context) -> str:
        """Three steps, and one that is no advance and so may not be sent.

        Waits until the client has seen the last: the TypeScript SDK's client drops progress that
        arrives in one chunk with the answer.
        """
        for step in (0.5, 1.0, 1.0, 2.0):
            await ctx.report_progress(step, 2, f"step {step}")
        await progress_seen.wait()
        return "done"

    @server.tool
    async def see_progress() -> None:
        """Let `progress` go on."""
        progress_seen.set()


def add_questions(server: Server) -> None:
    """Tools that ask the user."""

    @server.tool
    async def order(ctx: Context) -> str:
        """Ask with every kind of field."""
        try:
            answer = await ctx.elicit("Please fill in the form.", Order)
        except AnswerRefused as refused:
            return str(refused)
        return answer.model_dump_json()

    @server.tool
    async def refuse(action: str, ctx: Context) -> str:
        """Ask a question that the client is told to refuse."""
        try:
            await ctx.elicit(f"Please {action}.", Yes)
        except AnswerRefused as refused:
            return f"refused: {refused.action}"
        return "not refused"

    @server.tool
    async def one_by_one(ctx: Context) -> str:
        """Ask twice, the second time because of the first answer."""
        answers = [await ctx.elicit("First?", Yes)]
        if answers[0].yes:
            answers.append(await ctx.elicit("Second?", Yes))
        return f"{len(answers)} answers"

    @server.tool
    async def side_by_side(ctx: Context) -> str:
        """Ask two questions at once."""
        answered: list[str] = []

        async def ask(question: str) -> None:
            await ctx.elicit(question, Yes)
            answered.append(question)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "Left?")
            nursery.start_soon(ask, "Right?")
        return " ".join(sorted(answered))

    @server.prompt
    async def interview(ctx: Context) -> str:
        """A prompt that asks."""
        answer = await ctx.elicit("Interview?", Yes)
        return f"The answer is {answer.yes}."

    @server.resource("memo://asked")
    async def asked(ctx: Context) -> str:
        """A resource that asks."""
        answer = await ctx.elicit("Read?", Yes)
        return f"The answer is {answer.yes}."


def add_resources(server: Server, directory: str) -> None:
    """Resources of every kind."""

    @server.resource(
        "memo://text",
        title="A text",
        mime_type="text/markdown",
        annotations=ANNOTATIONS,
        size=6,
        icons=[ICON],
        meta={"kind": "listed"},
    )
    async def text() -> str:
        """Some *text*."""
        return "*text*"

    @server.resource("memo://blob", mime_type="image/png")
    def blob() -> bytes:
        return bytes([0, 1, 2, 255])

    @server.resource("memo://json")
    async def json() -> dict[str, Any]:
        return {"a": [1, None, "ż"]}

    @server.resource("memo://many")
    async def many() -> list[Any]:
        return [
            TextResourceContents("memo://many/1", "one", "text/plain", {"part": 1}),
            BlobResourceContents("memo://many/2", "AAEC", "image/png"),
        ]

    kept, fresh = Counter(), Counter()

    @server.resource("memo://kept", ttl_ms=60_000, cache_scope="public")
    async def kept_count() -> str:
        """How often it was read; may be kept for a minute."""
        return kept.next()

    @server.resource("memo://fresh")
    async def fresh_count() -> str:
        """How often it was read; may not be kept."""
        return fresh.next()

    server.add_directory("dir://files", directory, title="The files")


def add_templates(server: Server) -> None:
    """Resource templates."""

    @server.resource(
        "user://{id}/{part}",
        title="A user",
        mime_type="text/plain",
        annotations=ANNOTATIONS,
        icons=[ICON],
        meta={"kind": "template"},
    )
    async def user(id: int, part: str, ctx: Context) -> str:
        """One part of what is known of a user."""
        if id > 100:
            raise ResourceNotFound(f"user://{id}/{part}")
        return f"{part} of {id}, asked by {ctx.client_info.name if ctx.client_info else 'nobody'}"

    @server.resource("search://notes{?q,limit}")
    def search(q: str = "", limit: int = 10) -> dict[str, Any]:
        """Optional variables in a query."""
        return {"q": q, "limit": limit}

    @server.completion("id", resource="user://{id}/{part}")
    def complete_id(value: str) -> list[str]:
        return [number for number in map(str, range(1000)) if number.startswith(value)]

    @server.completion("part", resource="user://{id}/{part}")
    async def complete_part(value: str, arguments: Mapping[str, str]) -> list[str]:
        return [f"{value}-of-{arguments.get('id', 'nobody')}"]


def add_prompts(server: Server) -> None:
    """Prompts of every kind."""

    @server.prompt(title="Greeting", icons=[ICON], meta={"kind": "greeting"})
    async def greet(name: str, times: int = 1, style: str = "plain") -> str:
        """Greet somebody.

        Args:
            name: Who is greeted.
            times: How often.
        """
        return f"{style}: " + f"Hello {name}! " * times

    @server.prompt
    def shown(kind: str) -> Any:
        """One block of this kind."""
        return BLOCKS[kind]

    @server.prompt
    async def talk() -> list[Any]:
        """A conversation."""
        return [
            "A question.",
            PromptMessage("assistant", TextContent("An answer.")),
            BLOCKS["image"],
        ]

    @server.completion("name", prompt="greet")
    async def complete_name(value: str) -> list[str]:
        return [name for name in ("Ada", "Alan", "Grace") if name.startswith(value)]

    @server.completion("style", prompt="greet")
    def complete_style(value: str, arguments: Mapping[str, str]) -> list[str]:
        return [f"{value}-for-{arguments.get('name', 'nobody')}"]


def create_server(directory: str) -> Server:
    """Build the server, with one of everything."""
    server: Server = Server(
        "trimcp-features",
        version="2.0.0",
        title="Features",
        instructions="Use one of each.",
        website_url="https://example.org/features",
        icons=[ICON],
        page_size=2,
        list_ttl_ms=60_000,
        list_scope="public",
    )
    add_content(server)
    add_structure(server)
    add_described(server)
    add_talk(server)
    add_questions(server)
    add_resources(server, directory)
    add_templates(server)
    add_prompts(server)
    return server


if __name__ == "__main__":
    trio.run(create_server(sys.argv[1]).serve_stdio)
