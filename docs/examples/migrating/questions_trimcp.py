"""Asking the user, made with trimcp."""

from typing import Literal

import trio
from pydantic import BaseModel, Field

from trimcp import AnswerRefused, Context, Server

server = Server("restaurant", version="1.0")


class Table(BaseModel):
    guests: int = Field(ge=1, le=8, description="How many come.")
    place: Literal["inside", "terrace"] = "inside"


@server.tool
async def book(day: str, ctx: Context) -> str:
    """Book a table."""
    try:
        table = await ctx.elicit(f"A table for {day}?", Table)
    except AnswerRefused as refusal:
        return f"Not booked: {refusal.action}."
    return f"Booked: {day}, {table.guests} guests, {table.place}."


if __name__ == "__main__":
    trio.run(server.serve_stdio)
