"""`trimcp install` changes one entry of a host's file, and nothing without being asked."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import trimcp
from trimcp.cli import _host_files, _install, _launching, main
from trimcp.cli._hosts import HOSTS

from .harness import is_one_line, run_here

if TYPE_CHECKING:
    import subprocess

SERVER = """
from trimcp import Server
server = Server("My notes")
"""

#: A server with another name, so that what is written before is known.
OTHER = {"command": "/bin/other", "args": ["é"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a server."""
    path = tmp_path / "app.py"
    path.write_text(SERVER)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home directory."""
    path = tmp_path / "home"
    path.mkdir()
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(path))
    return path


def install(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Install without starting the server."""
    return run_here("install", "--no-check", *words)


def servers(path: Path, section: str = "mcpServers") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())[section]
    return found


# -- what is written --------------------------------------------------------------------------


@pytest.mark.parametrize("word", HOSTS)
def test_every_host_gets_an_entry_and_loses_it_again(
    word: str, file: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = install(word, file)
    assert (done.returncode, done.stderr) == (0, "")
    _, path = done.stdout.splitlines()[0].split(" in ", 1)
    assert str(file) in Path(path).read_text()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    done = install("--uninstall", word, file)
    assert "removed 'app'" in done.stdout
    assert str(file) not in Path(path).read_text()
    assert install("--uninstall", word, file).returncode == 1


def test_the_server_is_started_and_named_after_itself(file: Path, home: Path) -> None:
    done = run_here("install", "cursor", f"{file}:server", "--env", "A=b")
    assert done.returncode == 0
    assert "the name 'My notes' becomes 'My-notes'" in done.stderr
    assert "Next: the server stands under Settings" in done.stdout
    assert servers(home / ".cursor/mcp.json") == {
        "My-notes": {
            "command": sys.executable,
            "args": ["-m", "trimcp", "run", "--stdio", f"{file}:server"],
            "env": {"A": "b"},
        }
    }


def test_what_was_there_stays_and_a_copy_is_kept(file: Path, home: Path) -> None:
    path = home / ".claude.json"
    before = json.dumps({"z": 1, "mcpServers": {"other": OTHER}, "a": None}, ensure_ascii=False)
    path.write_text("\ufeff" + before)
    path.chmod(0o640)
    done = install("claude-code", file)
    assert done.returncode == 0
    after = path.read_text()
    assert after.startswith("\ufeff")
    data = json.loads(after.removeprefix("\ufeff"))
    assert list(data) == ["z", "mcpServers", "a"]
    assert list(data["mcpServers"]) == ["other", "app"]
    assert data["mcpServers"]["other"] == OTHER
    assert "é" in after
    copy = home / ".claude.json.trimcp.bak"
    assert str(copy) in done.stdout
    assert copy.read_text() == "\ufeff" + before
    assert {stat.S_IMODE(each.stat().st_mode) for each in (path, copy)} == {0o640}


def test_comments_survive_where_they_are_read(file: Path, home: Path) -> None:
    path = home / ".cursor/mcp.json"
    path.parent.mkdir()
    path.write_text('{\n  // mine\n  "mcpServers": {\n    "a": {}, // first\n  },\n}\n')
    assert install("cursor", file).returncode == 0
    after = path.read_text()
    assert "// mine\n" in after
    assert '"a": {}, // first\n    "app": {' in after
    install("cursor", "--uninstall", "--name", "app")
    assert path.read_text() == '{\n  // mine\n  "mcpServers": {\n    "a": {}, // first\n  },\n}\n'


def test_yaml_keeps_comments_order_and_quotes(file: Path, home: Path) -> None:
    path = home / ".config/goose/config.yaml"
    path.parent.mkdir(parents=True)
    before = (
        "# mine\nGOOSE_MODEL: 'x'  # quoted\nextensions:\n  developer:\n    enabled: true\n"
        "    args:\n    - é # kept\nz: 1\n"
    )
    path.write_text(before)
    assert install("goose", file, "--env", "A=b").returncode == 0
    after = path.read_text()
    assert "envs:\n      A: b\n" in after
    kept = iter(after.splitlines())
    assert all(line in kept for line in before.splitlines())
    install("goose", "--uninstall", file)
    assert path.read_text() == before


def test_yaml_without_its_package_says_what_to_install(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    done = install("goose", file)
    assert done.returncode == 1
    assert "pip install 'trimcp[goose]'" in done.stderr


def test_a_symbolic_link_stays_one(file: Path, home: Path, tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text("{}")
    (home / ".claude.json").symlink_to(real)
    assert install("claude-code", file).returncode == 0
    assert (home / ".claude.json").is_symlink()
    assert "app" in servers(real)


def test_the_project_or_another_file_may_be_chosen(file: Path, home: Path, tmp_path: Path) -> None:
    assert install("vscode", file, "--project", tmp_path).returncode == 0
    assert servers(tmp_path / ".vscode/mcp.json", "servers")["app"]["type"] == "stdio"
    assert install("vscode", file, "--config", tmp_path / "x.json").returncode == 0
    assert "app" in servers(tmp_path / "x.json", "servers")
    assert "no settings of projects" in install("goose", file, "--project", tmp_path).stderr
    assert list(home.iterdir()) == []


def test_a_dry_run_shows_the_difference_only(file: Path, home: Path) -> None:
    done = install("cursor", file, "--dry-run")
    assert done.returncode == 0
    assert done.stdout.startswith(f"--- /dev/null\n+++ {home}/.cursor/mcp.json\n")
    assert '+    "app": {' in done.stdout
    assert list(home.iterdir()) == []
    path = home / ".claude.json"
    path.write_text('{\n  "mcpServers": {}\n}\n')
    done = install("claude-code", file, "--dry-run")
    assert '-  "mcpServers": {}' in done.stdout
    assert path.read_text() == '{\n  "mcpServers": {}\n}\n'
    assert list(home.iterdir()) == [path]


def test_installing_again_replaces_our_own_entry_only(file: Path, home: Path) -> None:
    path = home / ".claude.json"
    path.write_text(json.dumps({"mcpServers": {"app": OTHER}}))
    done = install("claude-code", file)
    assert done.returncode == 1
    assert "already has another server 'app': choose a name with --name" in done.stderr
    assert servers(path) == {"app": OTHER}
    assert install("claude-code", file, "--name", "mine").returncode == 0
    assert install("claude-code", file, "--name", "mine", "--env", "A=b").returncode == 0
    assert servers(path)["mine"]["env"] == {"A": "b"}
    assert "has it already" in install("claude-code", file, "--name", "mine", "--env", "A=b").stdout


def test_another_file_of_the_same_name_is_another_server(file: Path, home: Path) -> None:
    """A server that was copied often still has the name of the first one."""
    other = file.parent / "copy" / file.name
    other.parent.mkdir()
    other.write_text(file.read_text())
    assert install("cursor", file).returncode == 0
    before = servers(home / ".cursor/mcp.json")
    done = install("cursor", other)
    assert done.returncode == 1
    assert "already has another server 'app': choose a name with --name" in done.stderr
    assert servers(home / ".cursor/mcp.json") == before
    assert install("cursor", f"{file}:server").returncode == 0, "the same file, with its object"


def test_a_file_of_any_name_can_be_installed_again(file: Path, home: Path) -> None:
    plain = file.with_suffix("")
    plain.write_text(file.read_text())
    assert install("cursor", plain, "--name", "mine").returncode == 0
    assert install("cursor", plain, "--name", "mine", "--env", "A=b").returncode == 0
    assert servers(home / ".cursor/mcp.json")["mine"]["env"] == {"A": "b"}


def test_a_value_of_the_environment_needs_no_word_of_the_command(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    assert install("cursor", file, "--env", "SECRET").returncode == 0
    assert servers(home / ".cursor/mcp.json")["app"]["env"] == {"SECRET": "s3cret"}


# -- servers at URLs --------------------------------------------------------------------------

URL = "https://mcp.example.com/mcp"


@pytest.mark.parametrize(
    ("word", "path", "token"),
    [
        ("claude-code", ".claude.json", "${TOKEN}"),
        ("cursor", ".cursor/mcp.json", "${env:TOKEN}"),
        ("gemini", ".gemini/settings.json", "${TOKEN}"),
        ("windsurf", ".codeium/windsurf/mcp_config.json", "${env:TOKEN}"),
    ],
)
def test_a_token_is_named_and_never_written(
    word: str, path: str, token: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    assert run_here("install", word, URL, "--token-env", "TOKEN").returncode == 0
    text = (home / path).read_text()
    assert "s3cret" not in text
    entry = json.loads(text)["mcpServers"]["mcp-example-com"]
    assert entry["headers"] == {"Authorization": f"Bearer {token}"}
    assert URL in entry.values()


def test_vscode_asks_for_the_token_once(home: Path, tmp_path: Path) -> None:
    words = ("--token-env", "TOKEN", "--config", tmp_path / "mcp.json")
    install("vscode", URL, *words)
    install("vscode", "https://example.org/mcp", *words, "--name", "second")
    data = json.loads((tmp_path / "mcp.json").read_text())
    assert [(each["id"], each["password"]) for each in data["inputs"]] == [("TOKEN", True)]
    assert data["servers"]["second"]["headers"]["Authorization"] == "Bearer ${input:TOKEN}"
    install("vscode", "--uninstall", URL, "--config", tmp_path / "mcp.json")
    assert len(json.loads((tmp_path / "mcp.json").read_text())["inputs"]) == 1
    install("vscode", "--uninstall", "--name", "second", "--config", tmp_path / "mcp.json")
    assert json.loads((tmp_path / "mcp.json").read_text()) == {"inputs": [], "servers": {}}


def test_claude_desktop_takes_no_url(home: Path) -> None:
    done = install("claude-desktop", URL)
    assert done.returncode == 1
    assert "Add custom connector" in done.stderr
    assert list(home.iterdir()) == []


# -- through uv -------------------------------------------------------------------------------


def test_packages_and_python_go_through_uv(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_launching, "_find_uv", lambda: "/opt/uv")
    assert install("cursor", file, "--with", "httpx", "--python", "3.12").returncode == 0
    entry = servers(home / ".cursor/mcp.json")["app"]
    ours = f"trimcp=={trimcp.__version__}"
    words = ["--python", "3.12", "--with", ours, "--with", "httpx", "trimcp", "run", "--stdio"]
    assert entry == {"command": "/opt/uv", "args": ["run", "--no-project", *words, str(file)]}


def test_what_the_file_says_to_uv_is_used_where_uv_is(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('# /// script\n# dependencies = ["httpx"]\n# ///\n' + SERVER)
    monkeypatch.setattr(_launching, "_find_uv", lambda: None)
    assert _launching.launch_command(str(file), None, [], None)[0] == sys.executable
    monkeypatch.setattr(_launching, "_find_uv", lambda: "/opt/uv")
    words = _launching.launch_command(str(file), "server", [], None)
    place = words.index("--with-requirements")
    assert words[place + 1 :] == [str(file), "trimcp", "run", "--stdio", f"{file}:server"]


def test_without_uv_it_says_what_is_missing(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_launching, "_find_uv", lambda: None)
    done = install("cursor", file, "--with", "httpx")
    assert done.returncode == 1
    assert "--with and --python need uv" in done.stderr


@pytest.mark.parametrize(
    ("python", "temporary"),
    [
        ("/home/a/.cache/uv/archive-v0/x1/bin/python", True),
        ("/home/a/.cache/uv/builds-v0/.tmpX/bin/python", True),
        (r"C:\Users\a\AppData\Local\uv\cache\archive-v0\x\Scripts\python.exe", True),
        ("/home/a/.local/share/uv/tools/trimcp/bin/python", False),
        ("/home/a/project/.venv/bin/python", False),
    ],
)
def test_a_python_that_uv_may_remove_is_known(python: str, temporary: bool) -> None:
    assert _launching.is_temporary(python) is temporary


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "path", "text", "words"),
    [
        ("claude-code", ".claude.json", '{\n  "a": 1 // x\n}', "line 2, column 10: a comment"),
        ("claude-code", ".claude.json", '{"a": 1,}', "line 1, column 8: a trailing comma"),
        ("claude-code", ".claude.json", "null", "line 1, column 1: the settings are no object"),
        ("claude-code", ".claude.json", '{"mcpServers": []}', "'mcpServers' is no object"),
        ("claude-code", ".claude.json", '{"a": \x01}', "expected a value"),
        ("cursor", ".cursor/mcp.json", '{"a": 1', "line 1, column 8"),
        ("gemini", ".gemini/settings.json", "\ufeff{}", "a byte order mark"),
        ("goose", ".config/goose/config.yaml", "a: [1\nb: 2\n", "line 2, column"),
        ("goose", ".config/goose/config.yaml", "a: 1\na: 2\n", "duplicate key"),
        ("goose", ".config/goose/config.yaml", "- a\n", "the settings are no object"),
    ],
)
def test_a_malformed_file_is_refused_with_its_place_and_not_touched(
    word: str, path: str, text: str, words: str, file: Path, home: Path
) -> None:
    there = home / path
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text(text)
    done = run_here("install", word, file)
    assert done.returncode == 1
    assert is_one_line(done.stderr), done.stderr
    assert words in done.stderr
    assert "nothing was changed" in done.stderr
    assert str(there) in done.stderr
    assert there.read_text() == text
    assert list(there.parent.glob("*.bak")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1", "no Server among its global names"),
        ("import nowhere_to_be_found", "nowhere_to_be_found"),
    ],
)
def test_a_file_without_a_server_is_refused_first(
    text: str, words: str, file: Path, home: Path
) -> None:
    file.write_text(text)
    done = run_here("install", "cursor", file)
    assert done.returncode == 1
    assert is_one_line(done.stderr), done.stderr
    assert "nothing was changed" in done.stderr
    assert words in done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give HOST and FILE; HOST is one of claude-desktop, claude-code"),
        (["emacs", "app.py"], "unknown host 'emacs': use one of claude-desktop"),
        (["cursor"], "give HOST and one FILE[:OBJECT] or URL"),
        (["cursor", "a.py", "b.py"], "give HOST and one FILE[:OBJECT] or URL"),
        (["--uninstall", "cursor"], "with --name, or its FILE"),
        (["cursor", "app.py", "--name", "my notes"], "not a name: 'my notes'"),
        (["cursor", "app.py", "--env", "=s3cret"], "--env takes KEY=VALUE, or KEY"),
        (["cursor", "app.py", "--env", "NOT_THERE_AT_ALL"], "the environment has no"),
        (["cursor", "app.py", "--token-env", "T"], "--token-env is for a URL"),
        (["cursor", URL, "--token-env", "s3cret/"], "takes the name of a variable"),
        (["cursor", URL, "--with", "httpx"], "for a FILE, not for a URL"),
        (["cursor", "ws://a/b"], "a URL is http://HOST/PATH"),
        (["cursor", "https://me:s3cret@a/b"], "use --token-env"),
    ],
)
def test_a_wrong_command_line_is_explained(
    words: list[str], told: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(["install", *words])
    except SystemExit as end:
        status = int(end.code or 0)
    assert status == 2
    said = capsys.readouterr().err
    assert told in said
    assert "s3cret" not in said
    assert list(home.iterdir()) == []


def test_no_such_file_and_no_such_server(home: Path) -> None:
    done = install("cursor", "nowhere.py")
    assert (done.returncode, done.stderr) == (1, "trimcp: no such file: nowhere.py\n")
    done = install("--uninstall", "cursor", "--name", "nothing")
    assert "there is no such server in" in done.stderr


def test_a_file_that_another_program_changes_meanwhile_is_left_alone(
    file: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / ".claude.json"
    path.write_text("{}")
    difference = _host_files.HostFile.add

    def interfering(self: _host_files.HostFile, *given: Any) -> None:
        difference(self, *given)
        path.write_text('{"new": 1}')

    monkeypatch.setattr(_host_files.HostFile, "add", interfering)
    done = install("claude-code", file)
    assert done.returncode == 1
    assert "has just been changed by another program" in done.stderr
    assert path.read_text() == '{"new": 1}'


def test_a_directory_that_cannot_be_written_is_one_line(file: Path, tmp_path: Path) -> None:
    (tmp_path / "no-directory").write_text("")
    done = install("cursor", file, "--config", tmp_path / "no-directory" / "mcp.json")
    assert done.returncode == 1
    assert is_one_line(done.stderr), done.stderr


@pytest.mark.parametrize(
    ("there", "changed"),
    [
        ([], ["usual"]),
        (["usual"], ["usual"]),
        (["Claude_1", "Claude_2", "Other"], ["Claude_1", "Claude_2"]),
        (["Claude_1", "usual"], ["usual", "Claude_1"]),
    ],
)
def test_the_packaged_claude_desktop_has_its_own_folder(
    there: list[str],
    changed: list[str],
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in there:
        (tmp_path / name).mkdir()
    if "usual" in there:
        (tmp_path / "usual/c.json").write_text("{}")
    places = [str(tmp_path / name / "c.json") for name in ("usual", "Claude_*")]
    host = attrs.evolve(HOSTS["claude-desktop"], files=lambda _: places)
    monkeypatch.setattr(_install, "find_host", lambda _: host)
    assert install("claude-desktop", file).returncode == 0
    found = [str(path) for path in sorted(tmp_path.glob("*/c.json"))]
    assert found == sorted(str(tmp_path / name / "c.json") for name in changed)


def test_a_path_that_is_not_text_is_refused(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".claude.json").write_text("{}")
    path = tmp_path / "\udcff.py"
    try:
        path.write_text(SERVER)
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system has no such names")
    done = install("claude-code", path, "--name", "app")
    assert done.returncode == 1
    assert "a path that is not text" in done.stderr
    assert [each.name for each in home.iterdir()] == [".claude.json"]
