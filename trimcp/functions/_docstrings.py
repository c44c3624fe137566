"""The descriptions in a docstring: of the function, and of each argument."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["describe"]

#: Matches if there is more than prose: a section of Google or NumPy style, or a Sphinx field.
_STRUCTURE: Final = re.compile(r"^([\w ]+:|:\w+.*:.*|-{3,})\s*$|^:\w[^:\n]*:", re.MULTILINE)

#: Sections about the arguments and the result, which the schemas describe.
_SECTION: Final = re.compile(
    r"(args|arguments|param(eter)?s|(keyword|other) (args|arguments|param(eter)?s)|attributes"
    r"|returns?|yields?|receives?|raises?|warns?|exceptions?|except)\s*:?\s*",
    re.IGNORECASE,
)
_FIELD: Final = re.compile(r":\w[^:]*:")
_SENTENCE: Final = "Sections."
_UNDERLINE: Final = re.compile(r"-{3,}\s*")


def describe(function: Callable[..., Any]) -> tuple[str | None, dict[str, str]]:
    """Read a docstring in Google, NumPy or Sphinx style.

    Returns:
        All text outside the sections about arguments and result (None if there is none), and the
        text for each argument.
    """
    text = inspect.getdoc(function)
    if not text:
        return None, {}
    if not _STRUCTURE.search(text):
        return text.strip(), {}
    # Loading the parser takes longer than registering a hundred tools, so it is loaded late.
    import docstring_parser

    prose, sections = _split(text)
    # The parser requires a sentence before the first section.
    parsed = docstring_parser.parse(f"{_SENTENCE}\n\n{sections}")
    arguments = {
        each.arg_name.lstrip("*"): " ".join(each.description.split())
        for each in parsed.params
        if each.description
    }
    return prose or None, arguments


def _split(text: str) -> tuple[str, str]:
    """The prose, and the sections about arguments and result."""
    lines = text.splitlines()
    prose: list[str] = []
    sections: list[str] = []
    at = 0
    while at < len(lines):
        end = _end_of_section(lines, at)
        if end == at:
            end += 1
            prose += lines[at:end]
        else:
            sections += lines[at:end]
        at = end
    return re.sub(r"\n\s*\n\s*\n+", "\n\n", "\n".join(prose)).strip(), "\n".join(sections)


def _end_of_section(lines: list[str], at: int) -> int:
    """Where the section that begins at this line ends; the same line if no section begins."""
    line = lines[at]
    if _FIELD.match(line):
        return _end_of_block(lines, at + 1, blank=False)
    if _SECTION.fullmatch(line) is None:
        return at
    if _is_underlined(lines, at):
        following = range(at + 2, len(lines))
        return next((each for each in following if _is_underlined(lines, each)), len(lines))
    end = _end_of_block(lines, at + 1, blank=True)
    is_google = line.rstrip().endswith(":") and any(each.strip() for each in lines[at + 1 : end])
    return end if is_google else at


def _is_underlined(lines: list[str], at: int) -> bool:
    """Whether a section of NumPy style begins here."""
    following = lines[at + 1] if at + 1 < len(lines) else ""
    return bool(lines[at].strip()) and _UNDERLINE.fullmatch(following) is not None


def _end_of_block(lines: list[str], at: int, *, blank: bool) -> int:
    """Where the indented lines end; `blank` says whether blank lines belong to them."""
    while at < len(lines) and (lines[at][:1].isspace() or (blank and not lines[at])):
        at += 1
    return at
