"""The servers that most tests of the command line use."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from .harness import running
from .servers import DEMO, LIBRARY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A Python file with a server that serves itself when run."""
    file = tmp_path / "demo.py"
    file.write_text(DEMO)
    return file


@pytest.fixture(scope="session")
def demo_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same server, which runs already: much faster, where it does not matter how it starts."""
    with served(tmp_path_factory.mktemp("demo"), DEMO) as address:
        yield address


@pytest.fixture(scope="session")
def library_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with resources and prompts, but no tools, which runs already."""
    with served(tmp_path_factory.mktemp("library"), LIBRARY) as address:
        yield address


@contextmanager
def served(directory: Path, text: str) -> Iterator[str]:
    """Serve a file's text on a Unix socket; the address."""
    file = directory / "app.py"
    file.write_text(text)
    with running("run", "--unix", directory / "socket", file) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("listening on "), line
        yield line.removeprefix("listening on ").rstrip()
