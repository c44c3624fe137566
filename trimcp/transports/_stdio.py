"""The process's own standard streams, for a server that its client has started.

The descriptors are shared with the parent process, so their flags are not changed: making them
non-blocking would change the parent's terminal or pipe too, permanently if we are killed. Instead
each single write has a flag that it must not block, where the system supports that: on Linux, for
pipes and sockets. Elsewhere we wait until the descriptor is ready, and then write no more than it
certainly accepts. A terminal that is ready may accept a single byte and block for the rest, so it
is opened a second time in non-blocking mode, with its own flags.

While serving, descriptor 0 is the null device and descriptor 1 is standard error. So the output of
`print`, of libraries that write to descriptor 1, and of child processes never gets between the
messages.

Specification: 2026-07-28, stdio.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from ._lines import open_stream_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from trimcp.limits import Limits

    from ._budget import Budget
    from ._channel import MessageChannel

__all__ = ["check_standard_streams", "open_stdio_channel"]

#: A pipe that is ready for writing accepts this many bytes without blocking.
_PIPE_BUF: Final = getattr(select, "PIPE_BUF", 512)

#: Makes a single write non-blocking, regardless of the descriptor's flags.
_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)

#: Seconds until a descriptor that was ready but accepted nothing is tried again.
_AGAIN_SECONDS: Final = 0.01

#: The errors of a kernel that does not support the flag, or not for this kind of file.
_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS})

#: Seconds for a client to read a progress report before the answer to its call follows. Clients of
#: the TypeScript SDK lose the report if they read both at once.
_TURN: Final = 0.002


class DescriptorStream(trio.abc.Stream):
    """A stream over two blocking descriptors that it owns, whose flags it does not change.

    POSIX only. Regular files and the null device, which cannot be waited for and never block,
    are read and written at once.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = _reopened(write_fd) if os.isatty(write_fd) else write_fd
        self._sending = trio.Lock()
        self._can_skip_waiting = _NOWAIT is not None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await self._ready(trio.lowlevel.wait_readable, self._read_fd)
        return os.read(self._read_fd, max_bytes or 65536)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write everything. A checkpoint only if not all is accepted at once.

        The one writer has a checkpoint anyway, where it takes the messages; another one would be a
        whole turn of Trio's loop before a single answer is written.
        """
        try:
            self._sending.acquire_nowait()
        except trio.WouldBlock:
            await self._sending.acquire()
        try:
            await self._write(memoryview(data))
        finally:
            self._sending.release()

    async def _write(self, rest: memoryview) -> None:
        # The first write needs no wait.
        if self._can_skip_waiting:
            rest = rest[self._write_at_once(rest) :]
        while rest:
            await self._ready(trio.lowlevel.wait_writable, self._write_fd)
            done = self._write_some(rest)
            if not done:
                # Terminals may be ready although they have no room for a line end.
                await trio.sleep(_AGAIN_SECONDS)
            rest = rest[done:]

    def _write_some(self, data: memoryview) -> int:
        """Write as much as a ready descriptor certainly accepts; return how much was written."""
        if self._can_skip_waiting:
            return self._write_at_once(data)
        try:
            return os.write(self._write_fd, data[:_PIPE_BUF])
        except BlockingIOError:
            return 0
        except BrokenPipeError as error:
            raise trio.BrokenResourceError from error

    def _write_at_once(self, data: memoryview) -> int:
        """Write as much as possible without blocking, perhaps nothing; return how much."""
        if self._write_fd < 0:
            raise trio.ClosedResourceError
        try:
            return os.pwritev(self._write_fd, [data], -1, _NOWAIT or 0)
        except BlockingIOError:
            return 0
        except BrokenPipeError as error:
            raise trio.BrokenResourceError from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            self._can_skip_waiting = False
            return 0

    async def wait_send_all_might_not_block(self) -> None:
        await self._ready(trio.lowlevel.wait_writable, self._write_fd)

    async def aclose(self) -> None:
        for name in ("_read_fd", "_write_fd"):
            descriptor = getattr(self, name)
            setattr(self, name, -1)
            if descriptor >= 0:
                trio.lowlevel.notify_closing(descriptor)
                os.close(descriptor)
        await trio.lowlevel.checkpoint()

    @staticmethod
    async def _ready(wait: object, descriptor: int) -> None:
        if descriptor < 0:
            raise trio.ClosedResourceError
        try:
            await wait(descriptor)  # type: ignore[operator]
        except PermissionError:
            # epoll refuses descriptors that are always ready.
            await trio.lowlevel.checkpoint()


def _reopened(terminal: int) -> int:
    """A non-blocking descriptor of the same terminal; closes the given descriptor.

    Returns the given descriptor if the terminal cannot be opened by name: then a write may block.
    """
    try:
        opened = os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return terminal
    os.close(terminal)
    return opened


class ThreadedStream(trio.abc.Stream):
    """A stream over two descriptors that can only block: each transfer uses a thread.

    For platforms that cannot wait for pipes to be ready. An abandoned read keeps its thread until a
    byte or the end of input arrives; it does not keep the process alive.
    """

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._limiter = trio.CapacityLimiter(2)
        self._closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        self._check()
        return await trio.to_thread.run_sync(
            os.read,
            self._read_fd,
            max_bytes or 65536,
            abandon_on_cancel=True,
            limiter=self._limiter,
        )

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._check()
        await trio.to_thread.run_sync(
            self._write, bytes(data), abandon_on_cancel=True, limiter=self._limiter
        )

    async def wait_send_all_might_not_block(self) -> None:
        self._check()
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        # The descriptors stay open: an abandoned thread may still use them, and a closed number
        # could be reused for another file.
        self._closed = True
        await trio.lowlevel.checkpoint()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._write_fd, rest) :]
        except BrokenPipeError as error:
            raise trio.BrokenResourceError from error


def check_standard_streams() -> None:
    """Check that standard input and output are open.

    Python's streams are checked, not the descriptors, since files that are opened later get the
    free numbers.

    Raises:
        SystemExit: One is closed. Such a program has no client, and ends with one sentence and
            status 1.
    """
    for stream, name in ((sys.__stdin__, "input"), (sys.__stdout__, "output")):
        if stream is None or stream.closed:
            raise SystemExit(
                f"standard {name} is closed: an MCP client starts this program with pipes on both; "
                "to listen on a socket instead, use another door, such as serve_http()"
            )


@contextmanager
def borrowed_descriptors() -> Iterator[tuple[int, int]]:
    """Use descriptors 0 and 1 for the protocol, and replace them with harmless ones meanwhile."""
    wire_in, wire_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    _point_at_errors(1)
    restore_in, restore_out = os.dup(wire_in), os.dup(wire_out)
    # Output that was printed before and is still buffered must not get between the messages either.
    _flush(sys.stdout)
    given = {name: getattr(sys, name) for name in _PRINTED}
    # One stream for both names, since two would mix up the order of the output.
    forgiving = {id(stream): _forgiving(stream, _PRINTED[name]) for name, stream in given.items()}
    for name, stream in given.items():
        setattr(sys, name, forgiving[id(stream)])
    try:
        yield wire_in, wire_out
    finally:
        left = [*given.values(), *(getattr(sys, name) for name in _PRINTED)]
        if not all([_flush(stream) for stream in left]):
            # It cannot be written, but must not get between the messages either.
            _point_at_null(1)
            for stream in left:
                _flush(stream)
        for name, stream in given.items():
            setattr(sys, name, stream)
        os.dup2(restore_in, 0)
        os.dup2(restore_out, 1)
        os.close(restore_in)
        os.close(restore_out)


def _point_at_errors(descriptor: int) -> None:
    """Make a descriptor standard error, or the null device if standard error is closed."""
    if sys.__stderr__ is None:
        # It was closed at the start: descriptor 2 may be any file now, even the protocol's.
        _point_at_null(descriptor)
    else:
        os.dup2(2, descriptor)


def _point_at_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


class _Stray(io.RawIOBase):
    """Writes what is printed while serving; if it cannot be written, it is dropped silently."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        with suppress(OSError):
            return os.write(self._descriptor, data)
        return len(data)


#: The names under which Python programs print.
_PRINTED: Final = {"stdout": 1, "stderr": 2, "__stdout__": 1, "__stderr__": 2}


def _forgiving(stream: Any, descriptor: int) -> Any:
    """The process's own stream, wrapped so that writing never fails; any other stream unchanged."""
    if not isinstance(stream, io.TextIOWrapper) or not _is_at(stream, descriptor):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_Stray(descriptor)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=True,
    )


def _is_at(stream: io.TextIOWrapper, descriptor: int) -> bool:
    try:
        return stream.fileno() == descriptor
    except (OSError, ValueError):
        return False


def _flush(stream: object) -> bool:
    """Flush a stream; returns whether its buffer is empty."""
    try:
        stream.flush()  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        # There is no such stream, or it is closed: nothing can be lost.
        return True
    except OSError:
        return False
    return True


@asynccontextmanager
async def open_stdio_channel(
    limits: Limits, *, threads: bool | None = None, budget: Budget | None = None
) -> AsyncIterator[MessageChannel]:
    """A message channel over this process's standard input and output.

    Args:
        limits: See `open_stream_channel`.
        threads: Whether to use worker threads instead of waiting for readiness; by default only on
            Windows, which cannot wait for pipes.
        budget: See `open_stream_channel`.
    """
    if threads is None:
        threads = sys.platform == "win32"
    with borrowed_descriptors() as (wire_in, wire_out):
        stream: trio.abc.Stream
        stream = (ThreadedStream if threads else DescriptorStream)(wire_in, wire_out)
        async with open_stream_channel(
            stream, limits, peer="stdio", drains=True, budget=budget
        ) as channel:
            channel.turn = _TURN
            yield channel
