"""The README as the package index shows it, made from README.md by each build.

A package index cannot follow links into the repository. Where `[project.urls]` of pyproject.toml
has a `Source`, the address of the repository at GitHub, they lead there; without it, of a link only
the text stays, and of a picture nothing.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

__all__ = ["CustomMetadataHook", "for_package_index"]

#: A block of code, in which nothing is a link; or a link or a picture without a scheme.
_CODE_OR_LINK = re.compile(
    r"^```.*?^```$|(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?![a-z]+:)(?P<path>[^)\s]+)\)",
    re.DOTALL | re.MULTILINE,
)


class CustomMetadataHook(MetadataHookInterface):
    """Gives the package its description; the name is the one that hatchling looks for."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the README.

        Args:
            metadata: The table `[project]`, to be completed.
        """
        source = metadata.get("urls", {}).get("Source")
        text = for_package_index((Path(self.root) / "README.md").read_text("utf-8"), source)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def for_package_index(readme: str, source: str | None) -> str:
    """The README without relative links.

    Args:
        readme: The README of the repository.
        source: The address of the repository at GitHub; None if it has none.
    """
    return _CODE_OR_LINK.sub(partial(_absolute, source), readme)


def _absolute(source: str | None, found: re.Match[str]) -> str:
    picture, text, path = found.group("picture", "text", "path")
    if path is None:
        return found[0]
    if source is None:
        return "" if picture else text
    # GitHub shows pages under one address, and gives the bytes of pictures under the other.
    kind = "raw" if picture else "blob"
    return f"{picture}[{text}]({source.rstrip('/')}/{kind}/main/{path})"
