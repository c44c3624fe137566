"""Asking the user, made with the official SDK."""

from typing import Literal

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from pydantic import BaseModel, Field

mcp = MCPServer("restaurant", version="1.0")


class Table(BaseModel):
    guests: int = Field(ge=1, le=8, description="How many come.")
    place: Literal["inside", "terrace"] = "inside"


@mcp.tool()
async def book(day: str, ctx: Context) -> str:
    """Book a table."""
    answer = await ctx.elicit(f"A table for {day}?", Table)
    if answer.action != "accept":
        return f"Not booked: {answer.action}."
    return f"Booked: {day}, {answer.data.guests} guests, {answer.data.place}."


if __name__ == "__main__":
    mcp.run()
