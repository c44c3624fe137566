"""Tools, made with trimcp; on standard streams, or at the port that is given."""

import sys
from typing import Annotated

from pydantic import BaseModel, Field

from trimcp import Server

server = Server("library", version="1.0", instructions="Ask it about books.")


class Book(BaseModel):
    title: str
    year: int


BOOKS = [Book(title="Emma", year=1815), Book(title="Middlemarch", year=1871)]


@server.tool
async def find_books(
    word: str, after: Annotated[int, Field(ge=1450, description="The first year.")] = 1800
) -> list[Book]:
    """Find books by a word of their title."""
    return [book for book in BOOKS if word in book.title and book.year >= after]


@server.tool
def oldest() -> Book:
    """Tell which book is the oldest."""
    return min(BOOKS, key=lambda book: book.year)


if __name__ == "__main__":
    if sys.argv[1:]:
        server.run("http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run()
