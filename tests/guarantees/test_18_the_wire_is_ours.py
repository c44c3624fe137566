"""Guarantee 18: the wire is ours alone.

"`print` in a tool, a library that writes to fd 1, a child process of a tool that reads stdin or
writes stdout: the protocol stream stays clean."
"""

from __future__ import annotations

import json
import subprocess

import pytest

from trimcp import open_stdio_client

from .harness import ERAS, PROMPT, ROOT, Dialect, Lines, command, started, text_of

NOISE = {
    "prints": "printed",
    "prints_async": "printed",
    "writes": "written",
    "library": "written",
    "child": "ended",
    "child_async": "ended",
    "reads": "nothing to read, b''",
    "daemon": "started",
}

SAID = [
    "noise before serving",
    "noise of print",
    "noise of print, flushed",
    "noise of print, asynchronous",
    "noise of os.write",
    "noise of puts",
    "noise of a child",
    "noise of another child",
    "noise of a daemon",
]


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
async def test_nothing_but_messages_on_stdout(dialect: Dialect) -> None:
    """Every line is parsed as JSON, and must be the answer that is expected next."""
    async with started(command("noisy")) as program:
        await program.shake_hands()
        for tool, expected in NOISE.items():
            # The next request waits in the pipe while the tool runs; nobody may steal it.
            await program.send(dialect.call(tool, tool), dialect.ping(f"after {tool}"))
            answers = await program.answers(tool, f"after {tool}")
            assert text_of(answers[tool]) == expected
        await program.close_stdin()
        assert await program.receive_all() == []
        assert (await program.wait_exit(PROMPT))[0] == 0
        # Nothing was lost, it only went elsewhere.
        said = await program.stderr.whole()
        for each in SAID:
            assert each in said, each
        assert "noise without a newline" in said


async def test_all_at_once() -> None:
    async with started(command("noisy")) as program:
        await program.shake_hands()
        wanted = [f"{tool} {turn}" for turn in range(5) for tool in NOISE]
        for turn in range(5):
            for dialect, tool in zip(ERAS * len(NOISE), NOISE, strict=False):
                await program.send(dialect.call(f"{tool} {turn}", tool))
        answers = await program.answers(*wanted)
        for name, answer in answers.items():
            assert text_of(answer) == NOISE[name.split()[0]]
        await program.close_stdin()
        assert await program.receive_all() == []


async def test_a_client_sees_none_of_it() -> None:
    said = Lines()
    # Python's buffering as users have it, whatever is set where the tests run.
    env = {"PYTHONUNBUFFERED": ""}
    async with open_stdio_client(command("noisy"), cwd=ROOT, env=env, on_stderr=said.add) as client:
        for tool in NOISE:
            assert not (await client.call_tool(tool)).is_error
        await said.wait(*SAID[:-1])


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "not read"])
def test_nobody_reads_standard_error(is_closed: bool) -> None:
    """What is printed is lost then, and no tool fails."""
    argv = command("noisy")
    if is_closed:
        argv = ["sh", "-c", 'exec "$@" 2>&-', "sh", *argv]
    process = subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.close()
        stateless = ERAS[-1]
        for tool in ("prints", "prints_async"):
            process.stdin.write(json.dumps(stateless.call(tool, tool)).encode() + b"\n")
        process.stdin.close()
        # Before and after serving, standard output is the program's own.
        lines = [line for line in process.stdout if not line.startswith((b"noise before", b"good"))]
    assert [text_of(json.loads(line)) for line in lines] == ["printed", "printed"]
