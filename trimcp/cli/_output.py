"""Writing results to standard output."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Final

from ._colours import of_json
from ._screen import has_colours, paint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trimcp.client import Client

    from ._colours import Piece
    from ._options import Output

__all__ = [
    "chosen_output",
    "encoded",
    "write",
    "write_bytes",
    "write_json",
    "write_pieces",
    "write_texts",
]

#: Longer texts, in characters, are shown as they are.
_LONGEST_LAID_OUT: Final = 1_000_000


def chosen_output(asked: Output | None) -> Output:
    """The requested form; by default text on a terminal and JSON elsewhere."""
    return asked or ("text" if sys.stdout.isatty() else "json")


def encoded(value: Any, client: Client) -> Any:
    """A payload, a list of payloads, or None, in the wire form of the client's revision.

    They come from the server, so the codec that has read them also writes them: a flaw that it
    accepted must not be an error when it is shown, especially after a call that has had an effect.
    """
    from trimcp.protocol import LATEST, find_revision, reader_for

    if value is None:
        return None
    codec = reader_for(find_revision(client.revision) or LATEST)
    return (
        [codec.encode(each) for each in value] if isinstance(value, list) else codec.encode(value)
    )


def write(text: str) -> None:
    """Write a text at once, with a line break at its end; nothing if it is empty."""
    write_pieces([(text, None)])


def write_pieces(pieces: Iterable[Piece]) -> None:
    """Write a text in pieces at once, with a line break at its end; nothing if it is empty."""
    pieces = [piece for piece in pieces if piece[0]]
    if not pieces:
        return
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if not pieces[-1][0].endswith("\n"):
        pieces.append(("\n", None))
    paint(sys.stdout, pieces)
    sys.stdout.flush()


def write_texts(texts: Iterable[str]) -> None:
    """Write texts, each on lines of its own: for people, those that are JSON in a layout."""
    for_people = sys.stdout.isatty() or has_colours(sys.stdout)
    write_pieces(_with_breaks(texts) if for_people else [("\n".join(texts), None)])


def _with_breaks(texts: Iterable[str]) -> Iterator[Piece]:
    # Loaded late: pipes do not need it.
    from trimcp.protocol import laid_out

    for number, text in enumerate(texts):
        if number:
            yield "\n", None
        document = laid_out(text) if len(text) <= _LONGEST_LAID_OUT else None
        yield from [(text, None)] if document is None else of_json(document)


def write_bytes(data: bytes) -> None:
    """Write bytes at once, unchanged."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def write_json(document: Any) -> None:
    """Write one JSON document: indented on a terminal, on one line elsewhere."""
    write_pieces(of_json(json.dumps(document, indent=2 if sys.stdout.isatty() else None)))
