"""Every program in docs/examples, and the programs of the README, do what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import Client, open_stdio_client
from trimcp.types import TextContent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"
README = (ROOT / "README.md").read_text()
CLI = [sys.executable, "-m", "trimcp"]

PATIENCE = 30.0


def source(name: str) -> str:
    """The text of an example."""
    return (EXAMPLES / name).read_text()


def run(command: list[str], directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


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


#: Servers of which more is asked than what they have.
EXERCISES: dict[str, Callable[[Client], Awaitable[None]]] = {"quickstart.py": quickstart}

#: How a program serves the process that has started it.
STDIO = re.compile(r"trio\.run\(server\.serve_stdio\)|server\.run\(\)")

PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py") if not path.match("test_*"))
SERVERS = [name for name in PROGRAMS if STDIO.search(source(name))]


async def look_around(client: Client) -> int:
    """Ask for everything that the server says it has; how much that is."""
    offered = client.capabilities
    found = 0
    if offered.tools is not None:
        found += len(await client.list_tools())
    if offered.resources is not None:
        found += len(await client.list_resources()) + len(await client.list_resource_templates())
    if offered.prompts is not None:
        found += len(await client.list_prompts())
    return found


@pytest.mark.parametrize("by", ["python", "trimcp run"])
@pytest.mark.parametrize("name", SERVERS)
async def test_a_server_serves(name: str, by: str, tmp_path: Path) -> None:
    launcher = [sys.executable] if by == "python" else [*CLI, "run"]
    command = [*launcher, str(EXAMPLES / name)]
    async with open_stdio_client(command, cwd=tmp_path) as client:
        assert await look_around(client) > 0
        if name in EXERCISES:
            await EXERCISES[name](client)


#: Programs with packages that do not support every version of Python: from which version on not.
UNSUPPORTED = {"asyncio_loop.py": (3, 14)}


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in SERVERS])
def test_a_program_runs_to_its_end(name: str, tmp_path: Path) -> None:
    if sys.version_info >= UNSUPPORTED.get(name, (4,)):
        pytest.skip("a package that it needs does not support this version of Python")
    done = run([sys.executable, str(EXAMPLES / name)], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_there_are_examples() -> None:
    assert "quickstart.py" in SERVERS


def python_blocks() -> list[str]:
    """The README's programs."""
    return re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_the_server_of_the_readme_is_the_quickstart() -> None:
    _, code = source("quickstart.py").split('"""\n\n', 1)
    assert python_blocks()[0] == code


def test_the_client_of_the_readme_runs(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "docs" / "examples")
    done = run([sys.executable, "-c", python_blocks()[1]], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1/3\n2/3\n3/3\nCounted to 3.\n"


def test_the_calls_of_the_readme_run() -> None:
    calls = re.findall(r"^\$ (trimcp .*)\n([^$`]*)", README, re.MULTILINE)
    assert len(calls) >= 2
    for call, output in calls:
        done = run([*CLI, *call.split()[1:], "--output", "text"], ROOT)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == output
