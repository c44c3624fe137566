"""Pages in a real browser: Debian's Chromium, without a window."""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CHROMIUM: Final = shutil.which("chromium")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")

#: Seconds for a page to tell what it saw. The first start of a browser takes long.
PATIENCE: Final = 60.0

#: A name that is not this machine's; the browser is told that it leads here.
FOREIGN: Final = "evil.example"


@attrs.frozen
class Pages:
    """A web server with one page, which tells back what it saw.

    Attributes:
        port: Where it listens.
    """

    port: int
    html: list[str] = attrs.field(factory=list)
    _send: Any = None
    _told: Any = None

    async def see(self, host: str, html: str, profile: Path) -> Any:
        """Open the page under a host's name; what it calls `tell(…)` with."""
        self.html[:] = [html]
        rules = f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1"
        async with running(f"http://{host}:{self.port}/", profile, rules):
            with trio.fail_after(PATIENCE):
                return await self._told.receive()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One request: the page, or what it tells."""
        async with stream:
            head, _, body = (await _request(stream)).partition(b"\r\n\r\n")
            if head.startswith(b"POST /tell "):
                await self._send.send(json.loads(body))
            answer = _SCRIPT + self.html[0]
            lines = ["HTTP/1.1 200 OK", "Content-Type: text/html", "Connection: close", "", answer]
            await stream.send_all("\r\n".join(lines).encode())


#: What every page has.
_SCRIPT: Final = """<!doctype html>
<script>
function tell(value) { fetch("/tell", {method: "POST", body: JSON.stringify(value)}); }
</script>
"""


async def _request(stream: trio.SocketStream) -> bytes:
    """A request with its body."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        size = 0
        for line in head.lower().split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name == b"content-length":
                size = int(value)
        if end and len(body) >= size:
            return data
        piece = await stream.receive_some()
        if not piece:
            return data
        data += piece


@asynccontextmanager
async def pages() -> AsyncIterator[Pages]:
    """A web server on this machine."""
    send, told = trio.open_memory_channel[Any](10)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    served = Pages(listener.socket.getsockname()[1], send=send, told=told)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, served.serve, [listener])
        yield served
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def running(
    url: str, profile: Path, *more: str, stderr: int | None = None
) -> AsyncIterator[trio.Process]:
    """A browser at that address, and no trace of it afterwards.

    Args:
        url: The address.
        profile: A directory for it.
        more: More of its options.
        stderr: Where its messages go, as for `subprocess.Popen`; by default into a file beside the
            directory.
    """
    assert CHROMIUM is not None
    options = [
        "--headless=new",
        # Tests may run as root, where the sandbox does not start; the pages are ours.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        f"--user-data-dir={profile}",
        *more,
    ]
    with (profile.parent / "chromium.log").open("ab") as log:
        process = await trio.lowlevel.open_process(
            [CHROMIUM, *options, url],
            stdout=log,
            stderr=log if stderr is None else stderr,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True, relative_deadline=10):
            _kill_group(process.pid)
            await process.wait()
            if process.stderr is not None:
                await process.stderr.aclose()


def _kill_group(leader: int) -> None:
    """The browser and the processes it has started."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
