"""Leaving a child process: in the documented steps, whoever is cancelled."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp import Limits, ProcessDied, open_stdio_client
from trimcp.transports import _process
from trimcp.transports._lines import LineSplitter
from trimcp.transports._process import ChildProcess, _see_off, _Words, open_process_channel

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

#: Seconds within which everything happens, however busy the machine is.
PATIENCE = 60.0

#: A server of the handshake era that writes down what it hears and how it ends.
SERVER = """
import json, signal, sys, time
said = open(sys.argv[1], "a", buffering=1)
mode = sys.argv[2]
def cleaned(*_):
    said.write("SIGTERM\\n")
    if mode == "stubborn":
        return
    time.sleep(0.6)
    said.write("cleaned up\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, cleaned)
for line in sys.stdin:
    asked = json.loads(line)
    said.write(asked["method"] + "\\n")
    print(asked["method"], file=sys.stderr, flush=True)
    if asked["method"] == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                  "serverInfo": {"name": "x", "version": "1"}}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
said.write("end of input\\n")
# As much as no pipe holds: it must be read, or the server could not end.
for stream in (sys.stdout, sys.stderr):
    stream.write(("x" * 1000 + "\\n") * 200)
    stream.flush()
if mode == "polite":
    time.sleep(0.5)
    said.write("cleaned up\\n")
else:
    while True:
        time.sleep(5)
"""


async def left(tmp_path: Path, mode: str, grace: float, *, cancelled: bool) -> list[str]:
    """What a server saw, from the call on that was in flight when its client was left."""
    seen = tmp_path / "seen"
    command = [sys.executable, "-c", SERVER, str(seen), mode]
    called = trio.Event()

    def hear(line: str) -> None:
        if line == "tools/call":
            called.set()

    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        async with (
            open_stdio_client(command, revision="handshake", grace=grace, on_stderr=hear) as client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(client.call_tool, "wait")
            await called.wait()
            (scope if cancelled else nursery.cancel_scope).cancel()
    said = seen.read_text().splitlines()
    return said[said.index("tools/call") + 1 :]


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_server_that_cleans_up_at_the_end_of_its_input(
    tmp_path: Path, cancelled: bool
) -> None:
    said = await left(tmp_path, "polite", 30, cancelled=cancelled)
    assert said == ["notifications/cancelled", "end of input", "cleaned up"]


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_server_that_cleans_up_on_sigterm(tmp_path: Path, cancelled: bool) -> None:
    """It gets at least a second, however short the grace is."""
    said = await left(tmp_path, "on SIGTERM", 0.2, cancelled=cancelled)
    assert said == ["notifications/cancelled", "end of input", "SIGTERM", "cleaned up"]


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_server_that_does_not_end(tmp_path: Path, cancelled: bool) -> None:
    said = await left(tmp_path, "stubborn", 0.2, cancelled=cancelled)
    assert said == ["notifications/cancelled", "end of input", "SIGTERM"]


async def test_the_environment_is_added_to_and_the_last_line_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRIMCP_OLD", "kept")
    program = (
        "import os, sys; sys.stderr.write('first\\n' * 30 + "
        "os.environ['TRIMCP_OLD'] + ' and ' + os.environ['TRIMCP_NEW']); sys.exit(3)"
    )
    lines: list[str] = []
    with pytest.raises(ProcessDied, match="kept and new") as caught:
        async with open_stdio_client(
            [sys.executable, "-c", program],
            env={"TRIMCP_NEW": "new"},
            revision="handshake",
            on_stderr=lines.append,
        ):
            pass
    assert caught.value.returncode == 3
    assert lines[-1] == "kept and new"
    assert len(lines) == 31


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        (None, {"TRIMCP_OLD": "old", "TRIMCP_OTHER": "other"}),
        ({}, {"TRIMCP_OLD": "old", "TRIMCP_OTHER": "other"}),
        (
            {"TRIMCP_OLD": "changed", "TRIMCP_NEW": "new"},
            {"TRIMCP_OLD": "changed", "TRIMCP_OTHER": "other", "TRIMCP_NEW": "new"},
        ),
    ],
)
async def test_the_environment_of_a_child(
    env: dict[str, str] | None, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of this process, with what is given on top."""
    monkeypatch.setenv("TRIMCP_OLD", "old")
    monkeypatch.setenv("TRIMCP_OTHER", "other")
    mine = "{name: text for name, text in os.environ.items() if 'TRIMCP_' in name}"
    program = f"import json, os; print(json.dumps({mine}))"
    with trio.fail_after(PATIENCE):
        command = [sys.executable, "-c", program]
        async with open_process_channel(command, Limits(), env=env) as (channel, _):
            [line] = await channel.incoming.receive()
    assert isinstance(line, bytes)
    assert json.loads(line) == expected
    assert "TRIMCP_NEW" not in os.environ


# -- what a child writes on standard error --------------------------------------------------------

#: How many lines an error about a child quotes at most.
QUOTED = 20


@given(
    st.lists(
        st.sampled_from([b"line", b"\xff\xfe", b"with return\r", b"", b" ", b"x" * 40]), max_size=10
    ),
    st.integers(0, 3 * QUOTED),
    st.booleans(),
    st.integers(1, 200),
)
def test_every_line_is_passed_on_and_the_last_ones_are_kept(
    lines: list[bytes], numbered: int, is_ended: bool, cut: int
) -> None:
    """However they are cut, the last one also without its end; a long one as its length."""
    lines = [*(b"%d" % number for number in range(numbered)), *lines]
    data = b"\n".join(lines) + (b"\n" if is_ended else b"")
    expected = [
        f"[a line of {len(line)} bytes was skipped]"
        if len(line) > 30
        else line.decode(errors="replace").rstrip("\r")
        for line in data.split(b"\n")
        if line.strip()
    ]

    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_one_way_pair()
        child = ChildProcess(Immortal(), ["x"], 1)  # type: ignore[arg-type]
        heard: list[str] = []

        def hear(line: str) -> None:
            heard.append(line)
            assert len(child.stderr_tail) <= QUOTED

        words = _Words(child, theirs, LineSplitter(30), hear)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(words.listen)
            for start in range(0, len(data), cut):
                await ours.send_all(data[start : start + cut])
            await ours.aclose()
        assert heard == expected
        assert child.stderr_tail == expected[-QUOTED:]

    trio.run(main)


async def test_a_line_that_never_ends_takes_no_room() -> None:
    """`Limits.stderr_bytes` bounds a line of a real child."""
    size = 1_000_000
    program = f"import sys; sys.stderr.write('x' * {size} + '\\nlast')"
    lines: list[str] = []
    with trio.fail_after(PATIENCE):
        command = [sys.executable, "-c", program]
        async with open_process_channel(
            command, Limits(stderr_bytes=1000), on_stderr=lines.append
        ) as (channel, child):
            with pytest.raises(trio.EndOfChannel):
                await channel.incoming.receive()
    assert lines == child.stderr_tail == [f"[a line of {size} bytes was skipped]", "last"]


# -- a child that cannot be killed ----------------------------------------------------------------


class Immortal:
    """A process that no signal ends, such as one that waits for a dead disk."""

    pid = 0
    returncode = None

    def __init__(self) -> None:
        self.signals: list[int] = []

    async def wait(self) -> None:
        await trio.sleep_forever()

    def send_signal(self, number: int) -> None:
        self.signals.append(number)


@pytest.mark.parametrize("grace", [0.0, 0.5, 3.0, 20.0])
@pytest.mark.parametrize("cancelled", [True, False])
async def test_leaving_takes_no_longer_than_its_steps_whatever_the_child_does(
    grace: float, cancelled: bool, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Immortal()
    monkeypatch.setattr(os, "killpg", lambda _, number: process.send_signal(number))
    ours, theirs = trio.testing.memory_stream_pair()
    child = ChildProcess(process, ["x"], grace)  # type: ignore[arg-type]
    output = _process._Output(process, ours)  # type: ignore[arg-type]
    words = _Words(child, trio.testing.memory_stream_pair()[0], LineSplitter(100), None)
    began = trio.current_time()
    with trio.CancelScope() as scope:
        if cancelled:
            scope.cancel()
        await _see_off(child, output, words)
    took = trio.current_time() - began
    assert process.signals == [signal.SIGTERM, signal.SIGKILL]
    # The grace, the time after SIGTERM, and the bound of what is left; less for who is cancelled.
    assert took <= grace + 2.1 if cancelled else took <= 2 * grace + max(grace, 1) + 2.1
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"x")
