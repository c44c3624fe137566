"""`trimcp login`, `trimcp logout`, and who the other commands are to a server."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import redirect_stderr
from functools import partial
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING

import pytest
import trio

from tests.auth.world import Answer, open_world
from trimcp.cli import main

from .harness import COMMAND, is_one_line, run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

#: A browser whose user agrees to everything.
BROWSER = """\
import sys, urllib.request
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1]).read()
"""


@pytest.fixture
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory for logins, and a browser."""
    script = tmp_path / "browser.py"
    script.write_text(BROWSER)
    monkeypatch.setenv("BROWSER", f"{sys.executable} {script} %s")
    monkeypatch.setenv("TRIMCP_LOGINS", str(tmp_path / "logins"))
    return tmp_path / "logins"


async def trimcp(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return await trio.to_thread.run_sync(partial(run, *words, stdin=stdin))


def listed(directory: Path) -> list[Path]:
    return list(directory.iterdir())


async def test_a_login_serves_the_other_commands(logins: Path) -> None:
    async with open_world() as world:
        done = await trimcp("call", world.url, "x")
        assert done.returncode == 1
        assert is_one_line(done.stderr)
        assert f"trimcp login {world.url}" in done.stderr
        done = await trimcp("login", world.url)
        assert (done.returncode, done.stdout) == (0, "logged in\n")
        assert f"opening {world.origin}/authorize?" in done.stderr
        for _ in range(2):
            done = await trimcp("call", world.url, "x")
            assert (done.returncode, done.stderr) == (0, "")
            world.revoke()  # so the token is refreshed
        assert len(world.logins) == 1
        assert all(each.stat().st_mode & 0o777 == 0o600 for each in listed(logins))


async def test_other_commands_do_not_log_in(logins: Path) -> None:
    async with open_world() as world:
        await trimcp("login", world.url)
        world.revoke()
        world.refresh.clear()
        done = await trimcp("list", world.url)
        assert done.returncode == 1
        assert is_one_line(done.stderr)
        assert "trimcp login" in done.stderr
        assert len(world.logins) == 1
        assert len(world.of("/register")) == 1


async def test_more_scopes(logins: Path) -> None:
    async with open_world() as world:
        await trimcp("login", world.url, "--scope", "a", "--scope", "b")
        await trimcp("login", world.url)
        assert [each.get("scope") for each in world.logins] == ["a b", None]


@pytest.mark.parametrize("way", ["refused", "interrupted"])
async def test_a_login_that_is_abandoned_leaves_the_one_until_then(logins: Path, way: str) -> None:
    async with open_world() as world:
        await trimcp("login", world.url)
        process = await trio.lowlevel.open_process(
            [*COMMAND, "login", "--no-browser", world.url], stdin=-1, stderr=-1
        )
        assert process.stderr is not None
        assert process.stdin is not None
        text = ""
        async with process.stdin, process.stderr:
            while "then paste" not in text:
                text += (await process.stderr.receive_some()).decode()
            if way == "refused":
                await process.stdin.send_all(b"http://127.0.0.1/callback?error=access_denied\n")
            else:
                process.send_signal(signal.SIGINT)
            async for piece in process.stderr:
                text += piece.decode()
            assert await process.wait() != 0
        assert "the login until now is kept\n" in text
        world.revoke()  # so the token is refreshed
        assert (await trimcp("call", world.url, "x")).returncode == 0


async def test_a_login_without_a_browser(logins: Path) -> None:
    async with open_world() as world:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "trimcp", "login", "--no-browser", world.url],
            stdin=-1,
            stderr=-1,
        )
        assert process.stderr is not None
        assert process.stdin is not None
        text = ""
        while "then paste" not in text:
            text += (await process.stderr.receive_some()).decode()
        lines = text.splitlines()
        back = await world.visit(lines[0].removeprefix("open "))
        await process.stdin.send_all(back.encode() + b"\n")
        assert await process.wait() == 0
        await process.stdin.aclose()
        await process.stderr.aclose()
        assert len(world.good) == 1


async def test_credentials_that_are_given(logins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "swordfish")
    async with open_world(more_metadata={"registration_endpoint": None}) as world:
        client = ["--client-id", "me", "--issuer", world.origin, "--client-secret-env", "SECRET"]
        done = await trimcp("login", world.url, *client)
        assert done.returncode == 0
        assert world.logins[0]["client_id"] == "me"
        assert world.of("/token")[0].headers["authorization"].startswith("Basic ")
        assert "swordfish" not in done.stdout + done.stderr


async def test_a_server_that_wants_nobody_to_log_in(logins: Path) -> None:
    async with open_world() as world:
        ready = world._result("server/discover")

        async def open_to_all(request: object) -> Answer:
            return Answer(200, {"jsonrpc": "2.0", "id": 1, "result": ready})

        world.before["/mcp"] = open_to_all
        done = await trimcp("login", world.url)
        assert done.returncode == 1
        assert is_one_line(done.stderr)


async def test_a_logout(logins: Path) -> None:
    async with open_world(more_metadata={}) as world:
        world.more_metadata = {"revocation_endpoint": f"{world.origin}/revoke"}
        world.answer_with["/revoke"] = Answer(200)
        await trimcp("login", world.url)
        (refresh,) = world.refresh
        done = await trimcp("logout", world.url)
        assert (done.returncode, done.stdout) == (0, "logged out\n")
        (revocation,) = world.of("/revoke")
        assert revocation.form["token"] == refresh
        done = await trimcp("logout", world.url)
        assert done.returncode == 1
        assert is_one_line(done.stderr)
        assert (await trimcp("list", world.url)).returncode == 1


async def test_a_logout_that_is_not_heard(logins: Path) -> None:
    async with open_world() as world:
        world.more_metadata = {"revocation_endpoint": f"{world.origin}/revoke"}
        world.answer_with["/revoke"] = Answer(503)
        await trimcp("login", world.url)
        done = await trimcp("logout", world.url)
        assert done.returncode == 1
        assert "may not be revoked" in done.stderr
        assert not await trio.to_thread.run_sync(lambda: _tokens(logins))


def _tokens(logins: Path) -> list[str]:
    return [each.name for each in listed(logins) if "access_token" in each.read_text()]


# -- headers and tokens that are given ----------------------------------------------------------


async def test_a_token_of_the_environment(monkeypatch: pytest.MonkeyPatch, logins: Path) -> None:
    monkeypatch.setenv("MINE", " swordfish\n")
    async with open_world(good={"swordfish": set()}) as world:
        done = await trimcp("call", "--token-env", "MINE", "--header", "X-A: b:c", world.url, "x")
        assert done.returncode == 0
        assert json.loads(done.stdout)
        for request in world.of("/mcp"):
            assert request.headers["authorization"] == "Bearer swordfish"
            assert request.headers["x-a"] == "b:c"
        world.revoke()
        done = await trimcp("call", "--token-env", "MINE", world.url, "x")
        assert done.returncode == 1
        assert "401" in done.stderr
        assert "swordfish" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--token-env", "NOBODY", "http://127.0.0.1:1/"],
        ["list", "--header", "swordfish", "http://127.0.0.1:1/"],
        ["list", "--header", ":swordfish", "http://127.0.0.1:1/"],
        ["list", "--header", "a b:swordfish", "http://127.0.0.1:1/"],
        ["list", "--header", "a:swordfish\n", "http://127.0.0.1:1/"],
        ["list", "--header", "a:swordfish", "--", "true"],
        ["login"],
        ["login", "server.py"],
        ["login", "tcp://127.0.0.1:1"],
        ["login", "http://127.0.0.1:1/", "x"],
        ["login", "--client-id", "x", "http://127.0.0.1:1/"],
        ["login", "--issuer", "x", "http://127.0.0.1:1/"],
        ["login", "--scope", "a b", "http://127.0.0.1:1/"],
        ["logout", "--", "true"],
    ],
)
def test_what_makes_no_sense(words: list[str], logins: Path) -> None:
    said = TextIOWrapper(BytesIO(), encoding="utf-8")
    status: object = None
    with redirect_stderr(said):
        try:
            status = main(words)
        except SystemExit as left:
            status = left.code
    said.seek(0)
    assert status == 2
    assert "swordfish" not in said.read()
