"""Step 1: tools."""

import trio

from trimcp import Server, ToolError

server = Server("notes", version="1.0")
notes: dict[str, str] = {}


@server.tool
async def add_note(title: str, text: str) -> str:
    """Keep a note.

    Args:
        title: What to find it by; no two notes have the same.
        text: The note itself.
    """
    if title in notes:
        raise ToolError(f"There already is a note {title!r}. Choose another title.")
    notes[title] = text
    return f"Kept {title!r}."


@server.tool
async def find_notes(word: str) -> list[str]:
    """The titles of the notes that contain a word."""
    return [title for title, text in notes.items() if word in text]


if __name__ == "__main__":
    trio.run(server.serve_stdio)
