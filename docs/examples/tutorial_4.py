"""Step 4: a prompt, and progress."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

import trio

from trimcp import Context, ResourceNotFound, Server, ToolError


class Notes:
    """Notes by title, and the file that keeps them."""

    def __init__(self, path: trio.Path) -> None:
        self.texts: dict[str, str] = {}
        self._path = path
        self._saving = trio.Lock()

    async def load(self) -> None:
        if await self._path.exists():
            self.texts = json.loads(await self._path.read_text())

    async def save(self) -> None:
        async with self._saving:
            await self._path.write_text(json.dumps(self.texts))


@asynccontextmanager
async def open_notes(server: Server) -> AsyncIterator[Notes]:
    """Entered before the first request, left after the last."""
    notes = Notes(trio.Path(os.environ.get("NOTES", "notes.json")))
    await notes.load()
    yield notes


server = Server("notes", version="4.0", lifespan=open_notes)


@server.tool
async def add_note(title: str, text: str, ctx: Context[Notes]) -> str:
    """Keep a note.

    Args:
        title: What to find it by; no two notes have the same.
        text: The note itself.
    """
    notes = ctx.lifespan_context
    if title in notes.texts:
        raise ToolError(f"There already is a note {title!r}. Choose another title.")
    notes.texts[title] = text
    await notes.save()
    return f"Kept {title!r}."


@server.tool
async def find_notes(word: str, ctx: Context[Notes]) -> list[str]:
    """The titles of the notes that contain a word."""
    return [title for title, text in ctx.lifespan_context.texts.items() if word in text]


@server.resource("notes://titles")
async def titles(ctx: Context[Notes]) -> list[str]:
    """The titles of all notes."""
    return sorted(ctx.lifespan_context.texts)


@server.resource("note://{title}")
async def note(title: str, ctx: Context[Notes]) -> str:
    """One note."""
    texts = ctx.lifespan_context.texts
    if title not in texts:
        raise ResourceNotFound(f"note://{title}")
    return texts[title]


@server.completion("title", prompt="summarize")
@server.completion("title", resource="note://{title}")
async def complete_title(value: str) -> list[str]:
    """The titles that begin like this."""
    texts = server.request_context.lifespan_context.texts
    return sorted(title for title in texts if title.startswith(value))


@server.prompt
async def summarize(
    title: str, ctx: Context[Notes], length: Literal["short", "long"] = "short"
) -> str:
    """Ask for the summary of a note.

    Args:
        title: The note's title.
        length: How much to say.
    """
    text = await note(title, ctx)
    return f"Write a {length} summary of this note, called {title!r}:\n\n{text}"


@dataclass
class Draft:
    """A note that is not kept yet."""

    title: str
    text: str


@server.tool
async def add_notes(drafts: list[Draft], ctx: Context[Notes]) -> int:
    """Keep several notes; return how many there are now."""
    for done, draft in enumerate(drafts, start=1):
        await add_note(draft.title, draft.text, ctx)
        await ctx.report_progress(done, len(drafts), draft.title)
    return len(ctx.lifespan_context.texts)


if __name__ == "__main__":
    trio.run(server.serve_stdio)
