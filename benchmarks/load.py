"""A server process under load: prepared requests in, answers counted and checked, not parsed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

READ_SIZE = 65536
PREPARED_LINES = 65536
FIRST_ID = 100_000
"""Ids have the same width, so that a batch of requests is a slice of the prepared bytes."""

EXPECTED = b'"text":"5"'
UNEXPECTED = b'"error"'

STALL_SECONDS = 30.0
EXIT_SECONDS = 5.0

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1.0.0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def _environment() -> dict[str, str]:
    """This process's environment, with byte code cached as for any installed package."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class BenchmarkError(Exception):
    """The run cannot go on; the text says what to do."""


@dataclass(frozen=True)
class Peer:
    """A server to measure: what to call it, how to start it, what it needs."""

    name: str
    command: Callable[[], list[str]]
    missing: Callable[[], str | None]
    """Tells what to do before it can run; None when nothing is to be done."""


class Requests:
    """A ring of prepared request lines that is handed out in slices."""

    def __init__(self) -> None:
        lines = [self._line(FIRST_ID + index) for index in range(PREPARED_LINES)]
        self._width = len(lines[0])
        self._bytes = memoryview(b"".join(lines))
        self._next = 0

    @staticmethod
    def _line(request_id: int) -> bytes:
        params = {"name": "add", "arguments": {"a": 2, "b": 3}, "_meta": META}
        request = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
        return json.dumps(request, separators=(",", ":")).encode() + b"\n"

    def take(self, count: int) -> memoryview:
        """The next `count` lines, or those up to the end of the ring."""
        start = self._next
        stop = min(start + count, PREPARED_LINES)
        self._next = stop % PREPARED_LINES
        return self._bytes[start * self._width : stop * self._width]

    def send(self, fd: int, count: int) -> None:
        """Write `count` lines to `fd`."""
        while count > 0:
            lines = self.take(count)
            count -= len(lines) // self._width
            while lines:
                lines = lines[os.write(fd, lines) :]


def check(answers: bytes) -> int:
    """Count the complete lines in `answers`, each of which must be the expected one."""
    count = answers.count(b"\n")
    if answers.count(EXPECTED) != count or UNEXPECTED in answers:
        raise BenchmarkError(f"a wrong answer in {answers[:2000]!r}")
    return count


class Running:
    """A server process and the pipes to it."""

    def __init__(self, peer: Peer, requests: Requests, stderr: IO[bytes]) -> None:
        self.peer = peer
        self._requests = requests
        self._stderr = stderr
        self._unfinished = b""
        self.process = subprocess.Popen(
            peer.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            env=_environment(),
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._input = self.process.stdin.fileno()
        self._output = self.process.stdout.fileno()

    def send(self, count: int) -> None:
        """Ask `count` times."""
        try:
            self._requests.send(self._input, count)
        except BrokenPipeError:
            raise self._gone() from None

    def receive(self) -> int:
        """Wait for something to read and count the answers it completes."""
        chunk = os.read(self._output, READ_SIZE)
        if not chunk:
            raise self._gone()
        end = chunk.rfind(b"\n") + 1
        if not end:
            self._unfinished += chunk
            return 0
        count = check(self._unfinished + chunk[:end])
        self._unfinished = chunk[end:]
        return count

    def drain(self, outstanding: int) -> None:
        """Wait for what was asked and not answered yet."""
        while outstanding > 0:
            outstanding -= self.receive()
        if outstanding:
            raise BenchmarkError(f"{self.peer.name} answered more often than it was asked")

    def load(self, in_flight: int, seconds: float) -> float:
        """Keep `in_flight` requests open for `seconds`; return the answers per second."""
        answered = 0
        with deadline(seconds + STALL_SECONDS, self.peer.name):
            started = time.perf_counter()
            self.send(in_flight)
            while (elapsed := time.perf_counter() - started) < seconds:
                count = self.receive()
                answered += count
                self.send(count)
            self.drain(in_flight)
        return answered / elapsed

    def peak_memory(self) -> float | None:
        """The largest resident size so far in MiB; None where the system does not tell."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return None
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def close(self) -> None:
        """Close the pipes and see the process out."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        try:
            self.process.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _gone(self) -> BenchmarkError:
        self._stderr.seek(0)
        said = self._stderr.read()[-2000:].decode(errors="replace").strip() or "nothing"
        return BenchmarkError(f"{self.peer.name} closed its pipe; its standard error says: {said}")


@contextmanager
def deadline(seconds: float, name: str) -> Iterator[None]:
    """Interrupt a blocking read or write of a server that is stuck; costs no system call each."""

    def stuck(_signal: int, _frame: FrameType | None) -> None:
        raise BenchmarkError(f"{name} stopped answering; is it waiting for something?")

    previous = signal.signal(signal.SIGALRM, stuck)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@contextmanager
def start(peer: Peer, requests: Requests) -> Iterator[Running]:
    """Run a server for the length of the block."""
    with tempfile.TemporaryFile() as stderr:
        server = Running(peer, requests, stderr)
        try:
            yield server
        finally:
            server.close()
