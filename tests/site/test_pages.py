"""What the generator does not look at: pictures, folders, what is loaded, and how pages look."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from .building import ROOT, Built
from .html import SITE, Page, dead, elsewhere, pages

if TYPE_CHECKING:
    from pathlib import Path


def test_every_page_is_built(built: Built) -> None:
    docs = ROOT / "docs"
    names = [path.relative_to(docs).with_suffix("").as_posix() for path in docs.rglob("*.md")]
    urls = {SITE + re.sub(r"(^|/)(index|README)$", r"\1", name).strip("/") for name in names}
    assert {page.url.rstrip("/") for page in pages(built.directory)} == {
        url.rstrip("/") for url in urls
    }


def test_every_link_leads_somewhere(built: Built) -> None:
    broken = {page.url: dead(built.directory, page.links) for page in pages(built.directory)}
    assert {url: links for url, links in broken.items() if links} == {}


def test_every_picture_is_there_and_described(built: Built) -> None:
    pictures = [each for page in pages(built.directory) for each in page.pictures]
    assert len(pictures) >= 4
    assert dead(built.directory, [url.partition("#")[0] for url, _ in pictures]) == []
    assert [url for url, description in pictures if not description] == []


def test_nothing_is_loaded_from_elsewhere(built: Built) -> None:
    loaded = [each for page in pages(built.directory) for each in page.loaded]
    assert elsewhere(loaded) == []
    assert dead(built.directory, [url.partition("#")[0] for url in loaded]) == []


def test_no_markdown_is_left(built: Built) -> None:
    left = {page.url: page.remnants() for page in pages(built.directory)}
    assert {url: remnants for url, remnants in left.items() if remnants} == {}


def test_every_page_is_in_the_navigation(built: Built) -> None:
    """Which stands on every page, unlike other links."""
    everywhere = set.intersection(*(set(page.links) for page in pages(built.directory)))
    assert {page.url for page in pages(built.directory)} - everywhere == set()


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a href="there/">', []),
        ('<a href="there/#part">', []),
        ('<a href="there/#no">', [f"{SITE}there/#no"]),
        ('<a href="folder/">', [f"{SITE}folder/"]),
        ('<a href="folder">', [f"{SITE}folder"]),
        ('<a href="folder/picture.svg">', []),
        ('<a href="https://e.org/no">', []),
    ],
)
def test_dead_links_are_found(tmp_path: Path, html: str, expected: list[str]) -> None:
    for name in ("there", "folder"):
        (tmp_path / name).mkdir()
    (tmp_path / "index.html").write_text(html)
    (tmp_path / "there" / "index.html").write_text('<h2 id="part">')
    (tmp_path / "folder" / "picture.svg").touch()
    assert dead(tmp_path, pages(tmp_path)[0].links) == expected


def test_what_is_loaded_from_elsewhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<link rel="canonical" href="https://e.org/"><link rel="stylesheet" href="//e.org/a.css">'
        '<script src="https://e.org/a.js"></script><img src="a.svg">'
    )
    [page] = pages(tmp_path)
    assert elsewhere(page.loaded) == ["http://e.org/a.css", "https://e.org/a.js"]
    assert page.pictures == [(f"{SITE}a.svg", "")]


def test_markdown_is_found() -> None:
    for text in ("so\n* it is", "a\n| --- |", "```python", "**so**", "[a](b.md)"):
        assert Page(SITE, text=text).remnants() != []
    assert Page(SITE, text="a * b - c | d [a] (b)").remnants() == []
