"""The distributions have what they should and nothing else, and what they install works."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from hatch_build import CustomMetadataHook, for_package_index

from .building import ROOT, relative_links, run

if TYPE_CHECKING:
    from pathlib import Path

    from .building import Distributions

#: The first test of a run waits for the build, and one for an installation with all dependencies.
pytestmark = pytest.mark.timeout(600)

SOURCE: Final = "https://github.com/example/trimcp"

#: The top of a source distribution; hatchling always adds the last two.
TOP: Final = {
    "LICENSE",
    "README.md",
    "benchmarks",
    "docs",
    "hatch_build.py",
    "mkdocs.yml",
    "pyproject.toml",
    "tests",
    "trimcp",
    ".gitignore",
    "PKG-INFO",
}


def ours() -> set[str]:
    """The files of the repository: those that git knows, or would if it were told."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    return {name for name in run(command, ROOT).split("\0") if (ROOT / name).is_file()}


def test_twine_has_no_objection(built: Distributions, tmp_path: Path) -> None:
    files = [str(built.wheel), str(built.sdist)]
    printed = run(
        [sys.executable, "-m", "twine", "--no-color", "check", "--strict", *files], tmp_path
    )
    assert printed.count("PASSED") == 2


def test_the_wheel_has_the_package_and_the_licence(built: Distributions) -> None:
    package = {name for name in ours() if name.startswith("trimcp/")}
    assert {"trimcp/py.typed", "trimcp/errors.py"} <= package
    found = {re.sub(r"^trimcp-[^/]*\.dist-info/", "", name) for name in built.in_wheel()}
    metadata = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    assert found == package | metadata


def test_the_source_distribution_has_no_stray_files(built: Distributions) -> None:
    found = set(built.in_sdist())
    assert {name.partition("/")[0] for name in found} == TOP
    assert found - ours() == {"PKG-INFO"}


def test_the_readme_has_no_relative_links(built: Distributions) -> None:
    assert relative_links(built.readme()) == []


def test_links_that_no_package_index_can_follow_are_found() -> None:
    page = (
        "[a](docs/a.md) [b](https://e.org/) [`c`](#c) ![d](d.svg) <img src='e.svg'>\n"
        "```\n[f](f.md)\n```\n"
    )
    assert relative_links(page) == ["docs/a.md", "#c", "d.svg", "e.svg"]


def test_of_links_into_a_repository_without_an_address_the_text_stays() -> None:
    page = "![nothing](a.svg)[Some\nwords](docs/a.md), [more](https://e.org)\n```\n[b](b.md)\n```\n"
    expected = "Some\nwords, [more](https://e.org)\n```\n[b](b.md)\n```\n"
    assert for_package_index(page, None) == expected


@pytest.mark.parametrize("source", [SOURCE, f"{SOURCE}/"])
def test_links_into_a_repository_with_an_address_lead_there(source: str) -> None:
    page = "![a](docs/a.svg) [b](docs/b.md#c) [d](https://e.org)\n"
    expected = (
        f"![a]({SOURCE}/raw/main/docs/a.svg) [b]({SOURCE}/blob/main/docs/b.md#c) "
        "[d](https://e.org)\n"
    )
    assert for_package_index(page, source) == expected


def test_the_address_is_one_setting() -> None:
    metadata: dict[str, Any] = {"urls": {"Source": SOURCE}}
    CustomMetadataHook(str(ROOT), {}).update(metadata)
    text = metadata["readme"]["text"]
    assert f"({SOURCE}/blob/main/docs/index.md)" in text
    assert relative_links(text) == []


def test_the_metadata_say_which_python(built: Distributions) -> None:
    metadata = built.metadata()
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "Programming Language :: Python :: 3 :: Only" in metadata.get_all("Classifier", [])


def test_what_is_installed_answers_a_call(built: Distributions, tmp_path: Path) -> None:
    run([sys.executable, "-m", "venv", "fresh"], tmp_path)
    programs = tmp_path / "fresh" / "bin"
    run([str(programs / "python"), "-m", "pip", "install", "-q", str(built.wheel)], tmp_path)
    server = tmp_path / "quickstart.py"
    server.write_bytes((ROOT / "docs" / "examples" / "quickstart.py").read_bytes())
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [str(programs / "trimcp"), "call", str(server), "add", "a=2", "b=3"]
    assert '"text": "5"' in run(command, empty)
