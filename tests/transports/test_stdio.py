"""Inherited descriptors: nothing blocks, and no flag of theirs changes."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import socket
import sys
import tempfile
import tty
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

if sys.platform == "win32":
    pytest.skip("there are no such descriptors on this platform", allow_module_level=True)

from trimcp.transports import _stdio
from trimcp.transports._stdio import DescriptorStream

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = os.urandom(4 * 1024 * 1024)

#: A second is enough for a write that blocks to be found out; none of ours takes a hundredth.
PATIENCE = 10


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing


@contextmanager
def socket_pair() -> Iterator[tuple[int, int]]:
    """What Node gives its children."""
    first, second = socket.socketpair()
    yield first.detach(), second.detach()


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield master, slave


KINDS: dict[str, Any] = {"pipe": pipe, "socket pair": socket_pair, "terminal": terminal}


@contextmanager
def writing(kind: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Any, list[int]]]:
    """A stream that writes, the other end, and the sizes of all writes."""
    sizes: list[int] = []

    def counted(write: Any) -> Any:
        def count(*arguments: Any) -> Any:
            done = write(*arguments)
            sizes.append(done)
            return done

        return count

    monkeypatch.setattr(_stdio.os, "write", counted(os.write))
    monkeypatch.setattr(_stdio.os, "pwritev", counted(os.pwritev), raising=False)
    with KINDS[kind]() as (reading, writing):
        flags = [fcntl.fcntl(each, fcntl.F_GETFL) for each in (reading, writing)]
        assert not flags[1] & os.O_NONBLOCK
        stream = DescriptorStream(os.open(os.devnull, os.O_RDONLY), os.dup(writing))
        try:
            yield reading, stream, sizes
            # As if we had been killed at any moment: there was never anything to undo.
            assert [fcntl.fcntl(each, fcntl.F_GETFL) for each in (reading, writing)] == flags
        finally:
            os.close(reading)
            os.close(writing)


async def read_all(descriptor: int, length: int) -> bytes:
    received = b""
    while len(received) < length:
        await trio.lowlevel.wait_readable(descriptor)
        received += os.read(descriptor, 64 * 1024)
    return received


@pytest.mark.parametrize("kind", KINDS)
async def test_everything_arrives(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = LONG[:100_000] if kind == "terminal" else LONG
    with writing(kind, monkeypatch) as (reading, stream, _), trio.fail_after(PATIENCE):
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, data)
            assert await read_all(reading, len(data)) == data


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="Linux can do this")
@pytest.mark.parametrize("kind", ["pipe", "socket pair"])
async def test_a_long_answer_is_written_in_large_pieces(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(kind, monkeypatch) as (reading, stream, sizes):
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, LONG)
            await read_all(reading, len(LONG))
    assert sum(sizes) == len(LONG)
    # A wait for each 4096 bytes would be 1024 of them.
    assert len(sizes) < 200


@pytest.mark.parametrize("kind", KINDS)
async def test_a_reader_that_does_not_read_blocks_nobody(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(kind, monkeypatch) as (_, stream, sizes):
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, LONG)
            # Comes back although the write is stuck: this task goes on.
            while not sizes:
                await trio.testing.wait_all_tasks_blocked(0.01)
            await trio.testing.wait_all_tasks_blocked(0.001)
            assert 0 < sum(sizes) < len(LONG)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_goes_at_once_needs_no_wait(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with writing(kind, monkeypatch) as (reading, stream, sizes):
        async with stream:
            for _ in range(3):
                await stream.send_all(b"short\n")
                assert os.read(reading, 100) == b"short\n"
        assert sizes == [6, 6, 6]


@pytest.mark.parametrize("error", [errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
async def test_kernels_that_cannot_are_asked_once(
    error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def refuse(*_: Any) -> int:
        asked.append(1)
        raise OSError(error, "no")

    with writing("pipe", monkeypatch) as (reading, stream, sizes):
        monkeypatch.setattr(_stdio.os, "pwritev", refuse, raising=False)
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, LONG[:1_000_000])
            assert await read_all(reading, 1_000_000) == LONG[:1_000_000]
            await stream.send_all(b"again")
    assert len(asked) == 1
    assert max(sizes) <= 4096


async def test_without_the_flag_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stdio, "_NOWAIT", None)
    monkeypatch.delattr(_stdio.os, "pwritev", raising=False)
    reading, write_end = os.pipe()
    with closing(os.fdopen(reading, "rb")):
        async with DescriptorStream(os.open(os.devnull, os.O_RDONLY), write_end) as stream:
            await stream.send_all(b"short")
            assert os.read(reading, 100) == b"short"


@pytest.mark.parametrize("path", [os.devnull, None])
async def test_files_and_the_null_device(path: str | None) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"before ")
        file.flush()
        target = os.dup(file.fileno()) if path is None else os.open(path, os.O_WRONLY)
        async with DescriptorStream(os.open(os.devnull, os.O_RDONLY), target) as stream:
            await stream.send_all(LONG[:50_000])
            await stream.send_all(b"after")
        if path is None:
            file.seek(0)
            assert file.read() == b"before " + LONG[:50_000] + b"after"


@pytest.mark.parametrize("kind", ["pipe", "socket pair"])
@pytest.mark.parametrize("length", [10, len(LONG)])
async def test_a_reader_that_is_gone(kind: str, length: int) -> None:
    with KINDS[kind]() as (reading, write_end):
        async with DescriptorStream(os.open(os.devnull, os.O_RDONLY), write_end) as stream:
            if length > 10:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_expect_broken, stream, LONG)
                    await trio.testing.wait_all_tasks_blocked(0.02)
                    os.close(reading)
            else:
                os.close(reading)
                await _expect_broken(stream, b"x")


async def _expect_broken(stream: DescriptorStream, data: bytes) -> None:
    with pytest.raises((trio.BrokenResourceError, OSError)):
        await stream.send_all(data)


async def test_a_stream_that_was_closed() -> None:
    reading, write_end = os.pipe()
    stream = DescriptorStream(os.open(os.devnull, os.O_RDONLY), write_end)
    await stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"x")
    os.close(reading)
