"""The programs of docs/testing.md are run as they stand there, or are excerpts of tested ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.docs.pages import EXAMPLES, blocks, is_excerpt

if TYPE_CHECKING:
    import pytest

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_every_other_program_is_an_excerpt() -> None:
    assert len(BLOCKS) == 7
    tests = [path.read_text("utf-8") for path in EXAMPLES.glob("test_*.py")]
    named = [f"# {name}\n{code}" for name, code in BLOCKS]
    others = [block for block in blocks(PAGE, "python") if block not in named]
    assert len(others) == 3
    assert all(any(is_excerpt(block, test) for test in tests) for block in others)


def test_the_programs_run(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    for name, code in BLOCKS:
        (pytester.path / name).write_text(code, "utf-8")
    tests = sum(code.count("\nasync def test_") for _, code in BLOCKS)
    count = tests + 1  # one of them for two revisions
    tool = ["-p", "no:cacheprovider", "-q"]

    # The first time there is no golden transcript yet.
    result = pytester.runpytest_inprocess(*tool)
    result.assert_outcomes(passed=count - 1, failed=1)
    result.stdout.fnmatch_lines(["*there is no golden transcript*"])
    pytester.runpytest_inprocess(*tool, "--trimcp-update-golden").assert_outcomes(passed=count)
    golden = (pytester.path / "golden" / "test_golden.test_listing.txt").read_text("utf-8")
    assert golden.splitlines()[2] == "# what a new client does first"
    pytester.runpytest_inprocess(*tool).assert_outcomes(passed=count)
