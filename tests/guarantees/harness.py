"""Driving a server from outside: raw lines over real pipes and sockets, with deadlines.

A deadline here is never what makes a test right: it is the bound after which a promise counts
as broken.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import math
import operator
import os
import resource
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from trio._core import _run

from tests.raw_websocket import CLOSE, CONTINUATION, TEXT, RawWebSocket, frame

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

#: Seconds for anything that happens "at once", on a busy machine.
PROMPT: Final = 2.0

#: Seconds for the start of a process, and for whatever has no promise about time.
PATIENCE: Final = 20.0

ROOT: Final = Path(__file__).resolve().parents[2]

Message = dict[str, Any]


# -- the two eras -----------------------------------------------------------------------------


@attrs.frozen
class Dialect:
    """How requests of one revision look; both eras may share a connection."""

    revision: str

    @property
    def is_stateless(self) -> bool:
        return self.revision == "2026-07-28"

    def request(
        self, identity: Any, method: str, params: Mapping[str, Any] | None = None
    ) -> Message:
        """A request; in the stateless era with its terms."""
        message: Message = {"jsonrpc": "2.0", "id": identity, "method": method}
        wire = dict(params or {})
        if self.is_stateless:
            meta = {
                "io.modelcontextprotocol/protocolVersion": self.revision,
                "io.modelcontextprotocol/clientInfo": {"name": "harness", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            }
            wire["_meta"] = meta | wire.get("_meta", {})
        if wire:
            message["params"] = wire
        return message

    def call(
        self, identity: Any, tool: str, arguments: Mapping[str, Any] | None = None, **params: Any
    ) -> Message:
        """`tools/call`."""
        return self.request(
            identity, "tools/call", {"name": tool, "arguments": dict(arguments or {}), **params}
        )

    def ping(self, identity: Any) -> Message:
        """A sign of life, please."""
        return self.request(identity, "server/discover" if self.is_stateless else "ping")


HANDSHAKE: Final = Dialect("2025-11-25")
STATELESS: Final = Dialect("2026-07-28")
ERAS: Final = (HANDSHAKE, STATELESS)


def handshake(revision: str = HANDSHAKE.revision) -> list[Message]:
    """What opens a session."""
    params = {
        "protocolVersion": revision,
        "capabilities": {},
        "clientInfo": {"name": "harness", "version": "1"},
    }
    return [
        {"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
    ]


def cancelled(identity: Any) -> Message:
    """`notifications/cancelled`."""
    params = {"requestId": identity, "reason": "no longer wanted"}
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}


def line(message: Message | list[Message]) -> bytes:
    """One message as it stands on the wire."""
    return json.dumps(message).encode() + b"\n"


def text_of(answer: Message) -> str:
    """The text of a tool's result."""
    text: str = answer["result"]["content"][0]["text"]
    return text


# -- a raw conversation -----------------------------------------------------------------------


class Wire:
    """A conversation in raw lines over any stream. Every line received must be JSON."""

    def __init__(self, sending: trio.abc.SendStream, receiving: trio.abc.ReceiveStream) -> None:
        self.sending = sending
        self.receiving = receiving
        self._buffer = bytearray()

    async def send(self, *messages: Message | list[Message] | bytes) -> None:
        """Send messages, or bytes as they are, in one go."""
        data = b"".join(each if isinstance(each, bytes) else line(each) for each in messages)
        with trio.fail_after(PATIENCE):
            await self.sending.send_all(data)

    async def receive(self, within: float = PATIENCE) -> Any:
        """The next message. Raises EOFError, or trio.TooSlowError."""
        with trio.fail_after(within):
            while True:
                head, found, rest = self._buffer.partition(b"\n")
                if found:
                    self._buffer = rest
                    return json.loads(head)
                data = await self.receiving.receive_some()
                if not data:
                    assert not self._buffer, f"half a line: {bytes(self._buffer)!r}"
                    raise EOFError
                self._buffer += data

    async def receive_all(self, within: float = PATIENCE) -> list[Message]:
        """Everything until the end of the stream."""
        messages: list[Message] = []
        with trio.fail_after(within), suppress(EOFError, trio.BrokenResourceError):
            while True:
                messages.append(await self.receive(within))
        return messages

    async def answer(self, identity: Any, within: float = PATIENCE) -> Message:
        """The next message, which must be the answer to that request."""
        message: Message = await self.receive(within)
        assert message.get("id") == identity, message
        return message

    async def answers(self, *identities: Any, within: float = PATIENCE) -> dict[Any, Message]:
        """The answers to these requests, in any order; nothing else may come between."""
        found: dict[Any, Message] = {}
        with trio.fail_after(within):
            while len(found) < len(identities):
                message = await self.receive(within)
                assert message.get("id") in identities, message
                assert message["id"] not in found, message
                found[message["id"]] = message
        return found

    async def ask(self, message: Message, within: float = PATIENCE) -> Message:
        """Send a request; the next message must be its answer."""
        await self.send(message)
        return await self.answer(message["id"], within)

    async def shake_hands(self, revision: str = HANDSHAKE.revision) -> None:
        """Open a session of the handshake era; the stateless era works beside it."""
        await self.send(*handshake(revision))
        answer = await self.answer("init")
        assert answer["result"]["protocolVersion"] == revision

    async def aclose(self) -> None:
        """Close both directions."""
        await self.sending.aclose()
        await self.receiving.aclose()


@asynccontextmanager
async def stream_wire(stream: trio.abc.Stream) -> AsyncIterator[Wire]:
    """A raw conversation over a stream, closed at the end."""
    async with stream:
        yield Wire(stream, stream)


class FramedLines(trio.abc.Stream):
    """A WebSocket that looks like a stream of lines: a line is a message.

    What is sent without its newline goes out as a fragment. Closing it says no goodbye.
    """

    def __init__(self, raw: RawWebSocket, stream: trio.SocketStream) -> None:
        self.raw = raw
        self.socket = stream.socket
        self._stream = stream
        self._opcode = TEXT

    @classmethod
    async def open(cls, stream: trio.SocketStream) -> FramedLines:
        """Shake hands over a connection."""
        raw = RawWebSocket(stream)
        await raw.open()
        return cls(raw, stream)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        *complete, rest = bytes(data).split(b"\n")
        frames = [self._fragment(each, True) for each in complete]
        if rest:
            frames.append(self._fragment(rest, False))
        await self._stream.send_all(b"".join(frames))

    def _fragment(self, data: bytes, is_last: bool) -> bytes:
        opcode, self._opcode = self._opcode, TEXT if is_last else CONTINUATION
        return frame(opcode, data, last=is_last)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        with suppress(EOFError):
            while True:
                opcode, payload = await self.raw.frame(math.inf)
                if opcode == TEXT:
                    return payload + b"\n"
                if opcode == CLOSE:
                    with suppress(trio.BrokenResourceError):
                        await self._stream.send_all(frame(CLOSE, payload))
                    break
        return b""

    async def send_eof(self) -> None:
        """Close the sending side, without a goodbye."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


# -- lines that something says ----------------------------------------------------------------


class Lines:
    """Lines of text that come in, kept, with a way to wait for one."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.ended = trio.Event()
        self._news = trio.Event()

    def add(self, text: str) -> None:
        self.seen.append(text)
        self._news.set()
        self._news = trio.Event()

    def seen_with(self, start: str) -> list[str]:
        """The lines so far that begin like that."""
        return [text for text in self.seen if text.startswith(start)]

    async def wait(self, *wanted: str, within: float = PATIENCE) -> None:
        """Wait until all these lines have come. Raises trio.TooSlowError."""
        for each in wanted:
            await self.wait_for(functools.partial(operator.eq, each), within=within)

    async def wait_for(self, fits: Callable[[str], bool], within: float = PATIENCE) -> str:
        """The first line that fits. Raises trio.TooSlowError."""
        with trio.fail_after(within):
            while True:
                for text in self.seen:
                    if fits(text):
                        return text
                await self._news.wait()

    async def pump(self, stream: trio.abc.ReceiveStream) -> None:
        """Take everything from a stream until it ends."""
        rest = b""
        async for data in stream:
            *complete, rest = (rest + bytes(data)).split(b"\n")
            for each in complete:
                self.add(each.decode(errors="replace"))
        self.ended.set()

    async def whole(self, within: float = PATIENCE) -> str:
        """Everything, once it has ended."""
        with trio.fail_after(within):
            await self.ended.wait()
        return "\n".join(self.seen)


# -- processes --------------------------------------------------------------------------------


def command(program: str, *arguments: object) -> list[str]:
    """The command that starts a program of `programs/`."""
    module = f"tests.guarantees.programs.{program}"
    return [sys.executable, "-m", module, *map(str, arguments)]


class Program(Wire):
    """A running program, its standard streams real pipes.

    Attributes:
        process: Trio's handle on it.
        stderr: What it says on standard error.
    """

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        super().__init__(process.stdin, process.stdout)
        self.process = process
        self.stderr = Lines()

    async def close_stdin(self) -> None:
        """The end of input."""
        await self.sending.aclose()

    def signal(self, number: signal.Signals) -> None:
        """To this process alone."""
        os.kill(self.process.pid, number)

    async def wait_exit(self, within: float) -> tuple[int, float]:
        """Wait for its end; the exit status and the seconds it took. Raises TooSlowError."""
        began = trio.current_time()
        with trio.fail_after(within):
            status = await self.process.wait()
        return status, trio.current_time() - began

    async def port(self, door: str = "tcp") -> int:
        """The port that it says it listens on; one of several may have a name of its own."""
        await self.stderr.wait_for(lambda text: text.startswith("listening "))
        named = self.stderr.seen_with(f"{door} ")
        return int((named or self.stderr.seen_with("listening "))[0].split()[1])


#: Reads numbers of process groups, with a minus once they have ended; at the end of its input it
#: kills those that are left.
_GUARDIAN: Final = """
import os, signal, sys
groups = set()
for line in sys.stdin:
    number = int(line)
    (groups.add if number > 0 else groups.discard)(abs(number))
for group in groups:
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        pass
"""


class Guardian:
    """Sees to it that no process outlives the tests, however they end.

    A test that is stopped by its time limit leaves no task that could clean up, and sometimes no
    process of its own. So another process knows what was started, and notices the end.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self.groups: set[int] = set()

    def add(self, group: int) -> None:
        """A process group has been started."""
        self.groups.add(group)
        self._tell(group)

    def discard(self, group: int) -> None:
        """It has ended."""
        self.groups.discard(group)
        self._tell(-group)

    def kill_all(self) -> None:
        """Kill what is left of a test."""
        for group in list(self.groups):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
            self.discard(group)

    def _tell(self, number: int) -> None:
        if self._process is None:
            argv = [sys.executable, "-c", _GUARDIAN]
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, text=True, start_new_session=True
            )
            atexit.register(self._end)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()

    def _end(self) -> None:
        assert self._process is not None
        self._process.communicate()


guardian: Final = Guardian()


@asynccontextmanager
async def started(
    argv: Sequence[str], *, stdin: int | None = None, **options: Any
) -> AsyncIterator[Program]:
    """A process with pipes; it and all it started are killed at the end, if they still live."""
    process = await trio.lowlevel.open_process(
        argv,
        stdin=subprocess.PIPE if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        # Buffers as users have them, whatever is set where the tests run.
        env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
        start_new_session=True,
        **options,
    )
    if process.stdin is None:
        process.stdin = _NoStream()  # the caller holds the other end
    guardian.add(process.pid)
    program = Program(process)
    assert process.stderr is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(program.stderr.pump, process.stderr)
        try:
            yield program
        finally:
            with trio.CancelScope(shield=True, relative_deadline=PATIENCE):
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
                guardian.discard(process.pid)
                await program.aclose()
            nursery.cancel_scope.cancel()
    await process.stderr.aclose()


class _NoStream(trio.abc.SendStream):
    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise trio.ClosedResourceError

    async def wait_send_all_might_not_block(self) -> None:
        raise trio.ClosedResourceError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@attrs.frozen
class Serving:
    """A server program, and a way to open connections to it.

    Attributes:
        program: The process.
        wire: The first connection; on stdio the only one.
    """

    program: Program
    wire: Wire
    door: str
    address: int | Path | None

    async def connect(self) -> trio.SocketStream | FramedLines:
        """Another connection, over a socket."""
        return await connect_to(self.door, self.address)


async def connect_to(door: str, address: int | Path | None) -> trio.SocketStream | FramedLines:
    """Connect to a port on this machine, there with a WebSocket if need be, or to a Unix socket."""
    if isinstance(address, Path):
        return await trio.open_unix_socket(address)
    assert address is not None
    stream = await trio.open_tcp_stream("127.0.0.1", address)
    return stream if door == "tcp" else await FramedLines.open(stream)


@asynccontextmanager
async def opened(program: Program, door: str, path: Path) -> AsyncIterator[Wire]:
    """The one conversation over a program's standard streams, or a new one over a socket."""
    await program.stderr.wait_for(lambda text: text.startswith("listening"))
    if door == "stdio":
        yield program
        return
    address = path if door == "unix" else await program.port(door)
    async with stream_wire(await connect_to(door, address)) as wire:
        yield wire


def listen(identity: Any, **wanted: Any) -> Message:
    """`subscriptions/listen` of the stateless era."""
    return STATELESS.request(identity, "subscriptions/listen", {"notifications": wanted})


@asynccontextmanager
async def serving(
    program: str, door: str, tmp_path: Path, *arguments: object
) -> AsyncIterator[Serving]:
    """Start a server program on a door, with a session open on the first connection."""
    path = tmp_path / "socket"
    more = ("--path", path) if door == "unix" else ()
    async with (
        started(command(program, door, *more, *arguments)) as process,
        opened(process, door, path) as wire,
    ):
        await wire.shake_hands()
        address = None if door == "stdio" else path if door == "unix" else await process.port()
        yield Serving(process, wire, door, address)


# -- who is still alive -----------------------------------------------------------------------


class Witness:
    """A named pipe that ends when the last process that holds it has ended.

    Unlike a process id it says so of grandchildren too, at once, and without polling.
    """

    def __init__(self, descriptor: int) -> None:
        self._stream = trio.lowlevel.FdStream(descriptor)
        self.lines = Lines()

    async def wait_all_gone(self, within: float) -> None:
        """Wait until nobody holds the pipe any more. Raises trio.TooSlowError."""
        with trio.fail_after(within):
            await self.lines.pump(self._stream)

    async def read_until(self, count: int, within: float = PATIENCE) -> list[str]:
        """Read until that many lines have come."""
        rest = b""
        with trio.fail_after(within):
            while len(self.lines.seen) < count:
                await trio.lowlevel.wait_readable(self._stream.fileno())
                data = await self._stream.receive_some()
                *complete, rest = (rest + bytes(data)).split(b"\n")
                for each in complete:
                    self.lines.add(each.decode())
        return self.lines.seen

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def witness(path: Path) -> AsyncIterator[Witness]:
    """Make the named pipe and read from it."""
    os.mkfifo(path)
    found = Witness(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    try:
        yield found
    finally:
        await found.aclose()


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Seconds since the block was entered."""
    began = trio.current_time()
    yield lambda: trio.current_time() - began


# -- what a process holds ---------------------------------------------------------------------


@attrs.frozen
class Resources:
    """What a process holds at a moment.

    Attributes:
        memory: Bytes of memory in use by the process.
        blocks: Objects that Python's allocator has given out.
        tasks: Tasks in the tree.
        descriptors: Open file descriptors.
    """

    memory: int
    blocks: int
    tasks: int
    descriptors: int

    @classmethod
    def now(cls) -> Resources:
        """Of this process, garbage collected first."""
        _forget_ended_scopes()
        gc.collect()
        statm = Path("/proc/self/statm")
        if statm.exists():
            memory = int(statm.read_text().split()[1]) * resource.getpagesize()
        else:
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return cls(memory, sys.getallocatedblocks(), len(tasks()), len(os.listdir("/dev/fd")))

    def since(self, before: Resources) -> Resources:
        """The growth."""
        return Resources(
            self.memory - before.memory,
            self.blocks - before.blocks,
            self.tasks - before.tasks,
            self.descriptors - before.descriptors,
        )


def _forget_ended_scopes() -> None:
    """Let Trio forget the scopes that have ended before their deadlines.

    It does so a thousand at a time, so several thousand objects would come and go with them. There
    is no public way to ask for it.
    """
    if trio.lowlevel.in_trio_run():
        _run.GLOBAL_RUN_CONTEXT.runner.deadlines._prune()


# -- the task tree ----------------------------------------------------------------------------


def tasks() -> list[str]:
    """The names of all tasks that belong to somebody, sorted."""
    root = trio.lowlevel.current_root_task()
    found: list[str] = []
    waiting = [] if root is None else [root]
    while waiting:
        task = waiting.pop()
        found.append(task.name)
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return sorted(found)
