"""Inherited descriptors: nothing blocks, and no flag of theirs changes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import socket
import subprocess
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
    from pathlib import Path

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


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="Linux can do this")
@pytest.mark.parametrize("kind", ["pipe", "socket pair"])
async def test_what_goes_at_once_costs_no_turn_of_the_loop(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(kind, monkeypatch) as (reading, stream, _):
        async with stream:
            with trio.testing.assert_no_checkpoints():
                await stream.send_all(b"short\n")
            assert os.read(reading, 100) == b"short\n"


@pytest.mark.parametrize("kind", ["pipe", "socket pair"])
async def test_two_who_write_do_not_mix(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = LONG[:1_000_000]
    with writing(kind, monkeypatch) as (reading, stream, _), trio.fail_after(PATIENCE):
        async with stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, data)
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.start_soon(stream.send_all, b"next\n")
            assert await read_all(reading, len(data) + 5) == data + b"next\n"


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


# -- descriptors 0 and 1 --------------------------------------------------------------------------

#: Uses the protocol's descriptors in one of several ways, and tells what 0, 1 and 2 are then.
BORROWER = """
import json, os, sys
import trio
from trimcp.transports._stdio import borrowed_descriptors

def kinds():
    stats = [os.fstat(number) for number in (0, 1, 2)]
    return [[each.st_dev, each.st_ino] for each in stats]

def count():
    return len(os.listdir("/dev/fd"))

told = open(sys.argv[1], "w")
before = [kinds(), count()]
inside = []
try:
    with borrowed_descriptors() as (wire_in, wire_out):
        inside = kinds()
        wires = [[os.fstat(each).st_dev, os.fstat(each).st_ino] for each in (wire_in, wire_out)]
        os.close(wire_in)
        os.close(wire_out)
        if sys.argv[2] == "raises":
            raise ValueError
        if sys.argv[2] == "exits":
            raise SystemExit
        if sys.argv[2] == "closes":
            os.close(0)
except (ValueError, SystemExit):
    pass
json.dump({"before": before, "after": [kinds(), count()], "inside": inside, "wires": wires}, told)
told.close()
os.write(1, os.read(0, 100))
"""


@pytest.mark.parametrize("way", ["ends", "raises", "exits", "closes"])
def test_standard_streams_are_given_back(way: str, tmp_path: Path) -> None:
    """However serving ends: the same files stand at 0, 1 and 2 again, and none more is open."""
    place = tmp_path / "told"
    done = subprocess.run(
        [sys.executable, "-c", BORROWER, str(place), way],
        input=b"later",
        capture_output=True,
        check=True,
        timeout=60,
    )
    told = json.loads(place.read_text())
    (standard_in, standard_out, standard_error), _ = told["before"]
    assert told["after"] == told["before"]
    assert told["wires"] == [standard_in, standard_out]
    null = os.stat(os.devnull)
    assert told["inside"] == [[null.st_dev, null.st_ino], standard_error, standard_error]
    assert done.stdout == b"later"
