"""`trimcp run`."""

from __future__ import annotations

import re
import signal
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from trimcp import open_client

from .harness import COMMAND, is_one_line, run, run_here, running, screen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = """
from trimcp import Server
server = Server("one")

@server.tool
async def who() -> str:
    return "one"
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


async def answer_of(tool: str, *words: str | Path) -> str:
    """What a server says that `trimcp run` serves on standard input and output."""
    async with open_client([*COMMAND, "run", *map(str, words)]) as client:
        result = await client.call_tool(tool)
    assert not result.is_error, result
    text: str = result.content[0].text  # type: ignore[union-attr]
    return text


# -- which server -----------------------------------------------------------------------------


@pytest.mark.parametrize("option", [[], ["--stdio"]])
async def test_the_only_server_is_served_on_stdio(tmp_path: Path, option: list[str]) -> None:
    file = write(tmp_path / "app.py", SERVER)
    assert await answer_of("who", *option, file) == "one"


async def test_an_object_may_be_named_and_be_inside_another(tmp_path: Path) -> None:
    more = 'class app:\n    second = Server("two")\n\n@app.second.tool\ndef who(): return "two"\n'
    file = write(tmp_path / "app.py", SERVER + more)
    assert await answer_of("who", f"{file}:server") == "one"
    assert await answer_of("who", f"{file}:app.second") == "two"


async def test_one_server_with_two_names_is_one_server(tmp_path: Path) -> None:
    file = write(tmp_path / "app.py", SERVER + "alias = server\n")
    assert await answer_of("who", file) == "one"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("", SERVER + 'other = Server("two")', "write FILE:server or FILE:other"),
        ("", "x = 1", "no Server among its global names"),
        (":nothing", SERVER, "has no 'nothing'; write FILE:server"),
        (":who", SERVER, "'who' in"),
        (":x", "x = 1", "it has no Server at all"),
        ("", SERVER + "\n1 / 0", "line 9: ZeroDivisionError: division by zero"),
        ("", "\n\nif:", "line 3: SyntaxError"),
        ("", "import nowhere_to_be_found", "line 1: ModuleNotFoundError"),
        ("", "import nowhere_to_be_found", f"install its package for {sys.executable}"),
    ],
)
@pytest.mark.usefixtures("restored_modules")
def test_what_cannot_be_served_is_said_in_a_line(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    file = write(tmp_path / "app.py", text)
    done = run_here("run", f"{file}{name}")
    assert done.returncode == 1
    assert is_one_line(done.stderr), done.stderr
    assert words in done.stderr
    assert done.stdout == ""


@pytest.fixture
def restored_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Loading a file leaves traces; the parts of trimcp that it loads may stay."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", [*sys.argv])
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if not name.startswith("trimcp."):
            del sys.modules[name]


def test_no_such_file() -> None:
    done = run("run", "nowhere.py")
    assert (done.returncode, done.stderr) == (1, "trimcp: no such file: nowhere.py\n")


def test_verbose_errors_come_with_a_traceback(tmp_path: Path) -> None:
    done = run("run", "-v", write(tmp_path / "app.py", "1 / 0"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("trimcp: cannot load")


# -- as with python ---------------------------------------------------------------------------


async def test_the_file_is_loaded_as_a_module_beside_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "neighbour.py", 'WORD = "from the neighbour"')
    file = write(
        tmp_path / "app.py",
        "import sys\nimport neighbour\n" + SERVER + "@server.tool\n"
        "def facts() -> str:\n"
        "    return f'{neighbour.WORD} {sys.path[0]} {sys.argv} {sys.modules[__name__].SEEN}'\n"
        "SEEN = __name__\n"
        'if __name__ == "__main__":\n    raise SystemExit("this must not run")\n',
    )
    assert await answer_of("facts", file) == f"from the neighbour {tmp_path} {[str(file)]} app"


async def test_a_file_with_the_name_of_a_library_replaces_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "trio.py", "import trio as real\n" + SERVER + "real.sleep_forever\n")
    assert await answer_of("who", file) == "one"


def test_nothing_is_imported_that_running_does_not_need(tmp_path: Path) -> None:
    code = (
        "import sys; from trimcp.cli import main; status = main(); "
        "print(status, *sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", write(tmp_path / "app.py", SERVER)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    status, *modules = done.stderr.split()
    assert status == "0"
    ours = {name for name in modules if name.startswith("trimcp.cli.")}
    wanted = {
        "_arguments",
        "_errors",
        "_loading",
        "_logging",
        "_main",
        "_options",
        "_parser",
        "_run",
    }
    assert ours == {f"trimcp.cli.{name}" for name in wanted}
    assert "asyncio" not in modules


# -- sockets ----------------------------------------------------------------------------------


def first_line(pattern: str, line: str) -> str:
    found = re.fullmatch(pattern, line)
    assert found is not None, line
    return found[1]


ADDRESSES = {
    "--http": r"http://127\.0\.0\.1:\d+/mcp",
    "--tcp": r"tcp://127\.0\.0\.1:\d+",
    "--ws": r"ws://127\.0\.0\.1:\d+/ws",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("option", ADDRESSES)
def test_a_port_says_where_and_ends_with_a_signal(tmp_path: Path, option: str, number: int) -> None:
    file = write(tmp_path / "app.py", SERVER)
    with running("run", option, "127.0.0.1:0", file) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        target = first_line(rf"listening on ({ADDRESSES[option]})\n", said)
        assert run("call", "--output", "text", target, "who").stdout == "one\n"
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


ADVICE = "only requests to localhost are answered: say its other names with --allowed-host NAME\n"


def status_of(port: str, host: str, origin: str | None = None) -> tuple[int, str]:
    """The status that a request gets, and the rest of its answer."""
    head = f"GET /ws HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    head += "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    head += f"origin: {origin}\r\n\r\n" if origin else "\r\n"
    with socket.create_connection(("127.0.0.1", int(port)), 10) as connection:
        connection.sendall(head.encode())
        answer = b""
        # Only a refusal ends.
        while b" 101 " not in answer and (piece := connection.recv(65536)):
            answer += piece
    return int(answer.split()[1]), answer.decode("latin-1")


@pytest.mark.parametrize("option", ["--http", "--ws"])
def test_a_server_on_all_addresses_says_by_which_names_it_is_reached(
    tmp_path: Path, option: str
) -> None:
    file = write(tmp_path / "app.py", SERVER)
    with running("run", option, "0.0.0.0:0", file) as process:
        assert process.stderr is not None
        port = first_line(r"listening on \w+://0\.0\.0\.0:(\d+)/.*\n", process.stderr.readline())
        assert process.stderr.readline() == ADVICE
        assert status_of(port, "localhost")[0] == 101
        for _ in range(2):
            status, answer = status_of(port, "secret.example")
            assert status == 403
            assert "--allowed-host" in answer
            assert "secret.example" not in answer
        assert status_of(port, "localhost", "http://secret.example")[0] == 403
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        said = process.stderr.read()
        assert said.count("--allowed-host") == said.count("--allowed-origin") == 1
        assert "secret.example" not in said


@pytest.mark.parametrize("option", ["--http", "--ws"])
def test_names_and_pages_may_be_allowed(tmp_path: Path, option: str) -> None:
    file = write(tmp_path / "app.py", SERVER)
    words = ["--allowed-host", "one.example", "--allowed-host", "*.two.example"]
    words += ["--allowed-origin", "https://app.example"]
    with running("run", *words, option, "0.0.0.0:0", file) as process:
        assert process.stderr is not None
        port = first_line(r"listening on \w+://0\.0\.0\.0:(\d+)/.*\n", process.stderr.readline())
        for host, origin, status in (
            ("one.example", None, 101),
            ("a.two.example:8000", None, 101),
            ("localhost", "https://app.example", 101),
            ("two.example", None, 403),
            ("0.0.0.0", None, 403),
            ("one.example", "https://one.example", 403),
        ):
            assert status_of(port, host, origin)[0] == status
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "only requests to localhost" not in process.stderr.read()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tcp", "127.0.0.1:0", "--allowed-host", "x"], "are for --http and --ws"),
        (["--allowed-origin", "https://x"], "are for --http and --ws"),
        (["--http", "127.0.0.1:0", "--allowed-host", "https://x"], "is not a host name"),
    ],
)
def test_names_that_make_no_sense(words: list[str], said: str) -> None:
    done = run("run", *words, "app.py")
    assert done.returncode == 2
    assert said in done.stderr


def test_unix_says_where_and_removes_the_socket(tmp_path: Path) -> None:
    file = write(tmp_path / "app.py", SERVER)
    path = tmp_path / "socket"
    with running("run", "--unix", path, file) as process:
        assert process.stderr is not None
        target = first_line(r"listening on (unix:.*)\n", process.stderr.readline())
        assert target == f"unix:{path}"
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert run("call", "--output", "text", target, "who").stdout == "one\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not path.exists()


@pytest.mark.parametrize(
    ("option", "shown"),
    [("--http", "http://{}/mcp"), ("--tcp", "tcp://{}"), ("--ws", "ws://{}/ws")],
)
def test_an_address_in_use(tmp_path: Path, option: str, shown: str) -> None:
    file = write(tmp_path / "app.py", SERVER)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        name = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("run", option, name, file)
    assert done.returncode == 1
    assert is_one_line(done.stderr)
    assert done.stderr.startswith(f"trimcp: cannot serve {shown.format(name)}: ")


def test_a_handshake_that_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "app.py", SERVER)
    with running("run", "--ws", "127.0.0.1:0", file) as process:
        assert process.stderr is not None
        target = first_line(r"listening on (.*)\n", process.stderr.readline())
        done = run("list", target.replace("/ws", "/elsewhere"))
        assert done.returncode == 1
        assert is_one_line(done.stderr)
        assert done.stderr == (
            "trimcp: the server refused the WebSocket handshake with HTTP status 404\n"
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_path_in_use(tmp_path: Path) -> None:
    file = write(tmp_path / "app.py", SERVER)
    done = run("run", "--unix", file, file)
    assert done.returncode == 1
    assert is_one_line(done.stderr)
    assert f"cannot serve unix:{file}" in done.stderr


def test_a_lifespan_that_fails_is_one_line(tmp_path: Path) -> None:
    text = """
from contextlib import asynccontextmanager
from trimcp import Server

@asynccontextmanager
async def lifespan(server):
    raise RuntimeError("no database")
    yield

server = Server("one", lifespan=lifespan)
"""
    done = run("run", write(tmp_path / "app.py", text))
    assert (done.returncode, done.stderr) == (1, "trimcp: RuntimeError: no database\n")


# -- logs, and people -------------------------------------------------------------------------


def test_logs(tmp_path: Path) -> None:
    text = (
        "import logging\n"
        + SERVER
        + (
            "@server.on_startup\nasync def start():\n"
            '    logging.getLogger("app").warning("careful")\n'
            '    logging.getLogger("app").info("by the way")\n'
        )
    )
    file = write(tmp_path / "app.py", text)
    assert "WARNING app: careful" in (quiet := run("run", file).stderr)
    assert "by the way" not in quiet
    assert "INFO app: by the way" in run("run", "-v", file).stderr


def test_people_are_told_what_happens_and_end_it_with_ctrl_d(tmp_path: Path) -> None:
    with screen("run", write(tmp_path / "app.py", SERVER)) as terminal:
        terminal.wait_for("serving on standard input and output; Ctrl-D or Ctrl-C ends it")
        terminal.type("\x04")
        assert terminal.finish() == 0
