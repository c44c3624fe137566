"""Every program in docs/examples, and the programs of the README, do what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import Client, open_client
from trimcp.types import TextContent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"
README = (ROOT / "README.md").read_text()
CLI = [sys.executable, "-m", "trimcp"]

PATIENCE = 30.0


async def text_of(client: Client, tool: str, **arguments: Any) -> str:
    """The text that a tool answers with."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def quickstart(client: Client) -> None:
    assert await text_of(client, "add", a=2, b=3) == "5"
    reports = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, total, message))

    result = await client.call_tool("count_to", {"n": 3, "seconds": 0}, progress=note)
    assert result.content == (TextContent("Counted to 3."),)
    # Reports that come while one is being noted replace each other, but the last one stays.
    assert reports[-1] == (3, 3, "counted to 3")


#: What each program is asked; a new program needs a new entry.
EXERCISES: dict[str, Callable[[Client], Awaitable[None]]] = {"quickstart.py": quickstart}


def test_every_example_has_an_exercise() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(EXERCISES)


@pytest.mark.parametrize("name", EXERCISES)
async def test_run_by_python(name: str) -> None:
    async with open_client(EXAMPLES / name) as client:
        await EXERCISES[name](client)


@pytest.mark.parametrize("name", EXERCISES)
async def test_run_by_trimcp(name: str) -> None:
    async with open_client([*CLI, "run", str(EXAMPLES / name)]) as client:
        await EXERCISES[name](client)


def python_blocks() -> list[str]:
    """The README's programs."""
    return re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_server_of_the_readme_is_the_quickstart() -> None:
    _, code = (EXAMPLES / "quickstart.py").read_text().split('"""\n\n', 1)
    assert python_blocks()[0] == code


def test_the_client_of_the_readme_runs(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "docs" / "examples")
    done = subprocess.run(
        [sys.executable, "-c", python_blocks()[1]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1/3\n2/3\n3/3\nCounted to 3.\n"


def test_the_calls_of_the_readme_run() -> None:
    calls = re.findall(r"^\$ (trimcp .*)\n([^$`]*)", README, re.MULTILINE)
    assert len(calls) >= 2
    for call, output in calls:
        words = [*CLI, *call.split()[1:], "--output", "text"]
        done = subprocess.run(
            words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == output
