"""Tools, made with FastMCP; on standard streams, or at the port that is given."""

import sys
from typing import Annotated

from fastmcp import FastMCP
from pydantic import BaseModel, Field

mcp = FastMCP("library", version="1.0", instructions="Ask it about books.")


class Book(BaseModel):
    title: str
    year: int


BOOKS = [Book(title="Emma", year=1815), Book(title="Middlemarch", year=1871)]


@mcp.tool
async def find_books(
    word: str, after: Annotated[int, Field(ge=1450, description="The first year.")] = 1800
) -> list[Book]:
    """Find books by a word of their title."""
    return [book for book in BOOKS if word in book.title and book.year >= after]


@mcp.tool
def oldest() -> Book:
    """Tell which book is the oldest."""
    return min(BOOKS, key=lambda book: book.year)


if __name__ == "__main__":
    if sys.argv[1:]:
        mcp.run("http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        mcp.run()
