"""Which parser reads the requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._parsing import MakeParser

__all__ = ["fastest_parser"]


def fastest_parser() -> MakeParser:
    """httptools where it is installed, otherwise h11."""
    try:
        from ._llhttp import LlhttpParser
    except ImportError:
        from ._h11 import H11Parser

        return H11Parser
    return LlhttpParser
