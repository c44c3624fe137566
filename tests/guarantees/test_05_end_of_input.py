"""Guarantee 5: end of input drains.

"`printf '…requests…' | server` over stdio: every request that ends within `eof_grace` is
answered, then exit 0."
"""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from .harness import (
    ERAS,
    HANDSHAKE,
    PATIENCE,
    PROMPT,
    ROOT,
    STATELESS,
    Dialect,
    command,
    handshake,
    line,
    serving,
    started,
    text_of,
)

if TYPE_CHECKING:
    from pathlib import Path


def requests(dialect: Dialect) -> list[bytes]:
    """A handshake where there is one, some quick calls, and some that take a while."""
    opening = [] if dialect.is_stateless else handshake(dialect.revision)
    calls = [dialect.call(f"add {n}", "add", {"a": n, "b": 1}) for n in range(20)]
    waits = [dialect.call(f"moment {n}", "moment", {"seconds": 0.2}) for n in range(5)]
    return [line(each) for each in (*opening, dialect.ping("ping"), *waits, *calls)]


def check(answers: list[dict[str, object]], dialect: Dialect) -> None:
    expected = {"ping", *(f"add {n}" for n in range(20)), *(f"moment {n}" for n in range(5))}
    if not dialect.is_stateless:
        expected.add("init")
    assert len(answers) == len(expected)
    assert {answer["id"] for answer in answers} == expected
    assert all("result" in answer for answer in answers)


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
async def test_everything_is_answered(dialect: Dialect) -> None:
    async with started(command("plain")) as program:
        await program.send(*requests(dialect))
        await program.close_stdin()
        check(await program.receive_all(), dialect)
        assert (await program.wait_exit(PROMPT))[0] == 0
        assert program.stderr.seen == []


async def test_printf_in_a_shell_and_no_newline_at_the_end() -> None:
    text = b"".join(requests(HANDSHAKE)).decode().rstrip("\n").replace("\n", "\\n")
    line_of_shell = f"printf {shlex.quote(text)} | {shlex.join(command('plain'))}"
    async with started(["sh", "-c", line_of_shell]) as program:
        check(await program.receive_all(), HANDSHAKE)
        assert (await program.wait_exit(PROMPT))[0] == 0


async def test_from_a_file_into_a_file(tmp_path: Path) -> None:
    """Regular files cannot be waited for; they are served all the same."""
    source, target = tmp_path / "requests", tmp_path / "answers"
    source.write_bytes(b"".join(requests(STATELESS)))
    shell = f"exec {shlex.join(command('plain'))} <{source} >{target}"
    async with started(["sh", "-c", shell]) as program:
        assert (await program.wait_exit(PATIENCE))[0] == 0
        assert program.stderr.seen == []
    async with started(["cat", str(target)]) as program:
        check(await program.receive_all(), STATELESS)


async def test_no_input_at_all() -> None:
    async with started(["sh", "-c", f"exec {shlex.join(command('plain'))} </dev/null"]) as program:
        assert await program.receive_all() == []
        assert (await program.wait_exit(PROMPT))[0] == 0


async def test_what_does_not_end_is_cancelled(tmp_path: Path) -> None:
    async with serving("waiting", "stdio", tmp_path, "--eof-grace", 0.3) as peer:
        program = peer.program
        for each in ERAS:
            await program.send(each.call(each.revision, "hang", {"label": each.revision}))
        await program.stderr.wait("2025-11-25 began", "2026-07-28 began")
        await program.send(HANDSHAKE.call("moment", "moment", {"seconds": 0.05}))
        await program.close_stdin()
        answer = await program.answer("moment")
        assert text_of(answer) == "waited 0.05"
        assert "2025-11-25 cancelled" not in program.stderr.seen
        status, _ = await program.wait_exit(within=0.3 + PROMPT)
        assert status == 0
        await program.stderr.wait(
            "2025-11-25 finally", "2026-07-28 finally", "on_shutdown", "lifespan left"
        )
        with trio.fail_after(PROMPT):
            leftover = await program.receive_all()
        assert not any("result" in message for message in leftover), leftover


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("by", ["itself", "trimcp run"])
async def test_a_closed_standard_stream_is_said_in_one_sentence(closed: str, by: str) -> None:
    path = ROOT / "tests/guarantees/programs/plain.py"
    words = f"-m trimcp run {path}" if by == "trimcp run" else "-m tests.guarantees.programs.plain"
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            ["sh", "-c", f"exec {sys.executable} {words} {closed}"],
            check=False,
            capture_stdout=True,
            capture_stderr=True,
            cwd=ROOT,
        )
    assert done.returncode not in (0, None)
    said = done.stderr.decode().splitlines()
    assert len(said) == (0 if "2>&-" in closed else 1)
    assert all("standard" in line and "is closed" in line for line in said)
    assert done.stdout == b""


async def test_a_closed_standard_error_does_no_harm() -> None:
    """What is printed goes nowhere then, and never on the wire."""
    asked = line(STATELESS.call("add", "add", {"a": 1, "b": 2}))
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            ["sh", "-c", f"exec {sys.executable} -m tests.guarantees.programs.plain 2>&-"],
            stdin=asked,
            capture_stdout=True,
            cwd=ROOT,
        )
    assert json.loads(done.stdout)["id"] == "add"
