"""The site builds strictly, without a warning and without a network."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from .building import BUILD, ROOT, WITHOUT_NETWORK, Built, build

if TYPE_CHECKING:
    from pathlib import Path

#: A package whose docstring names a parameter that is not there.
FAULTY = '''
def greet(name: str) -> str:
    """Greet.

    Args:
        nobody: Whom to greet.
    """
    return name
'''


def test_the_site_builds_without_a_complaint(built: Built) -> None:
    assert (built.status, built.complaints) == (0, [])


def test_the_command_is_that_of_the_page() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    assert f"python {' '.join(BUILD[1:])}\n" in page


def small(directory: Path, start: str) -> Path:
    """A site of one page, with the options of ours."""
    options = (ROOT / "mkdocs.yml").read_text().split("  - llmstxt:")[0]
    (directory / "mkdocs.yml").write_text(options)
    (directory / "docs").mkdir()
    (directory / "docs" / "index.md").write_text(start)
    extension = (ROOT / "docs" / "site_markdown.py").read_text()
    (directory / "docs" / "site_markdown.py").write_text(extension)
    return directory


def test_a_link_to_no_page_is_a_complaint(tmp_path: Path) -> None:
    built = build(small(tmp_path, "# Start\n\n[nowhere](nowhere.md), [here](#nowhere)\n"))
    assert built.status != 0
    assert sum("does not exist" in line for line in built.complaints) >= 2


def test_a_faulty_docstring_is_a_complaint(tmp_path: Path) -> None:
    project = small(tmp_path, "# Start\n\n::: faulty\n")
    (project / "faulty.py").write_text(FAULTY)
    complaints = "\n".join(build(project).complaints)
    assert re.search(r"griffe: faulty\.py.*nobody", complaints)


def test_there_is_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as here:
        port = here.getsockname()[1]
        program = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        alone = subprocess.run(
            [*WITHOUT_NETWORK, sys.executable, "-c", program], capture_output=True, check=False
        )
        subprocess.run([sys.executable, "-c", program], check=True)
    assert b"OSError" in alone.stderr


def test_nothing_but_the_site_is_written_into_it(built: Built) -> None:
    files = {path.relative_to(built.directory).as_posix() for path in built.directory.rglob("*")}
    assert {each for each in files if each.endswith((".pyc", "site_markdown.py"))} == set()
    # The programs are there, since pages link to them.
    assert "examples/quickstart.py" in files
