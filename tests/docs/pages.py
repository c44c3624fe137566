"""Reading Markdown: blocks of code, links, anchors."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of one language."""
    return [code for info, code in _FENCE.findall(text) if info == language]


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of the page's console blocks, each with the output it is said to have."""
    return [
        (command, output)
        for block in blocks(text, "console")
        for command, output in _COMMAND.findall(block)
    ]


def links(text: str) -> list[str]:
    """The targets of all links."""
    return _LINK.findall(_FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """The names that headings can be linked by, as GitHub makes them."""
    found = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def broken_links(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    broken = []
    for link in links(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    return broken


def is_excerpt(block: str, program: str) -> bool:
    """Whether a block stands in a program, as whole lines, maybe indented there."""
    return any(
        f"\n{textwrap.indent(block, ' ' * depth)}" in f"\n{program}" for depth in (0, 4, 8, 12)
    )


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """The table under a heading: what stands beside each name in its first column."""
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)
    found = {}
    for line in section[0].splitlines():
        first, *others = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| `"):
            found |= dict.fromkeys(re.findall(r"`(\w+)`", first), others)
    return found
