"""A server on standard streams under load: prepared lines in, answers counted, not parsed."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from .processes import STALL_SECONDS, BenchmarkError, deadline, started

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .processes import Program

READ_SIZE: Final = 65536
PREPARED_LINES: Final = 65536

#: Ids have the same width, so that a batch of requests is a slice of the prepared bytes.
FIRST_ID: Final = 100_000

EXPECTED: Final = b'"text":"5"'
UNEXPECTED: Final = b'"error"'

TOO_MANY: Final = "it answered more often than it was asked"

META: Final = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1.0.0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}

CALL: Final = {"name": "add", "arguments": {"a": 2, "b": 3}}


def request(identity: int, params: dict[str, Any], **meta: Any) -> bytes:
    """A line that calls a tool in the stateless era."""
    message = {
        "jsonrpc": "2.0",
        "id": identity,
        "method": "tools/call",
        "params": {**params, "_meta": META | meta},
    }
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Requests:
    """A ring of prepared request lines that is handed out in slices."""

    def __init__(self) -> None:
        lines = [request(FIRST_ID + index, CALL) for index in range(PREPARED_LINES)]
        self._width = len(lines[0])
        self._bytes = memoryview(b"".join(lines))
        self._next = 0

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


REQUESTS: Final = Requests()


def check(answers: bytes) -> int:
    """Count the complete lines in `answers`, each of which must be the expected one."""
    count = answers.count(b"\n")
    if answers.count(EXPECTED) != count or UNEXPECTED in answers:
        raise BenchmarkError(f"a wrong answer in {answers[:2000]!r}")
    return count


class Lines:
    """A server and what is asked of it.

    Args:
        program: The process.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.pid = program.pid
        self._input = program.stdin.fileno()
        self._output = program.stdout.fileno()
        self._unfinished = b""

    def send(self, count: int) -> None:
        """Ask `count` times."""
        try:
            REQUESTS.send(self._input, count)
        except BrokenPipeError:
            raise self._program.gone() from None

    def receive(self) -> int:
        """Wait for something to read and count the answers it completes."""
        chunk = self._read()
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
            raise BenchmarkError(TOO_MANY)

    def load(self, in_flight: int, seconds: float) -> tuple[int, float]:
        """Keep `in_flight` requests open; the number of answers, and how long it took."""
        answered = 0
        with deadline(seconds + STALL_SECONDS, "the server"):
            began = time.perf_counter()
            self.send(in_flight)
            while time.perf_counter() - began < seconds:
                count = self.receive()
                if count > in_flight:
                    raise BenchmarkError(TOO_MANY)
                answered += count
                self.send(count)
            self.drain(in_flight)
        return answered + in_flight, time.perf_counter() - began

    def answers(self, count: int, in_flight: int) -> None:
        """Ask so many times, with `in_flight` requests open."""
        with deadline(STALL_SECONDS, "the server"):
            self.send(min(in_flight, count))
            asked = min(in_flight, count)
            answered = 0
            while answered < count:
                new = self.receive()
                answered += new
                more = min(new, count - asked)
                asked += more
                self.send(more)

    def exchange(self, line: bytes, identity: int) -> list[bytes]:
        """Send one line; all lines up to the answer with this id."""
        ends = (b'"id":%d,' % identity, b'"id":%d}' % identity)
        with deadline(STALL_SECONDS, "the server"):
            while line:
                line = line[os.write(self._input, line) :]
            return read_until(self._read, ends)

    def _read(self) -> bytes:
        chunk = os.read(self._output, READ_SIZE)
        if not chunk:
            raise self._program.gone()
        return chunk


def read_until(read: Any, ends: Sequence[bytes]) -> list[bytes]:
    """The lines up to one that has one of these in it."""
    lines: list[bytes] = []
    parts: list[bytes] = []
    while True:
        chunk = read()
        parts.append(chunk)
        if b"\n" not in chunk:
            continue
        *complete, rest = b"".join(parts).split(b"\n")
        lines += complete
        parts = [rest]
        if any(end in each for each in complete for end in ends):
            return lines


@contextmanager
def serving(command: Sequence[str]) -> Iterator[Lines]:
    """Run a server on standard streams."""
    with started(command) as program:
        yield Lines(program)
