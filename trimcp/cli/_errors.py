"""Errors, each explained in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["INTERRUPTED", "CommandError", "UsageError", "explain", "reason"]

#: The exit status that a shell reports for a program ended by SIGINT.
INTERRUPTED: Final = 130

#: The maximum length of a message in characters, since a server's message can have any length.
_LONGEST: Final = 4_000


class CommandError(Exception):
    """The command cannot do what was requested; the text says why, in one line.

    Args:
        text: The line.
        beneath: Further lines, which only people at a terminal see.
    """

    def __init__(self, text: str, *, beneath: str = "") -> None:
        super().__init__(text)
        self.beneath = beneath


class UsageError(CommandError):
    """The command line is wrong."""


def explain(error: BaseException) -> str:
    """One line about any exception, group or not."""
    return "; ".join(_one_line(each) for each in _leaves(error))


def reason(error: OSError) -> str:
    """The message of the operating system, without the error number."""
    return error.strerror or str(error)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _one_line(error: BaseException) -> str:
    from trimcp.errors import MCPError, ProcessDied

    from ._screen import printable

    lines = str(error).splitlines() or [""]
    if isinstance(error, ProcessDied):
        said = _last_words(error.stderr)
        # What `trimcp run` itself has said needs no more words.
        ours = said.removeprefix("trimcp: ")
        text = f"{lines[0]} {said}".rstrip() if ours == said else ours
    else:
        text = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1].strip()}"
    if not (text and isinstance(error, CommandError | MCPError | OSError)):
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    # Notes are advice.
    text += "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return printable(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")


def _last_words(stderr: Sequence[str]) -> str:
    """Why a program died, by its standard error; with the file and line if that is known."""
    from ._stderr import telling_line
    from ._traces import traces_in

    said = telling_line(stderr)
    for trace in traces_in(stderr):
        if trace.where is not None and said in trace.text:
            return f"{trace.where}: {said}"
    return said
