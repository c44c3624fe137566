"""A user with a real browser: Chromium, driven by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from .chromium import PATIENCE, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_LISTENING: Final = re.compile(rb"DevTools listening on ws://127\.0\.0\.1:(\d+)(/\S+)\s")


@attrs.define
class Tab:
    """A page that is looked at. For one task at a time."""

    _socket: WebSocketConnection
    _session: str = ""
    _count: int = 0
    _loader: str = ""
    _loaded: list[str] = attrs.field(factory=list)
    #: The addresses of everything that its pages have requested.
    requested: list[str] = attrs.field(factory=list)

    async def start(self) -> None:
        """Open an empty page."""
        target = await self._command("Target.createTarget", url="about:blank")
        attached = await self._command(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        await self._command("Page.enable")
        await self._command("Network.enable")
        await self._command("Page.setLifecycleEventsEnabled", enabled=True)

    async def go(self, url: str) -> None:
        """Open a URL, and wait for the page to which that leads."""
        opened = await self._command("Page.navigate", url=url)
        assert "errorText" not in opened, opened
        while self._loader != opened["loaderId"]:
            await self._next_page()

    async def click(self, selector: str) -> None:
        """Click on what leads to another page, and wait for that."""
        await self.evaluate(f"document.querySelector({selector!r}).click()")
        await self._next_page()

    async def type(self, selector: str, text: str) -> None:
        """Type into a field."""
        await self.evaluate(f"document.querySelector({selector!r}).focus()")
        await self.insert(text)

    async def insert(self, text: str) -> None:
        """Type into the field that has the focus."""
        await self._command("Input.insertText", text=text)

    async def has(self, selector: str) -> bool:
        """Whether something is on the page."""
        found: bool = await self.evaluate(f"document.querySelector({selector!r}) !== null")
        return found

    async def text(self) -> str:
        """What can be read on the page."""
        read: str = await self.evaluate("document.body.innerText")
        return read

    async def prefer(self, scheme: str) -> None:
        """Like a user whose system is `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self._command("Emulation.setEmulatedMedia", features=[feature])

    async def picture(self, width: int, height: int) -> bytes:
        """What the top of the page looks like in a window of that size, as PNG."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = await self._command(
            "Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True
        )
        return base64.b64decode(shot["data"])

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; of a promise, what it leads to."""
        answer = await self._command(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def _next_page(self) -> None:
        """Wait until another page has loaded."""
        with trio.fail_after(PATIENCE):
            while True:
                while self._loaded:
                    loader = self._loaded.pop(0)
                    if loader != self._loader:
                        self._loader = loader
                        return
                self._heed(json.loads(await self._socket.get_message()))

    async def _command(self, method: str, **params: Any) -> dict[str, Any]:
        self._count += 1
        command = {"id": self._count, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        with trio.fail_after(PATIENCE):
            await self._socket.send_message(json.dumps(command))
            while True:
                message = json.loads(await self._socket.get_message())
                if message.get("id") == self._count:
                    result: dict[str, Any] = message["result"]
                    return result
                self._heed(message)

    def _heed(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Page.lifecycleEvent" and params["name"] == "load":
            self._loaded.append(params["loaderId"])
        if event.get("method") == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])


@asynccontextmanager
async def browser(profile: Path, *options: str) -> AsyncIterator[Tab]:
    """A browser with an empty page, and no trace of it afterwards.

    Args:
        profile: A directory for it.
        options: More of its options.
    """
    options = ("--remote-debugging-port=0", *options)
    async with running("about:blank", profile, *options, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        async with trio.open_nursery() as nursery:
            with trio.fail_after(PATIENCE):
                port, path = await nursery.start(_read, process.stderr)
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            async with stream:
                with trio.fail_after(PATIENCE):
                    tab = Tab(await wrap_client_stream(nursery, stream, "127.0.0.1", path))
                    await tab.start()
                yield tab
                nursery.cancel_scope.cancel()


async def _read(
    errors: trio.abc.ReceiveStream, *, task_status: trio.TaskStatus[tuple[int, str]]
) -> None:
    """Read what a browser writes, so that it is not held up; tells where it listens."""
    head = b""
    is_found = False
    async for piece in errors:
        if is_found:
            continue
        head += piece
        if found := _LISTENING.search(head):
            is_found = True
            task_status.started((int(found[1]), found[2].decode()))
