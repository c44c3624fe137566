"""Running the real command: as a program among programs, and at a terminal."""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from typing import TYPE_CHECKING, Final

from trimcp.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds after which something that should have come is given up; nothing is timed by it.
PATIENCE: Final = 30.0

COMMAND: Final = (sys.executable, "-m", "trimcp")


def environment() -> dict[str, str]:
    """This process's environment without what would change the command's looks."""
    hidden = ("COLUMNS", "LINES", "NO_COLOR", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "TERM": "xterm-256color"}


def run(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run `trimcp` without any terminal, to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )


def run_here(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The same inside this process: much faster, for the many variants of one thing."""
    stdout, stderr = (TextIOWrapper(BytesIO(), encoding="utf-8") for _ in range(2))
    arguments = [str(word) for word in words]
    with redirect_stdout(stdout), redirect_stderr(stderr):
        status = main(arguments)
    texts = []
    for stream in (stdout, stderr):
        stream.seek(0)
        texts.append(stream.read())
    return subprocess.CompletedProcess(arguments, status, *texts)


@contextmanager
def running(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """`trimcp`, while it runs; killed at the end if it still does."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


class Screen:
    """`trimcp` at a terminal of its own.

    Attributes:
        text: Everything that was written to the terminal so far, keys that were echoed included.
        process: The command.
    """

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._seen = 0
        self.text = ""
        self.process = process

    def wait_for(self, text: str) -> str:
        """Wait until a text appears behind what was waited for before; all up to its end."""
        deadline = time.monotonic() + PATIENCE
        while (place := self.text.find(text, self._seen)) < 0:
            assert self._read(deadline), f"{text!r} never came; the screen shows {self.text!r}"
        begin, self._seen = self._seen, place + len(text)
        return self.text[begin : self._seen]

    def type(self, keys: str) -> None:
        """Press keys; `\\x04` is Ctrl-D."""
        os.write(self._master, keys.encode())

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> int:
        """Read until the command has ended; its status."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    @property
    def lines(self) -> list[str]:
        """The lines as a person sees them in the end: what was overwritten is gone."""
        return [_overwritten(line) for line in self.text.split("\r\n")]

    def _read(self, deadline: float) -> bool:
        """Read what is there; False at the end. Raises TimeoutError."""
        ready, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
        if not ready:
            raise TimeoutError(f"nothing more was written; the screen shows {self.text!r}")
        try:
            data = os.read(self._master, 65536)
        except OSError:
            # This is how Linux tells that nobody holds the other end any more.
            return False
        self.text += data.decode()
        return bool(data)


def _overwritten(line: str) -> str:
    shown: list[str] = []
    for piece in line.split("\r"):
        shown[: len(piece)] = piece
    return "".join(shown).rstrip()


@contextmanager
def screen(
    *words: str | Path,
    columns: int = 80,
    stdout: int | None = None,
    stdin: int | None = None,
    colours: bool = False,
) -> Iterator[Screen]:
    """Run `trimcp` at a new terminal.

    Args:
        words: The words after `trimcp`.
        columns: The terminal's width.
        stdout: Standard output, if it is not the terminal.
        stdin: Standard input, if it is not the terminal.
        colours: Whether the user takes them.
    """
    master, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, *map(str, words)],
        stdin=terminal if stdin is None else stdin,
        stdout=terminal if stdout is None else stdout,
        stderr=terminal,
        env=environment() if colours else {**environment(), "NO_COLOR": "1"},
    )
    os.close(terminal)
    with process:
        try:
            yield Screen(master, process)
        finally:
            process.kill()
            os.close(master)


def is_one_line(text: str) -> bool:
    """Whether an error message is what was promised: one line that begins with our name."""
    return re.fullmatch(r"trimcp: [^\n]+\n", text) is not None
