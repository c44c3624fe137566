"""The reference has every public name, and what machines read has every page."""

from __future__ import annotations

import re
from typing import Final

from .building import ROOT, Built
from .html import SITE, dead, pages

PUBLIC: Final = (ROOT / "tests" / "architecture" / "public.txt").read_text().splitlines()


def test_every_public_name_and_member_is_in_the_reference(built: Built) -> None:
    reference = [page for page in pages(built.directory) if "/reference/" in page.url]
    anchors = {anchor for page in reference for anchor in page.anchors}
    names = {re.split(r"[(:]", line, maxsplit=1)[0] for line in PUBLIC}
    assert len(names) > 500
    assert names - anchors == set()


def test_no_private_name_is_in_the_reference(built: Built) -> None:
    anchors = {anchor for page in pages(built.directory) for anchor in page.anchors}
    assert [each for each in anchors if re.match(r"trimcp\b.*\._", each)] == []


def test_llms_txt_leads_to_every_guide(built: Built) -> None:
    listed = re.findall(
        r"\]\(<http://127\.0\.0\.1:8000/(.*?)>\)", (built.directory / "llms.txt").read_text()
    )
    assert dead(built.directory, [SITE + each for each in listed]) == []
    # Two are too long, and say nothing about how to use trimcp; examples are in the guides.
    left_out = {"conformance/", "dependencies/", "examples/"}
    urls = {page.url.removeprefix(SITE) for page in pages(built.directory)}
    assert urls - {each.removesuffix("index.md") for each in listed} == left_out


def test_llms_full_txt_has_guides_and_the_reference(built: Built) -> None:
    text = (built.directory / "llms-full.txt").read_text()
    for wanted in ("# Questions", "elicit(message: str", "A server for notes".lower()):
        assert wanted in text
