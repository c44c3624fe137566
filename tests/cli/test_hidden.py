"""Names that a server's lists do not show: it may hide them from callers that lack scopes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.auth.world import Answer, Request, open_world

from .harness import is_one_line, run, run_here, running

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = """\
from trimcp import Principal, Server
from trimcp.auth import StaticTokenVerifier

known = {"low": Principal("a"), "high": Principal("b", scopes={"deep"})}
server = Server("s", auth=StaticTokenVerifier(known))


@server.tool()
def shown() -> str:
    return "shown"


@server.tool(scopes={"deep"})
def hidden(text: str) -> str:
    if not text:
        raise ValueError("no text")
    return text


@server.prompt(scopes={"deep"})
def secret(text: str) -> str:
    return text


@server.resource("x://deep", scopes={"deep"})
def deep() -> str:
    return "deep"
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("hidden") / "app.py"
    file.write_text(SERVER)
    with running("run", "--http", "127.0.0.1:0", file) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("listening on "), line
        yield line.removeprefix("listening on ").rstrip()


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "low")


@pytest.mark.parametrize(
    "words", [("call", "hidden", "text=1"), ("prompt", "secret", "text=1"), ("read", "x://deep")]
)
def test_the_server_says_which_scopes_are_missing(address: str, words: tuple[str, ...]) -> None:
    command, *more = words
    done = run_here(command, "--token-env", "TOKEN", address, *more)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_line(done.stderr)
    assert "needed are deep" in done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("call", "nothing", "a=1"), "no tool 'nothing'; the server has shown; it answers: Unkn"),
        (("prompt", "nothing"), "no prompt 'nothing'; the server has no prompts at all; it answ"),
        (("call", "shown", "a=1"), "unknown: a; shown takes no arguments"),
    ],
)
def test_unknown_names_are_explained(address: str, words: tuple[str, ...], complaint: str) -> None:
    command, *more = words
    done = run_here(command, "--token-env", "TOKEN", address, *more)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_line(done.stderr)
    assert done.stderr.startswith(f"trimcp: {complaint}")


async def test_a_foreign_server_that_answers_an_unknown_name_with_a_failed_call() -> None:
    failed = {"content": [{"type": "text", "text": "Unknown tool: nothing"}], "isError": True}

    async def answer(request: Request) -> Answer | None:
        rpc = request.rpc
        if rpc["method"] != "tools/call":
            return None
        result = {"resultType": "complete", **failed}
        return Answer(200, {"jsonrpc": "2.0", "id": rpc["id"], "result": result})

    async with open_world() as world:
        world.good["low"] = set()
        world.before["/mcp"] = answer
        words = ("call", "--token-env", "TOKEN", world.url, "nothing")
        done = await trio.to_thread.run_sync(partial(run, *words))
    assert done.returncode == 1
    assert done.stderr == "Unknown tool: nothing\ntrimcp: no tool 'nothing'; the server has x\n"
