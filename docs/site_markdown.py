"""An extension of Python-Markdown, for what differs between GitHub and the site.

* A link to a file beside docs/ leads nowhere on the site. It becomes its text, and says which file
  is meant.
* The tables of conformance.md are long and name everything. The search leaves them out, so that they
  do not come before the pages that explain something; it still finds the headings above them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from markdown import Extension
from markdown.treeprocessors import Treeprocessor

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from markdown import Markdown

_DOCS: Final = Path(__file__).resolve().parent
_UPWARD: Final = re.compile(r"(?:\.\./?)+")

#: The last column of each table of conformance.md.
_LEFT_OUT: Final = "shown by"


class SiteMarkdown(Extension):
    """Both of the above."""

    def extendMarkdown(self, md: Markdown) -> None:
        """Called by Python-Markdown."""
        # After `inline` (20), which makes the links.
        md.treeprocessors.register(_Differences(md), "site_markdown", 15)


class _Differences(Treeprocessor):
    def run(self, root: Element) -> None:
        for link in root.iter("a"):
            path = outside(link.get("href", ""))
            if path is not None:
                link.tag = "span"
                link.attrib = {"title": f"{path or 'README.md'} in the repository"}
        for table in root.iter("table"):
            if [each.text for each in table.iter("th")][-1:] == [_LEFT_OUT]:
                table.set("data-search-exclude", "")


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
