"""Reading the pages of a built site: links, pictures, anchors, text."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urljoin, urlsplit

import attrs

if TYPE_CHECKING:
    from pathlib import Path

#: Where the pages are taken to be.
SITE: Final = "http://site.example/docs/"

#: What is loaded with a page, by tag.
_LOADED: Final = {"img": "src", "script": "src", "source": "src", "iframe": "src", "video": "src"}

#: Kinds of `<link>` that say something about a page and load nothing.
_TOLD: Final = {"canonical", "next", "prev", "alternate"}

#: Markdown that has become text: marks of lists, rows of tables, fences, bold text, links.
_REMNANT: Final = re.compile(r"^[*+-] |^\| ?:?--|```|\*\*\w|\]\([\w./#]", re.MULTILINE)


@attrs.define
class Page:
    """One page.

    Attributes:
        url: Its address.
        links: Where its links lead.
        loaded: What is loaded with it.
        pictures: The address of each picture, and its description.
        anchors: What can be linked to in it.
        text: What is written on it, without code.
    """

    url: str
    links: list[str] = attrs.field(factory=list)
    loaded: list[str] = attrs.field(factory=list)
    pictures: list[tuple[str, str]] = attrs.field(factory=list)
    anchors: set[str] = attrs.field(factory=set)
    text: str = ""

    def remnants(self) -> list[str]:
        """Markdown that is shown as it was written."""
        return [
            self.text[max(0, each.start() - 20) :][:60] for each in _REMNANT.finditer(self.text)
        ]


class _Reader(HTMLParser):
    def __init__(self, page: Page) -> None:
        super().__init__()
        self.page = page
        self.unread: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if "id" in values:
            self.page.anchors.add(values["id"])
        if tag == "a" and "href" in values:
            self.page.links.append(urljoin(self.page.url, values["href"]))
        if tag == "link" and values.get("rel") not in _TOLD:
            self.page.loaded.append(urljoin(self.page.url, values["href"]))
        if values.get(_LOADED.get(tag, "")):
            self.page.loaded.append(urljoin(self.page.url, values[_LOADED[tag]]))
        if tag == "img":
            self.page.pictures.append((self.page.loaded[-1], values.get("alt", "")))
        if tag in ("code", "pre", "script", "style", "title"):
            self.unread.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.unread[-1:] == [tag]:
            self.unread.pop()

    def handle_data(self, data: str) -> None:
        if not self.unread:
            self.page.text += data


@cache
def pages(site: Path) -> list[Page]:
    """All pages of a site, but for the one that says that there is no such page."""
    found = []
    for file in sorted(site.rglob("index.html")):
        folder = file.parent.relative_to(site).as_posix()
        page = Page(SITE if folder == "." else f"{SITE}{folder}/")
        _Reader(page).feed(file.read_text())
        found.append(page)
    return found


def dead(site: Path, targets: list[str]) -> list[str]:
    """The addresses in this site at which there is nothing."""
    anchors = {page.url: page.anchors for page in pages(site)}
    return [each for each in targets if each.startswith(SITE) and not _leads(site, anchors, each)]


def _leads(site: Path, anchors: dict[str, set[str]], target: str) -> bool:
    url, _, anchor = target.partition("#")
    if url in anchors:
        return not anchor or unquote(anchor) in anchors[url]
    # A folder without a page of its own is nothing that could be shown.
    return (site / unquote(url.removeprefix(SITE))).is_file()


def elsewhere(targets: list[str]) -> list[str]:
    """The addresses that are not of this site."""
    return [each for each in targets if not each.startswith(SITE) and urlsplit(each).netloc]
