"""The site as a reader sees it: the search, and pictures in light and in dark colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ..browser.chromium import needs_chromium
from .serving import reader

if TYPE_CHECKING:
    from pathlib import Path

    from ..browser.devtools import Tab
    from .building import Built

pytestmark = needs_chromium

#: Which pictures of the page are shown; waits until those are loaded.
SHOWN = """
(async () => {
    const pictures = [...document.querySelectorAll("article img")];
    const shown = pictures.filter(each => each.checkVisibility());
    await Promise.all(shown.map(each => { each.loading = "eager"; return each.decode(); }));
    return shown.filter(each => each.clientHeight > 100 && each.naturalWidth > 100)
        .map(each => each.src.split("/").pop().split("#")[0]);
})()
"""

#: Opens the search, whose elements are in a shadow root, and waits for its field.
OPEN_SEARCH = """
new Promise(resolve => {
    const look = () => {
        const hosts = [...document.querySelectorAll("*")].filter(each => each.shadowRoot);
        const field = hosts.map(each => each.shadowRoot.querySelector("input")).find(each => each);
        if (!field) return requestAnimationFrame(look);
        field.focus();
        resolve();
    };
    document.querySelector(".md-search__button").click();
    look();
})
"""

#: Waits for results, and gives where they lead.
RESULTS = """
new Promise(resolve => {
    const look = () => {
        const hosts = [...document.querySelectorAll("*")].filter(each => each.shadowRoot);
        const found = hosts.flatMap(each => [...each.shadowRoot.querySelectorAll("ol a")]);
        if (found.length === 0) return requestAnimationFrame(look);
        resolve(found.map(each => each.href));
    };
    look();
})
"""


def requests_elsewhere(tab: Tab, address: str) -> list[str]:
    """What was requested that is not of the site. Icons within a style sheet are data."""
    return [each for each in tab.requested if not each.startswith((address, "data:", "blob:"))]


async def test_the_search_finds_elicit(built: Built, tmp_path: Path) -> None:
    async with reader(built.directory, tmp_path / "profile") as (tab, address):
        await tab.go(address)
        await tab.evaluate(OPEN_SEARCH)
        await tab.insert("elicit")
        results = await tab.evaluate(RESULTS)
        hits = [each.removeprefix(address).replace("?h=elicit", "") for each in results]
        assert hits[0] == "reference/server/#trimcp.Context.elicit"
        assert not [each for each in hits if each.startswith("conformance/")]
        assert requests_elsewhere(tab, address) == []


# The choice of colours is remembered, so each has a browser of its own.
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pictures_fit_the_colours(built: Built, scheme: str, tmp_path: Path) -> None:
    async with reader(built.directory, tmp_path / "profile") as (tab, address):
        await tab.prefer(scheme)
        await tab.go(address)
        expected = [f"nurseries-{scheme}.svg", f"requests-{scheme}.svg"]
        assert await tab.evaluate(SHOWN) == expected
        assert requests_elsewhere(tab, address) == []


async def test_the_colours_can_be_changed(built: Built, tmp_path: Path) -> None:
    async with reader(built.directory, tmp_path / "profile") as (tab, address):
        await tab.prefer("light")
        await tab.go(address)
        await tab.evaluate("document.querySelector('label[title=\"Dark colours\"]').click()")
        assert await tab.evaluate(SHOWN) == ["nurseries-dark.svg", "requests-dark.svg"]


async def test_other_machines_cannot_be_reached_and_that_is_seen(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text('<img src="http://site.example/a.svg">')
    async with reader(tmp_path / "site", tmp_path / "profile") as (tab, address):
        await tab.go(address)
        assert requests_elsewhere(tab, address) == ["http://site.example/a.svg"]
        assert await tab.evaluate("document.images[0].naturalWidth") == 0
