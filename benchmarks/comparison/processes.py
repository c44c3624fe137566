"""Servers and clients in processes of their own: start, processor time, memory, end."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

#: Seconds for anything that does not come any more.
STALL_SECONDS: Final = 60.0
EXIT_SECONDS: Final = 5.0


class BenchmarkError(Exception):
    """The run cannot go on; the text says why."""


def environment() -> dict[str, str]:
    """This process's environment, with byte code cached as for any installed package."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def raise_limits() -> None:
    """Let this process and its children open as many descriptors as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def check_limits(connections: int) -> None:
    """Raise BenchmarkError unless so many connections to one server are possible."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < connections + 200:
        raise BenchmarkError(
            f"the system allows {soft} open files, and {connections} connections are wanted: "
            "raise the limit (ulimit -n), or leave this workload out with --only"
        )


def processor_time(pid: int) -> float:
    """Seconds of processor time that the threads of a process have used."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory(pid: int, what: str = "VmRSS") -> int:
    """Resident bytes of a process; with `VmHWM` the most that it ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise BenchmarkError(f"the system does not tell {what}")


@contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Interrupt a blocking read or write that is stuck; costs no system call for each."""

    def stuck(_signal: int, _frame: FrameType | None) -> None:
        raise BenchmarkError(f"{what} does not go on; is it waiting for something?")

    previous = signal.signal(signal.SIGALRM, stuck)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


class Program:
    """A process, the pipes to it, and what it says on standard error.

    Args:
        command: How it is started.
        stderr: Where that is kept.
    """

    def __init__(self, command: Sequence[str], stderr: IO[bytes]) -> None:
        self._stderr = stderr
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            env=environment(),
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.pid = self.process.pid
        self.stdin = self.process.stdin
        self.stdout = self.process.stdout

    def gone(self) -> BenchmarkError:
        """Why it cannot go on."""
        self._stderr.seek(0)
        said = self._stderr.read()[-2000:].decode(errors="replace").strip() or "nothing"
        return BenchmarkError(f"the process has ended; its standard error says: {said}")

    def close(self) -> None:
        """Close the pipes and see the process out."""
        for pipe in (self.stdin, self.stdout):
            with suppress(BrokenPipeError):
                pipe.close()
        try:
            self.process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def started(command: Sequence[str]) -> Iterator[Program]:
    """Run a program that ends with its input."""
    with tempfile.TemporaryFile() as stderr:
        program = Program(command, stderr)
        try:
            yield program
        finally:
            program.close()


def free_port() -> int:
    """A port that nobody uses, below those that the system itself chooses from.

    Among these, another program could be given it before it is used, and a connection to a port on
    which nobody listens can reach itself.
    """
    while True:
        port = random.randrange(10_000, 32_000)
        with suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            return port


@contextmanager
def listening(command: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Run a server whose last argument is a port; yields its process id and the port."""
    port = free_port()
    with tempfile.TemporaryFile() as stderr:
        program = Program([*command, str(port)], stderr)
        try:
            until = time.monotonic() + STALL_SECONDS
            while True:
                if program.process.poll() is not None or time.monotonic() > until:
                    raise program.gone()
                with suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.02)
            yield program.pid, port
        finally:
            program.process.kill()
            program.close()
