"""The servers that the tests start, as the text of their files."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

#: A server that most tests use.
DEMO: Final = '''\
"""A server for the tests of the command line."""

import sys
from pathlib import Path
from typing import Any

import trio
from pydantic import BaseModel, Field
from typing import Literal

from trimcp import Context, Server, ToolError
from trimcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    SamplingMessage,
    TextContent,
    TextResourceContents,
)

server = Server("demo", version="1.0")


@server.tool
async def add(a: int, b: int = 1) -> int:
    """Add two integers.

    The second line is not for lists.
    """
    return a + b


@server.tool(title="Echo")
async def echo(
    text: str,
    times: float = 1,
    loud: bool = False,
    words: list[str] = [],
    more: dict[str, int] | None = None,
    level: Literal["low", "high"] = "low",
) -> str:
    """Say what came in."""
    return repr((text, times, loud, words, more, level))


@server.tool
async def table() -> dict[str, Any]:
    return {"rows": [1, 2]}


@server.tool
async def silent() -> CallToolResult:
    return CallToolResult((), structured_content={"rows": ["ä"]})


@server.tool
async def pictures() -> CallToolResult:
    return CallToolResult(
        (
            ImageContent("aGVsbG8=", "image/png"),
            AudioContent("aGVsbG8=", "audio/wav"),
            TextContent("in between\\n"),
            ResourceLink("file:///a", "a name"),
            EmbeddedResource(TextResourceContents("file:///b", "hello")),
            EmbeddedResource(BlobResourceContents("file:///c", "aGVsbG8=")),
        )
    )


@server.tool
async def fail() -> str:
    raise ToolError("This is no good.\\nTry something else.")


@server.tool
async def steps(total: int | None = None) -> str:
    ctx = server.request_context
    for i in range(3):
        await ctx.report_progress(i + 1, total, f"step {i + 1}\\x1b[31m")
    return "done"


@server.tool
async def hang(mark: str) -> str:
    try:
        await server.request_context.report_progress(1, 4, "hanging")
        await trio.sleep_forever()
    finally:
        Path(mark).write_text("cleaned up")


@server.tool
async def complain(ctx: Context) -> str:
    print("a word on standard error", file=sys.stderr, flush=True)
    await ctx.warning("a word for the log", logger="kitchen")
    await ctx.debug("a detail for the log")
    return "said"


class Order(BaseModel):
    """What is asked for."""

    sure: bool = Field(description="really now")
    count: int = Field(title="How many", ge=1, le=10)
    price: float = 2.5
    size: Literal["small", "large"] = "small"
    extras: list[Literal["milk", "sugar"]] = []


@server.tool
async def ask(ctx: Context) -> str:
    order = await ctx.elicit("What may it be?", Order)
    return order.model_dump_json()


class Nothing(BaseModel):
    """A form without fields."""


@server.tool
async def agree(ctx: Context) -> str:
    return repr(await ctx.elicit("Do you agree?", Nothing))


class One(BaseModel):
    value: str


@server.tool
async def ask_twice(ctx: Context) -> str:
    answers = {}

    async def ask(name: str) -> None:
        answers[name] = (await ctx.elicit(f"Question {name}", One)).value

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "A")
        nursery.start_soon(ask, "B")
    return f"A got {answers['A']}, B got {answers['B']}"


class Code(BaseModel):
    code: str = Field(min_length=3)
    note: str = ""


@server.tool
async def unlock(ctx: Context) -> str:
    return repr(await ctx.elicit("The code?", Code))


@server.tool
async def pay(ctx: Context) -> str:
    await ctx.elicit_url("Pay\\x1b[2J there.", "https://pay.example/orders/1")
    return "agreed"


@server.tool
async def sample(ctx: Context) -> str:
    answer = await ctx.sample(
        [
            "What\\x1b[2J is\\nthis?",
            SamplingMessage("assistant", (TextContent("A test."),)),
            "Sure?",
        ],
        system_prompt="Be brief.",
    )
    return f"the model said {answer.content[0].text!r}"


@server.tool
async def folders(ctx: Context) -> str:
    return " ".join(root.uri for root in await ctx.list_roots())


@server.tool
async def abilities(ctx: Context) -> str:
    able = ctx.client_capabilities
    forms = able.elicitation is not None and able.elicitation.form is not None
    urls = able.elicitation is not None and able.elicitation.url is not None
    found = {"forms": forms, "urls": urls, "sampling": able.sampling, "roots": able.roots}
    return " ".join(name for name, value in found.items() if value not in (None, False)) or "none"


if __name__ == "__main__":
    trio.run(server.serve_stdio)
'''

#: A server with all but tools, for `list`, `read`, `prompt` and `inspect`.
LIBRARY: Final = '''\
"""A library."""

import trio
from pydantic import BaseModel

from trimcp import Context, ResourceNotFound, Server
from trimcp.types import (
    BlobResourceContents,
    ImageContent,
    PromptMessage,
    TextContent,
    TextResourceContents,
)

server = Server(
    "library",
    version="2.1",
    title="The Library",
    website_url="https://library.example",
    instructions="Be quiet.\\n\\nBring\\x1b[31m books back.",
)


class Reader(BaseModel):
    name: str


@server.resource("book://rules", mime_type="text/markdown", title="The Rules")
async def rules() -> str:
    """What is allowed.

    The second line is not for lists.
    """
    return "# Rules\\nNo ä noise."


@server.resource("book://cover", mime_type="image/png")
async def cover() -> bytes:
    return b"\\x89PNG\\xff\\x00"


@server.resource("book://both")
async def both() -> list[TextResourceContents | BlobResourceContents]:
    return [
        TextResourceContents("book://both/1", "one\\n"),
        BlobResourceContents("book://both/2", "aGVsbG8="),
        TextResourceContents("book://both/3", "three"),
    ]


@server.resource("book://broken")
async def broken() -> BlobResourceContents:
    return BlobResourceContents("book://broken", "aGVsbG8")


@server.resource("book://mine")
async def mine(ctx: Context) -> str:
    return f"The book of {(await ctx.elicit('Who are you?', Reader)).name}"


@server.resource("shelf://{number}", title="Shelf")
async def shelf(number: int) -> str:
    """One shelf."""
    if number > 9:
        raise ResourceNotFound(f"shelf://{number}")
    return f"shelf {number}"


@server.prompt(title="Greeting")
async def greet(name: str, mood: str = "well") -> list[PromptMessage]:
    """Greet somebody."""
    return [
        PromptMessage("user", TextContent(f"Greet {name},\\nwho is {mood}.\\n")),
        PromptMessage("assistant", ImageContent("aGVsbG8=", "image/png")),
    ]


@server.prompt
async def plain() -> str:
    return "Say something."


@server.prompt
async def ask(ctx: Context) -> str:
    return f"Praise {(await ctx.elicit('Whom?', Reader)).name}."


if __name__ == "__main__":
    trio.run(server.serve_stdio)
'''


#: A server that changes when it is told to.
CHANGING: Final = """\
import os

from trimcp import Server

server = Server("changing")


@server.resource("page://{name}")
async def page(name: str) -> str:
    return name


@server.tool
async def touch(names: list[str]) -> None:
    for name in names:
        await server.notify_resource_updated(f"page://{name}")


@server.tool
async def grow() -> None:
    server.tool(name="more")(lambda: "more")
    await server.notify_prompts_changed()
    await server.notify_resources_changed()


@server.tool
async def stop() -> None:
    server.shutdown()


@server.tool
async def crash() -> None:
    os._exit(1)
"""


#: A server of the handshake era that declares what it is told to, knows one answer to each method,
#: and writes down what it is asked.
MODEST: Final = """\
import json, sys

capabilities, answers, asked = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]

for line in sys.stdin:
    request = json.loads(line)
    method, id = request["method"], request.get("id")
    if id is None:
        continue
    with open(asked, "a") as file:
        print(method, file=file)
    answer = {"error": {"code": -32601, "message": "no such\\x1b[31m method: " + method}}
    if method == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": capabilities}
        answer = {"result": {**result, "serverInfo": {"name": "modest", "version": "0"}}}
    if method in answers:
        answer = {"result": answers[method]}
    print(json.dumps({"jsonrpc": "2.0", "id": id, **answer}), flush=True)
"""


class Modest:
    """The server `MODEST` in a file; give `command` after the bare `--`."""

    def __init__(
        self, directory: Path, capabilities: dict[str, Any], answers: dict[str, Any]
    ) -> None:
        self._asked = directory / "asked"
        file = directory / "modest.py"
        file.write_text(MODEST)
        words = map(json.dumps, (capabilities, answers))
        self.command = (sys.executable, str(file), *words, str(self._asked))

    @property
    def asked(self) -> list[str]:
        """The methods of the requests that came, without the greeting."""
        methods = self._asked.read_text().split()
        return [each for each in methods if each not in ("server/discover", "initialize")]
