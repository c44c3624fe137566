"""The Dockerfile of docs/deployment.md, with a fresh directory in place of the image."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import attrs
import httpx2
import pytest

from tests.docs.pages import DOCS, EXAMPLES, blocks

from .building import clean_environment, run

if TYPE_CHECKING:
    from pathlib import Path

    from .building import Distributions

#: An installation with all dependencies.
pytestmark = pytest.mark.timeout(600)

(DOCKERFILE,) = blocks((DOCS / "deployment.md").read_text(), "dockerfile")

#: The lines, as instructions and what they say.
LINES: Final = [line.split(" ", 1) for line in DOCKERFILE.splitlines()]

#: What Docker takes a server's own port from; here the system chooses one.
PORT: Final = "0.0.0.0:8000"


def said(instruction: str) -> list[str]:
    """What the lines with an instruction say."""
    return [text for name, text in LINES if name == instruction]


def listed(text: str) -> list[str]:
    """A command in the form of a list, which no shell reads."""
    words = json.loads(text)
    assert isinstance(words, list)
    return words


@attrs.frozen
class Image:
    """What the instructions have made.

    Attributes:
        place: The working directory.
        variables: Those of the environment that programs have.
    """

    place: Path
    variables: dict[str, str]

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        """Start a program; its standard error can be read."""
        program = shutil.which(command[0], path=self.variables["PATH"])
        assert program is not None, command
        env = clean_environment() | self.variables
        words = [program, *command[1:]]
        return subprocess.Popen(words, cwd=self.place, env=env, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def image(built: Distributions, tmp_path: Path) -> Image:
    """The instructions, run as a shell would, with the wheel in place of the published one."""
    context, place = tmp_path / "context", tmp_path / "app"
    context.mkdir()
    place.mkdir()
    shutil.copy(EXAMPLES / "quickstart.py", context / "notes.py")
    run([sys.executable, "-m", "venv", "image"], tmp_path)
    path = f"{tmp_path / 'image' / 'bin'}:/usr/bin:/bin"
    script = ["set -eu"]
    for instruction, text in LINES:
        if instruction == "RUN":
            script.append(re.sub(r"\btrimcp\b", shlex.quote(str(built.wheel)), text))
        if instruction == "COPY":
            *names, target = text.split()
            script += [f"cp {shlex.quote(str(context / name))} {target}" for name in names]
    run(["sh", "-c", "\n".join(script)], place, {"PATH": path})
    return Image(place, {"PATH": path})


def test_the_container_serves_is_well_and_ends(image: Image) -> None:
    (command,) = said("CMD")
    (health,) = said("HEALTHCHECK")
    words = listed(command)
    words[words.index(PORT)] = "0.0.0.0:0"
    with image.start(words) as server:
        try:
            assert server.stderr is not None
            (port,) = re.findall(r"http://0\.0\.0\.0:(\d+)/mcp", server.stderr.readline())
            check = listed(health.partition(" CMD ")[2].replace(":8000", f":{port}"))
            assert outcome(image, check) == (0, "")
            assert answered(port, "mcp.example.com")
            assert not answered(port, "other.example.com")
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) == 0
            code, complaint = outcome(image, check)
            assert (code, "refused" in complaint) == (1, True)
        finally:
            server.kill()


def outcome(image: Image, command: list[str]) -> tuple[int, str]:
    """The exit status of a program, and what it says on standard error."""
    with image.start(command) as process:
        _, complaint = process.communicate(timeout=60)
    return process.returncode, complaint


def answered(port: str, host: str) -> bool:
    """Whether a call under this name is answered with its result; else it is refused."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "client", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params: dict[str, Any] = {"name": "add", "arguments": {"a": 2, "b": 3}, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {
        "host": host,
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "add",
    }
    answer = httpx2.post(f"http://127.0.0.1:{port}/mcp", json=message, headers=headers)
    assert answer.status_code in (200, 403), answer.text
    return answer.status_code == 200 and '"text":"5"' in answer.text


@pytest.mark.parametrize("instruction", ["CMD", "HEALTHCHECK"])
def test_no_shell_stands_between_docker_and_the_program(instruction: str) -> None:
    (text,) = said(instruction)
    assert listed(text[text.index("[") :])


def test_the_user_is_not_root() -> None:
    (user,) = said("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert [name for name, _ in LINES].index("USER") > [name for name, _ in LINES].index("COPY")
