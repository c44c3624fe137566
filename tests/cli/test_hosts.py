"""Each host's file is where the host looks for it, and what stands there is what it reads.

The files in `hosts/` are compared with; `python -m tests.cli.test_hosts` writes them again.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trimcp.cli._errors import CommandError
from trimcp.cli._host_places import Machine
from trimcp.cli._hosts import HOSTS, Host, Local, Remote, find_host

STORED = Path(__file__).parent / "hosts"
ROOT = Path(__file__).parents[2]

MACHINES = {
    "Linux": Machine("linux", {}, "/home/ada"),
    "macOS": Machine("darwin", {}, "/Users/ada"),
    "Windows": Machine(
        "win32",
        {
            "APPDATA": r"C:\Users\ada\AppData\Roaming",
            "LOCALAPPDATA": r"C:\Users\ada\AppData\Local",
        },
        r"C:\Users\ada",
    ),
}

LOCAL = Local("notes", "/venv/bin/python", ["-m", "trimcp"], {"NOTES": "/notes.json"})
BARE = Local("notes", r"C:\venv\python.exe", ["-m", "trimcp"], {})


def shown(host: Host) -> str:
    """Everything about a host, as text."""
    lines = [f"{name}: {path}" for name, each in MACHINES.items() for path in host.files(each)]
    lines.append(f"project: {host.project_file}")
    for title, entry in (("with variables", host.local(LOCAL)), ("without", host.local(BARE))):
        lines += ["", title, *described(host, entry)]
    for title, variable in (("remote, with a token", "TOKEN"), ("remote", None)):
        lines += ["", title]
        try:
            entry = host.remote(Remote("notes", "https://example.com/mcp", variable))
        except CommandError as error:
            lines.append(str(error))
        else:
            lines += described(host, entry)
    return "\n".join(lines) + "\n"


def described(host: Host, entry: dict[str, object]) -> list[str]:
    return json.dumps({host.section: {"notes": entry}}, indent=2).splitlines()


@pytest.mark.parametrize("word", HOSTS)
def test_files_and_entries(word: str) -> None:
    assert shown(HOSTS[word]) == (STORED / f"{word}.txt").read_text()


@pytest.mark.parametrize(
    ("word", "machine", "path"),
    [
        ("claude-code", Machine("linux", {"CLAUDE_CONFIG_DIR": "/c"}, "/h"), "/c/.claude.json"),
        (
            "vscode",
            Machine("linux", {"XDG_CONFIG_HOME": "/x"}, "/h"),
            "/x/Code/User/mcp.json",
        ),
        ("goose", Machine("darwin", {"XDG_CONFIG_HOME": "/x"}, "/h"), "/x/goose/config.yaml"),
        (
            "vscode",
            Machine("win32", {}, r"C:\Users\ada"),
            r"C:\Users\ada\AppData\Roaming\Code\User\mcp.json",
        ),
        (
            "vscode",
            Machine("win32", {"APPDATA": r"D:\Roaming"}, r"C:\Users\ada"),
            r"D:\Roaming\Code\User\mcp.json",
        ),
    ],
)
def test_variables_move_files(word: str, machine: Machine, path: str) -> None:
    assert HOSTS[word].files(machine) == [path]


def test_the_page_and_the_readme_name_every_host() -> None:
    page = (ROOT / "docs/hosts.md").read_text()
    readme = (ROOT / "README.md").read_text()
    for word, host in HOSTS.items():
        assert f"\n| `{word}` |" in page
        assert word in readme
        if host.project_file not in (None, "mcp.json"):
            assert f"`{host.project_file}` of a project" in page


def test_an_unknown_host_lists_all() -> None:
    with pytest.raises(ValueError, match="unknown host") as caught:
        find_host("emacs")
    assert all(word in str(caught.value) for word in HOSTS)
    assert find_host("Cursor") is HOSTS["cursor"]


if __name__ == "__main__":
    for word, host in HOSTS.items():
        (STORED / f"{word}.txt").write_text(shown(host))
