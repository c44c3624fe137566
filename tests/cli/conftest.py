"""The server file that most tests of the command line use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .harness import DEMO

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A Python file with a server that serves itself when run."""
    file = tmp_path / "demo.py"
    file.write_text(DEMO)
    return file
