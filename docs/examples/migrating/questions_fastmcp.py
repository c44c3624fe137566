"""Asking the user, made with FastMCP."""

from typing import Literal

from fastmcp import Context, FastMCP
from pydantic import BaseModel, Field

mcp = FastMCP("restaurant", version="1.0")


class Table(BaseModel):
    guests: int = Field(ge=1, le=8, description="How many come.")
    place: Literal["inside", "terrace"] = "inside"


@mcp.tool
async def book(day: str, ctx: Context) -> str:
    """Book a table."""
    answer = await ctx.elicit(f"A table for {day}?", Table)
    if answer.action != "accept":
        return f"Not booked: {answer.action}."
    return f"Booked: {day}, {answer.data.guests} guests, {answer.data.place}."


if __name__ == "__main__":
    mcp.run()
