"""The pages about migrating show whole programs, and only names that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import mcp
import pytest

from trimcp import Client, Context, Server

from .migrating import PROGRAMS, python_of
from .pages import DOCS, ROOT, blocks

PAGES: Final = {
    "fastmcp": (DOCS / "migrating-from-fastmcp.md").read_text(),
    "sdk": (DOCS / "migrating-from-the-sdk.md").read_text(),
}

#: What the pages write for whom, and what it means there.
ROOTS: Final = {
    "trimcp": {
        "Server": "trimcp:Server",
        "Context": "trimcp:Context",
        "Client": "trimcp:Client",
        "ClientOptions": "trimcp.client:ClientOptions",
        "HttpOptions": "trimcp.server._http_options:HttpOptions",
    },
    "fastmcp": {
        "FastMCP": "fastmcp:FastMCP",
        "Context": "fastmcp:Context",
        "Client": "fastmcp:Client",
    },
    "sdk": {
        "MCPServer": "mcp.server:MCPServer",
        "Context": "mcp.server.mcpserver:Context",
        "Client": "mcp:Client",
    },
    "sdk_1": {},
}

#: The classes of ours that a name without a counterpart would be in.
OURS: Final = {"FastMCP": Server, "MCPServer": Server, "Context": Context, "Client": Client}

by_page = pytest.mark.parametrize("maker", PAGES)


def column(page: str, heading: str, number: int) -> list[str]:
    """The names in one column of the table under a heading."""
    section = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    # The first line is the head of the table, if that has code too.
    cells = [line.strip("|").split(" | ")[number] for line in lines if "| trimcp |" not in line]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def missing(names: list[str], maker: str) -> list[str]:
    """Which of the names do not exist in a maker's library."""
    done = subprocess.run(
        [python_of(maker), "-W", "ignore", str(ROOT / "tests" / "docs" / "named.py")],
        input=json.dumps({"roots": ROOTS[maker], "names": names}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout)
    return found


@by_page
def test_programs_are_whole_and_in_pairs(maker: str) -> None:
    programs = {
        path.name: path.read_text().split('"""\n\n', 1)[1] for path in PROGRAMS.glob("*.py")
    }
    shown = []
    for block in blocks(PAGES[maker], "python"):
        [name] = [name for name, code in programs.items() if code == block]
        shown.append(name)
    pairs = [name for name in shown if not name.endswith("_sdk_1.py")]
    theirs, ours = pairs[::2], pairs[1::2]
    assert len(theirs) >= 8
    assert [name.replace(f"_{maker}.py", "_trimcp.py") for name in theirs] == ours
    assert sorted(theirs) == sorted(path.name for path in PROGRAMS.glob(f"*_{maker}.py"))


@by_page
@pytest.mark.timeout(200)
def test_names_exist(maker: str) -> None:
    page = PAGES[maker]
    theirs = column(page, "Names", 0)
    assert len(theirs) > 40
    assert missing(theirs, maker) == []
    assert missing(column(page, "Names", 1), "trimcp") == []
    assert missing(column(page, "What trimcp does not have", 0), maker) == []


@pytest.mark.timeout(200)
def test_names_of_version_1() -> None:
    page = PAGES["sdk"]
    for number, maker in enumerate(["sdk_1", "sdk", "trimcp"]):
        assert missing(column(page, "From version 1", number), maker) == []
    # They are other names, of which version 2 has none.
    names = column(page, "From version 1", 0)
    old = [name for name in names if not name.startswith(("mcp.ClientSession", "mcp.client"))]
    assert len(old) == 5
    assert missing(old, "sdk") == old


@by_page
def test_what_we_do_not_have_is_not_there(maker: str) -> None:
    named = column(PAGES[maker], "What trimcp does not have", 0)
    members = [name.split("(")[0].split(".") for name in named if name.split(".")[0] in OURS]
    ours = {(owner, each) for owner, *rest in members for each in rest}
    assert len(ours) > 1
    # `tool` and `resource` we have; the parameters in brackets are those that we do not.
    assert {(owner, each) for owner, each in ours if hasattr(OURS[owner], each)} <= {
        ("FastMCP", "tool"),
        ("FastMCP", "resource"),
    }
    absent = [name for name in named if re.match(r"(FastMCP|MCPServer)\W.*=", name)]
    for name in absent:
        function, words = (
            name.replace("FastMCP", "Server").replace("MCPServer", "Server").split("(")
        )
        each_alone = [f"{function}({word})" for word in words.rstrip(")").split(", ")]
        assert missing(each_alone, "trimcp") == each_alone


def test_versions_are_those_that_are_tested() -> None:
    pins = [path.read_text() for path in (ROOT / "tests/interop/environments").glob("*.txt")]
    [version] = re.findall(r"with version (\d+\.\d+\.\d+)", PAGES["fastmcp"])
    assert any(f"\nfastmcp=={version}\n" in each for each in pins)
    [version] = re.findall(r"^Version (\d+\.\d+) has", PAGES["sdk"], re.MULTILINE)
    assert any(f"\nmcp=={version}.0\n" in each for each in pins)


def helped(command: list[str]) -> str:
    """What a command says about itself."""
    done = subprocess.run(
        [*command, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.timeout(200)
def test_commands_exist() -> None:
    fastmcp = set(re.findall(r"`fastmcp (\w+)`", PAGES["fastmcp"]))
    sdk = set(re.findall(r"`mcp (\w+)`", PAGES["sdk"]))
    assert (len(fastmcp), len(sdk)) == (6, 3)
    [package] = mcp.__path__
    for words, said in [
        (fastmcp, helped([str(Path(python_of("fastmcp")).with_name("fastmcp"))])),
        # Its help needs a package more.
        (sdk, Path(package, "cli", "cli.py").read_text()),
        (fastmcp | sdk, helped([sys.executable, "-m", "trimcp"])),
    ]:
        assert {word for word in words if not re.search(rf"\b{word}\b", said)} == set()


def test_a_wrong_name_is_noticed() -> None:
    right = ["trimcp.Server", "@Server.tool(name=, timeout=)", "Server.run(host=, keepalive=)"]
    wrong = ["trimcp.Sever", "Server.tol", "Server.tool(nam=)", "nothing.at.all", "trimcp.Server("]
    assert missing([*right, *wrong], "trimcp") == wrong


def test_columns_are_read() -> None:
    table = "| `a` | trimcp | |\n|---|---|---|\n| `x`, `y(z=)` | `p.q` | `n` |\n"
    page = f"# Top\n\n## Names\n\n{table}\n## B\n\n| `c` | `d` | `e` |\n"
    assert (column(page, "Names", 0), column(page, "Names", 1)) == (["x", "y(z=)"], ["p.q"])
