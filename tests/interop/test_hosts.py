"""What `trimcp install` writes is read by the hosts themselves, and the server answers them.

The command lines of Claude Code and of Gemini CLI come from npm (`hosts/package-lock.json`). Each
test has a home directory of its own, and nobody is logged in.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import pytest

from .conftest import HERE, NODE
from .environments import install_node_modules

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS: Final = HERE / "hosts"
MODULES: Final = HOSTS / "node_modules"
ROOT: Final = HERE.parents[1]
QUICKSTART: Final = ROOT / "docs/examples/quickstart.py"

#: How the hosts' command lines are started. The first finds its program for this machine.
PROGRAMS: Final = {
    "claude-code": [str(NODE), str(MODULES / "@anthropic-ai/claude-code/cli-wrapper.cjs")],
    "gemini": [str(NODE), str(MODULES / "@google/gemini-cli/bundle/gemini.js")],
}

UV: Final = shutil.which("uv") or str(Path(sys.executable).parent / "uv")

#: Variables that say from where packages come, and how.
OF_DOWNLOADS: Final = re.compile(r"(PIP|UV|SSL_CERT|HTTPS?|NO|ALL)_\w+$", re.IGNORECASE)

#: Seconds after which something that should have come is given up; nothing is timed by it.
PATIENCE: Final = 180.0

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="session")
def host_modules() -> None:
    """What npm installs, as the lock file says."""
    install_node_modules(HOSTS)


@attrs.frozen
class Person:
    """Somebody with a home directory and a directory to work in.

    Attributes:
        home: The home directory.
        work: The directory to work in.
        environment: What programs are told.
    """

    home: Path
    work: Path
    environment: dict[str, str]

    def run(self, *words: str | Path) -> str:
        """What a program says that ends well. Gemini CLI lists on standard error."""
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.work,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def trimcp(self, *words: str | Path) -> str:
        return self.run(sys.executable, "-m", "trimcp", *words)

    def listed(self, host: str) -> str:
        """What the host's own command says about its servers."""
        return self.run(*PROGRAMS[host], "mcp", "list")


@pytest.fixture
def person(tmp_path: Path) -> Person:
    """Somebody new, who trusts the directory."""
    home, work = tmp_path / "home", tmp_path / "work"
    (home / ".gemini").mkdir(parents=True)
    work.mkdir()
    shutil.copy(QUICKSTART, work)
    (home / ".gemini/trustedFolders.json").write_text(json.dumps({str(work): "TRUST_FOLDER"}))
    path = f"{NODE.parent}:/usr/local/bin:/usr/bin:/bin"
    kept = {name: value for name, value in os.environ.items() if OF_DOWNLOADS.match(name)}
    return Person(home, work, {**kept, "HOME": str(home), "PATH": path})


@contextmanager
def served(person: Person) -> Iterator[str]:
    """The example over HTTP; its URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trimcp", "run", "--http", "0", QUICKSTART],
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stderr is not None
            yield process.stderr.readline().removeprefix("listening on ").strip()
        finally:
            process.send_signal(signal.SIGTERM)


@pytest.mark.usefixtures("host_modules")
@pytest.mark.parametrize("host", PROGRAMS)
def test_the_host_says_connected(host: str, person: Person) -> None:
    person.trimcp("install", host, "quickstart.py", "--env", "A=b")
    with served(person) as url:
        person.trimcp("install", host, url, "--name", "remote", "--token-env", "TOKEN")
        person.environment["TOKEN"] = "a-token"
        lines = person.listed(host).splitlines()
    for name in ("quickstart", "remote"):
        (line,) = [line for line in lines if re.search(rf"\b{name}: ", line)]
        assert line.endswith("Connected"), lines
    for name in ("quickstart", "remote"):
        person.trimcp("install", host, "--uninstall", "--name", name)
    assert "Connected" not in person.listed(host)


@pytest.mark.usefixtures("host_modules")
def test_claude_code_reads_a_project_too(person: Person) -> None:
    person.trimcp("install", "claude-code", "quickstart.py", "--project", ".")
    (line,) = [line for line in person.listed("claude-code").splitlines() if "quickstart" in line]
    assert "Pending approval" in line or line.endswith("Connected"), line


# -- with what is published -------------------------------------------------------------------


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel of this tree, as it would be published."""
    directory = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"]
    subprocess.run([*build, str(directory), str(ROOT)], check=True, timeout=300)
    return directory


def commands_of_the_readme() -> list[str]:
    """The commands from nothing to a tool in a host."""
    text = (ROOT / "README.md").read_text().split("## In your host\n", 1)[1].split("\n## ", 1)[0]
    (block,) = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(block).splitlines()


@pytest.mark.usefixtures("host_modules")
def test_three_commands_lead_from_nothing_to_a_tool_in_a_host(person: Person, wheels: Path) -> None:
    commands = commands_of_the_readme()
    assert len(commands) == 3
    person.environment["PIP_FIND_LINKS"] = f"{os.environ.get('PIP_FIND_LINKS', '')} {wheels}"
    path = f"{Path(sys.executable).resolve().parent}:{person.environment['PATH']}"
    person.environment["PATH"] = path
    person.run("bash", "-euc", "\n".join(commands))
    assert "quickstart: " in person.listed("claude-code")
    assert "Connected" in person.listed("claude-code")


def test_a_package_is_had_through_uv(person: Person, wheels: Path) -> None:
    person.environment.update(UV=UV, UV_FIND_LINKS=str(wheels))
    (person.work / "table.py").write_text(
        "import tabulate\nfrom trimcp import Server\nserver = Server('table')\n"
    )
    person.trimcp("install", "cursor", "table.py", "--with", "tabulate")
    entry = json.loads((person.home / ".cursor/mcp.json").read_text())["mcpServers"]["table"]
    assert entry["command"] == UV
    assert "--no-project" in entry["args"]
    # Nothing was made beside the file.
    assert {path.name for path in person.work.iterdir()} <= {
        "quickstart.py",
        "table.py",
        "__pycache__",
    }


def test_with_uvx_the_entry_does_not_need_its_temporary_environment(
    person: Person, wheels: Path
) -> None:
    person.environment.update(UV_FIND_LINKS=str(wheels))
    uvx = (UV, "tool", "run", "--python", sys.executable)
    person.run(*uvx, "trimcp", "install", "cursor", "quickstart.py")
    entry = json.loads((person.home / ".cursor/mcp.json").read_text())["mcpServers"]["quickstart"]
    assert entry["command"] == UV
    assert str(person.home) not in " ".join(entry["args"])


def test_the_commands_of_the_page_run(person: Person) -> None:
    page = (ROOT / "docs/hosts.md").read_text()
    commands = re.findall(r"^trimcp install .*$", page, re.MULTILINE)
    assert len(commands) >= 10
    person.environment["NOTES_TOKEN"] = "a-token"
    for command in commands:
        person.trimcp(*shlex.split(command)[1:])
