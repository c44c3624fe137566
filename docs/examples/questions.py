"""Questions to the client, asked in the middle of a tool."""

from dataclasses import dataclass
from typing import Annotated, Literal

import trio
from pydantic import BaseModel, Field

from trimcp import AnswerRefused, Context, Server
from trimcp.types import TextContent

server = Server("questions", version="1.0")


class Table(BaseModel):
    """What a form asks for: a flat object of simple fields."""

    guests: Annotated[int, Field(ge=1, le=8, description="How many come.")]
    place: Literal["inside", "terrace"] = "inside"


@server.tool
async def book(day: str, ctx: Context) -> str:
    """Book a table."""
    table = await ctx.elicit(f"A table for {day}?", Table)
    return f"Booked: {day}, {table.guests} guests, {table.place}."


@dataclass
class Name:
    name: str


@server.tool
async def greet(ctx: Context) -> str:
    """Greet the user, with or without a name."""
    try:
        answer = await ctx.elicit("What is your name?", Name)
    except AnswerRefused as refusal:
        return f"Hello, whoever you are ({refusal.action})."
    return f"Hello, {answer.name}."


@server.tool
async def introduce(ctx: Context) -> str:
    """Ask two questions at once."""
    names: dict[str, str] = {}

    async def ask(who: str) -> None:
        names[who] = (await ctx.elicit(f"Who is the {who}?", Name)).name

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "host")
        nursery.start_soon(ask, "guest")
    return f"{names['host']}, this is {names['guest']}."


@server.tool
async def pay(order: int, ctx: Context) -> str:
    """Send the user to a page, for what must not pass through the client."""
    await ctx.elicit_url("Please pay there.", f"https://pay.example/orders/{order}")
    return "The user agreed to go there."


@server.tool
async def sum_up(text: str, ctx: Context) -> str:
    """Let the client's model sum up a text."""
    answer = await ctx.sample(f"Sum this up in one sentence:\n\n{text}", max_tokens=100)
    return "".join(block.text for block in answer.content if isinstance(block, TextContent))


@server.tool
async def folders(ctx: Context) -> list[str]:
    """Where the client wants to be worked for."""
    return [root.uri for root in await ctx.list_roots()]


@server.tool(replay=True)
async def sign(document: str, ctx: Context) -> str:
    """Sign a document. It may run again from the top, so nothing is done before the question."""
    answer = await ctx.elicit(f"Sign {document} as whom?", Name, key="signer")
    return f"{document} was signed by {answer.name}."


if __name__ == "__main__":
    trio.run(server.serve_stdio)
