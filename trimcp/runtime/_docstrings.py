"""The descriptions that a docstring gives: of the whole, and of each argument."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["describe"]

#: A sign that there is more than prose: a section of Google or NumPy style, or a Sphinx field.
_STRUCTURE = re.compile(r"^(\w+:|:\w+.*:.*|-{3,})\s*$|^:param", re.MULTILINE)


def describe(function: Callable[..., Any]) -> tuple[str | None, dict[str, str]]:
    """Read a docstring in Google, NumPy or Sphinx style.

    Returns:
        The text before the arguments (None without a docstring), and the text for each argument.
    """
    text = inspect.getdoc(function)
    if not text:
        return None, {}
    if not _STRUCTURE.search(text):
        return text.strip(), {}
    # Loading the parser takes longer than registering a hundred tools, so only when needed.
    import docstring_parser

    parsed = docstring_parser.parse(text)
    arguments = {
        each.arg_name.lstrip("*"): " ".join(each.description.split())
        for each in parsed.params
        if each.description
    }
    return (parsed.description or "").strip() or None, arguments
