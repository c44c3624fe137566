"""An extension of Python-Markdown, for what differs between GitHub and the site.

* A link to a file beside docs/ leads nowhere on the site. It becomes its text, and says which file
  is meant.
* The sections of conformance.md are named like everything there is. The search finds that page by
  its title and leaves them out, since they would come before the pages that explain something.
* What belongs to an item of a list is indented by the width of its mark, `* ` or `1. `. That is
  common, but Python-Markdown wants four columns for each level.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markdown import Extension
from markdown.preprocessors import Preprocessor
from markdown.treeprocessors import Treeprocessor

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from markdown import Markdown

_DOCS: Final = Path(__file__).resolve().parent
_UPWARD: Final = re.compile(r"(?:\.\./?)+")

_MARK: Final = re.compile(r"(?:[*+-]|\d+\.) +(?=\S)")
_FENCE: Final = re.compile(r"(`{3,}|~{3,})")

#: A column that only the tables of conformance.md have.
_LEFT_OUT: Final = "shown by"


class SiteMarkdown(Extension):
    """All of the above."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Called by Python-Markdown."""
        # Before fenced blocks are taken out (25), since those in lists are moved too.
        md.preprocessors.register(_Lists(md), "site_lists", 27)
        # After `inline` (20), which makes the links.
        md.treeprocessors.register(_Differences(md), "site_markdown", 15)


class _Differences(Treeprocessor):
    def run(self, root: Element) -> None:
        for link in root.iter("a"):
            path = outside(link.get("href", ""))
            if path is not None:
                link.tag = "span"
                link.attrib = {"title": f"{path or 'README.md'} in the repository"}
        if any(each.text == _LEFT_OUT for each in root.iter("th")):
            for each in root:
                if each.tag in ("h2", "h3"):
                    each.set("data-search-exclude", "")


class _Lists(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return four_columns(lines)


def four_columns(lines: list[str]) -> list[str]:
    """The same text with four columns for each level of a list."""
    moved: list[str] = []
    # Where the text of each open item begins.
    texts: list[int] = []
    fence = ""
    is_further = False  # a paragraph that is not the item's first
    for line in lines:
        text = line.lstrip(" ")
        if not text:
            is_further = bool(texts)
            moved.append(line)
            continue
        indent = len(line) - len(text)
        while texts and not fence and indent < texts[-1]:
            texts.pop()
        column = texts[-1] if texts else 0
        spaces = " " * (4 * len(texts) + max(indent - column, 0))
        if fence:
            fence = "" if text.rstrip() == fence else fence
        elif opened := _FENCE.match(text):
            fence = opened[1]
        elif mark := _MARK.match(text):
            texts.append(indent + mark.end())
            if is_further and moved[-1].strip():
                # A paragraph would swallow the next item.
                moved.append("")
            is_further = False
        moved.append(spaces + text)
    return moved


def outside(target: str) -> str | None:
    """The path in the repository of what a link leads to, if that is not in docs/."""
    upward = _UPWARD.match(target)
    if upward is None:
        return None
    path = target[upward.end() :].partition("#")[0]
    is_inside = path != "" and (_DOCS / path).exists()
    return path if (_DOCS.parent / path).exists() and not is_inside else None


def makeExtension(**options: Any) -> SiteMarkdown:
    """What Python-Markdown looks for."""
    return SiteMarkdown(**options)
