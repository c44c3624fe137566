"""What goes wrong, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CommandError", "UsageError", "explain", "reason"]


class CommandError(Exception):
    """The command cannot do what was asked; the text says why, in one line."""


class UsageError(CommandError):
    """The command was not written as it must be."""


def explain(error: BaseException) -> str:
    """One line about any exception, group or not."""
    return "; ".join(_one_line(each) for each in _leaves(error))


def reason(error: OSError) -> str:
    """What the system said, without its number."""
    return error.strerror or str(error)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _one_line(error: BaseException) -> str:
    from trimcp.errors import MCPError

    from ._terminal import printable

    lines = str(error).splitlines() or [""]
    # Of what a dead server wrote, the last line is the one that says why it died.
    text = lines[0] if len(lines) == 1 else f"{lines[0]} {lines[-1].strip()}"
    if text and isinstance(error, CommandError | MCPError | OSError):
        return printable(text)
    return printable(f"{type(error).__name__}: {text}".removesuffix(": "))
