"""`trimcp run --reload`: a new process for each change of the files."""

from __future__ import annotations

import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trio

from tests.ports import free_port
from trimcp import open_client

from .harness import run_here, running

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

SERVER = """
from trimcp import Server
server = Server("one")

@server.tool
async def who() -> str:
    return {name!r}
"""


async def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read standard error until a line has this text."""
    assert process.stderr is not None
    with trio.fail_after(30):
        while text not in (line := await trio.to_thread.run_sync(process.stderr.readline)):
            assert line, f"{text!r} never came"


async def who(port: int) -> str:
    async with open_client(f"tcp://127.0.0.1:{port}") as client:
        return (await client.call_tool("who")).text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_every_change_is_served(tmp_path: Path, number: signal.Signals) -> None:
    file = tmp_path / "app.py"
    file.write_text(SERVER.format(name="first"))
    port = free_port()
    with running("run", "--reload", "--tcp", f"127.0.0.1:{port}", file) as process:
        await wait_for(process, "listening on")
        assert await who(port) == "first"

        file.write_text(SERVER.format(name="second"))
        await wait_for(process, "app.py changed: starting again")
        await wait_for(process, "listening on")
        assert await who(port) == "second"

        file.write_text("if:")
        await wait_for(process, "SyntaxError")
        await wait_for(process, "ended with status 1; waiting for a change")

        (tmp_path / "other.py").write_text("NAME = 'third'")
        file.write_text("from other import NAME\n" + SERVER.replace("{name!r}", "NAME"))
        await wait_for(process, "listening on")
        assert await who(port) == "third"

        process.send_signal(number)
        with trio.fail_after(10):
            assert await trio.to_thread.run_sync(process.wait) == 0
    with pytest.raises(OSError, match=r"refused|failed"):
        await who(port)


def test_not_on_standard_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run_here("run", "--reload", tmp_path / "app.py")
    assert caught.value.code == 2


def test_no_such_file(tmp_path: Path) -> None:
    done = run_here("run", "--reload", "--tcp", "127.0.0.1:0", tmp_path / "app.py")
    assert done.returncode == 1
    assert "no such file" in done.stderr


SLOW = """
import os
from pathlib import Path
import trio
from trimcp import Server
server = Server("slow")

@server.tool
async def who() -> str:
    return {name!r}

@server.tool
async def hang(mark: str) -> str:
    Path(mark + ".begun").touch()
    try:
        await trio.sleep_forever()
    finally:
        Path(mark).touch()
"""


@contextmanager
def reloading(file: Path, *where: str) -> Iterator[subprocess.Popen[str]]:
    with running("run", "--reload", *where, file) as process:
        yield process


async def wait_until(path: Path) -> None:
    with trio.fail_after(30):
        while not await trio.Path(path).exists():  # noqa: ASYNC110  another process makes it
            await trio.sleep(0.01)


async def connect(address: str) -> trio.abc.Stream:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        return await trio.open_unix_socket(parts.path)
    assert parts.port is not None
    return await trio.open_tcp_stream("127.0.0.1", parts.port)


async def wait_until_refused(port: int) -> None:
    with trio.fail_after(30), suppress(OSError):
        while True:
            await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
            await trio.sleep(0.01)


async def wait_for_address(process: subprocess.Popen[str]) -> str:
    """Read standard error until the server says where it listens."""
    assert process.stderr is not None
    with trio.fail_after(30):
        while True:
            line = await trio.to_thread.run_sync(process.stderr.readline)
            assert line, "it never listened"
            if line.startswith("listening on "):
                return line.removeprefix("listening on ").strip()


@pytest.mark.parametrize("way", ["--tcp", "--http", "--unix"])
async def test_the_address_stays_and_nobody_is_refused(tmp_path: Path, way: str) -> None:
    """A call that does not end keeps the old server for its grace; who connects then, waits."""
    where = str(tmp_path / "socket") if way == "--unix" else "127.0.0.1:0"
    file, mark = tmp_path / "app.py", tmp_path / "mark"
    file.write_text(SLOW.format(name="first"))
    with reloading(file, way, where) as process:
        address = await wait_for_address(process)

        async def hang() -> None:
            with suppress(Exception):
                async with open_client(address) as client:
                    await client.call_tool("hang", {"mark": str(mark)})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hang)
            await wait_until(tmp_path / "mark.begun")
            file.write_text(SLOW.format(name="second"))
            await wait_for(process, "app.py changed: starting again")
            while not await trio.Path(mark).exists():
                await (await connect(address)).aclose()
                await trio.sleep(0.05)
            async with open_client(address) as client:
                assert (await client.call_tool("who")).text == "second"
            nursery.cancel_scope.cancel()


async def test_without_a_server_nobody_waits(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text("raise SystemExit(3)")
    port = free_port()
    with reloading(file, "--tcp", f"127.0.0.1:{port}") as process:
        await wait_for(process, "ended with status 3; waiting for a change")
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            with trio.fail_after(30), suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""
        process.send_signal(signal.SIGINT)
        with trio.fail_after(10):
            assert await trio.to_thread.run_sync(process.wait) == 0


async def test_it_ends_in_order_while_it_begins(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(SERVER.format(name="first"))
    with reloading(file, "--tcp", "127.0.0.1:0") as process:
        await wait_for(process, "watching")
        process.send_signal(signal.SIGINT)
        with trio.fail_after(30):
            assert await trio.to_thread.run_sync(process.stderr.read) == ""
            assert await trio.to_thread.run_sync(process.wait) == 0


async def test_a_killed_watch_takes_its_server_along(tmp_path: Path) -> None:
    file, mark = tmp_path / "app.py", tmp_path / "mark"
    file.write_text(SLOW.format(name="first"))
    with reloading(file, "--tcp", "127.0.0.1:0") as process:
        address = await wait_for_address(process)
        port = int(address.rpartition(":")[2])
        assert await who(port) == "first"
        process.kill()
        with trio.fail_after(30):
            # Standard error is the server's too: it ends when both have ended.
            await trio.to_thread.run_sync(process.stderr.read)
    with pytest.raises(OSError, match=r"refused|failed"):
        await who(port)
    assert not mark.exists()


async def test_a_second_signal_ends_the_calls_at_once(tmp_path: Path) -> None:
    file, mark = tmp_path / "app.py", tmp_path / "mark"
    # The grace is longer than the test may take.
    text = SLOW.replace('Server("slow")', 'Server("slow", shutdown_grace=1000)')
    file.write_text(text.format(name="first"))
    with reloading(file, "--tcp", "127.0.0.1:0") as process:
        address = await wait_for_address(process)
        with suppress(Exception):
            async with open_client(address) as client, trio.open_nursery() as nursery:
                nursery.start_soon(client.call_tool, "hang", {"mark": str(mark)})
                await wait_until(tmp_path / "mark.begun")
                process.send_signal(signal.SIGINT)
                await wait_until_refused(int(address.rpartition(":")[2]))
                process.send_signal(signal.SIGINT)
                with trio.fail_after(10):
                    assert await trio.to_thread.run_sync(process.wait) == 0
                nursery.cancel_scope.cancel()
    assert mark.exists()
