"""The process's own standard streams, for a server that its client has launched.

The descriptors are shared with whoever launched us, so their flags are left alone: making them
non-blocking would change the launcher's terminal or pipe too, for good if we are killed.
Instead each write says for itself that it must not block, where the system can do that: Linux,
for pipes and sockets. Elsewhere we wait until the descriptor is ready, and then write no more than
it surely takes. A terminal that is ready may take a single byte and block for the rest, so it is
opened a second time, without blocking: that is a way of our own, with flags of its own.

While serving, descriptor 0 is the null device and descriptor 1 points at standard error. So a
`print`, a library that writes to descriptor 1, and every child process stay off the wire.

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

#: A pipe that is ready to write takes this much without blocking.
_PIPE_BUF: Final = getattr(select, "PIPE_BUF", 512)

#: Makes a single write take what there is room for, whatever the descriptor's flags say.
_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)

#: Seconds after which a descriptor that was ready and took nothing is tried again.
_AGAIN_SECONDS: Final = 0.01

#: What a kernel says that does not know it, or not for this kind of file.
_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS})

#: Seconds for a client to read a progress report before the answer to its call follows. Clients of
#: the TypeScript SDK lose the report if they read both at once.
_TURN: Final = 0.002


class DescriptorStream(trio.abc.Stream):
    """A stream over two blocking descriptors that it owns, with no flag of theirs changed.

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
        async with self._sending:
            rest = memoryview(data)
            # The first write comes without a wait; the lock was a checkpoint.
            if self._can_skip_waiting:
                rest = rest[self._write_at_once(rest) :]
            while rest:
                await self._ready(trio.lowlevel.wait_writable, self._write_fd)
                done = self._write_some(rest)
                if not done:
                    # Terminals say that they are ready where there is no room for a line end.
                    await trio.sleep(_AGAIN_SECONDS)
                rest = rest[done:]

    def _write_some(self, data: memoryview) -> int:
        """Write what a descriptor that is ready surely takes; return how much that was."""
        if self._can_skip_waiting:
            return self._write_at_once(data)
        try:
            return os.write(self._write_fd, data[:_PIPE_BUF])
        except BlockingIOError:
            return 0
        except BrokenPipeError as error:
            raise trio.BrokenResourceError from error

    def _write_at_once(self, data: memoryview) -> int:
        """Write what can be written without blocking, perhaps nothing; return how much."""
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
            # epoll refuses what is always ready.
            await trio.lowlevel.checkpoint()


def _reopened(terminal: int) -> int:
    """A descriptor of the same terminal that does not block; the given one is closed.

    The given one if there is no name to open it by: then a write may block.
    """
    try:
        opened = os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return terminal
    os.close(terminal)
    return opened


class ThreadedStream(trio.abc.Stream):
    """A stream over two descriptors that can only block: each transfer uses a thread.

    For platforms without readiness for pipes. A read that is abandoned keeps its thread until
    a byte or the end of input arrives; it cannot keep the process alive.
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
        # The descriptors stay open: an abandoned thread may still be using them, and a number
        # that is closed under it could by then belong to somebody else.
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

    Python says so, not the descriptors: what is opened later takes the free numbers.

    Raises:
        SystemExit: One is closed. A program that is started so has nobody to serve, and ends with
            one sentence and status 1.
    """
    for stream, name in ((sys.__stdin__, "input"), (sys.__stdout__, "output")):
        if stream is None or stream.closed:
            raise SystemExit(
                f"standard {name} is closed: an MCP client starts this program with pipes on both; "
                "to listen on a socket instead, use another door, such as serve_http()"
            )


@contextmanager
def borrowed_descriptors() -> Iterator[tuple[int, int]]:
    """Take descriptors 0 and 1 for the protocol and put harmless ones in their place."""
    wire_in, wire_out = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    _point_at_errors(1)
    restore_in, restore_out = os.dup(wire_in), os.dup(wire_out)
    # What was printed before this moment and is still buffered must not reach the wire either.
    _flush(sys.stdout)
    given = {name: getattr(sys, name) for name in _PRINTED}
    # One stream for both of its names, or what is printed under them would be mixed up.
    forgiving = {id(stream): _forgiving(stream, _PRINTED[name]) for name, stream in given.items()}
    for name, stream in given.items():
        setattr(sys, name, forgiving[id(stream)])
    try:
        yield wire_in, wire_out
    finally:
        left = [*given.values(), *(getattr(sys, name) for name in _PRINTED)]
        if not all([_flush(stream) for stream in left]):
            # Nobody reads it, but it must not reach the wire either.
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
    """Make a descriptor standard error, or the null device where that is closed."""
    if sys.__stderr__ is None:
        # It was closed when we were started: descriptor 2 may be anything by now, even the wire.
        _point_at_null(descriptor)
    else:
        os.dup2(2, descriptor)


def _point_at_null(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


class _Stray(io.RawIOBase):
    """Takes what is printed while serving; if nobody reads it, it is lost without an error."""

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
        # No standard output at all, or closed: nothing can be lost.
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
        threads: Whether to use worker threads instead of readiness; by default only on
            Windows, which has no readiness for pipes.
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
