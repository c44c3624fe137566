"""Raw conversations in memory: with our server, and with our client in front of a script.

Nothing here knows trimcp's protocol code, so that a flaw in it cannot hide itself. Whoever waits
for what never comes fails at once under the autojump clock.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import pydantic
import pytest
import trio
import trio.testing

from trimcp import Client, Server, open_stream_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

REVISIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
HANDSHAKE: Final = REVISIONS[:-1]
STATELESS: Final = REVISIONS[-1]
#: One revision of each era, where nothing differs within an era.
ERAS: Final = REVISIONS[-2:]
#: The revisions that can ask the user.
ELICITING: Final = REVISIONS[2:]

every_revision = pytest.mark.parametrize("revision", REVISIONS)
every_handshake = pytest.mark.parametrize("revision", HANDSHAKE)
both_eras = pytest.mark.parametrize("revision", ERAS)
eliciting = pytest.mark.parametrize("revision", ELICITING)

VERSION: Final = "io.modelcontextprotocol/protocolVersion"
CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"

Message = dict[str, Any]

#: Longer than any deadline of the programs under test.
_NEVER: Final = 50_000.0


class Sure(pydantic.BaseModel):
    """What servers under test ask their user."""

    sure: bool


# -- messages ---------------------------------------------------------------------------------


def request(identity: Any, method: str, params: Mapping[str, Any] | None = None) -> Message:
    message: Message = {"jsonrpc": "2.0", "id": identity, "method": method}
    return message if params is None else message | {"params": dict(params)}


def notification(method: str, params: Mapping[str, Any] | None = None) -> Message:
    message: Message = {"jsonrpc": "2.0", "method": method}
    return message if params is None else message | {"params": dict(params)}


def result(asked: Message, answer: Mapping[str, Any]) -> Message:
    return {"jsonrpc": "2.0", "id": asked["id"], "result": dict(answer)}


def error(asked: Message, code: int, message: str = "no", data: Any = None) -> Message:
    flaw: Message = {"code": code, "message": message}
    if data is not None:
        flaw["data"] = data
    return {"jsonrpc": "2.0", "id": asked["id"], "error": flaw}


def cancelled(identity: Any, reason: str = "no longer wanted") -> Message:
    return notification("notifications/cancelled", {"requestId": identity, "reason": reason})


def terms(revision: str, capabilities: Mapping[str, Any] | None = None, **more: Any) -> Message:
    """The `_meta` of a request in the stateless era."""
    return {
        VERSION: revision,
        CLIENT_INFO: {"name": "script", "version": "1"},
        CAPABILITIES: dict(capabilities or {}),
        **more,
    }


def code_of(answer: Message) -> int:
    code: int = answer["error"]["code"]
    return code


def text_of(answer: Message) -> str:
    text: str = answer["result"]["content"][0]["text"]
    return text


# -- a line -----------------------------------------------------------------------------------


class Line:
    """One end of a byte stream that carries messages, one a line."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._buffer = bytearray()

    async def send(self, *messages: Message | list[Message]) -> None:
        for message in messages:
            await self.send_bytes(json.dumps(message).encode() + b"\n")

    async def send_bytes(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def receive_bytes(self) -> bytes:
        """The next line, with its newline; the rest at the end of the stream."""
        with trio.fail_after(_NEVER):
            while b"\n" not in self._buffer:
                data = await self.stream.receive_some()
                if not data:
                    break
                self._buffer += data
        end = self._buffer.find(b"\n") + 1 or len(self._buffer)
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        return line

    async def receive(self) -> Any:
        """The next message. Raises EOFError."""
        line = await self.receive_bytes()
        if not line:
            raise EOFError
        assert line.endswith(b"\n")
        return json.loads(line)

    async def ask(self, message: Message) -> Message:
        """Send a request and expect its answer next; changes of lists may be told before it."""
        await self.send(message)
        answer: Message = await self.receive()
        while str(answer.get("method", "")).endswith("/list_changed"):
            answer = await self.receive()
        assert answer.get("id") == message["id"], answer
        assert "method" not in answer, answer
        return answer


# -- our server, a scripted client ------------------------------------------------------------


class Script(Line):
    """A client, written line by line, that speaks one revision."""

    def __init__(self, stream: trio.abc.Stream, revision: str, capabilities: Message) -> None:
        super().__init__(stream)
        self.revision = revision
        self.capabilities = capabilities
        self._count = 0

    @property
    def is_stateless(self) -> bool:
        return self.revision == STATELESS

    def message(self, method: str, params: Mapping[str, Any] | None = None, **meta: Any) -> Message:
        """A request of this revision, with an id of its own.

        Args:
            method: The method.
            params: Its params without `_meta`.
            meta: Members of `_meta`; None leaves one out.
        """
        self._count += 1
        whole = (terms(self.revision, self.capabilities) if self.is_stateless else {}) | meta
        whole = {key: value for key, value in whole.items() if value is not None}
        wire = dict(params or {}) | ({"_meta": whole} if whole else {})
        return request(f"script {self._count}", method, wire or None)

    def calling(
        self, tool: str, arguments: Mapping[str, Any] | None = None, **meta: Any
    ) -> Message:
        return self.message(
            "tools/call", {"name": tool, "arguments": dict(arguments or {})}, **meta
        )

    async def do(
        self, method: str, params: Mapping[str, Any] | None = None, **meta: Any
    ) -> Message:
        """Send a request and expect its answer next."""
        return await self.ask(self.message(method, params, **meta))

    async def call(
        self, tool: str, arguments: Mapping[str, Any] | None = None, **meta: Any
    ) -> Message:
        return await self.ask(self.calling(tool, arguments, **meta))

    async def expect_silence(self) -> None:
        """Nothing has been said that was not received: the next answer is the next message."""
        await trio.testing.wait_all_tasks_blocked()
        await self.do("server/discover" if self.is_stateless else "ping")

    async def shake_hands(self) -> Message:
        """Open a session; the answer to `initialize`."""
        params = {
            "protocolVersion": self.revision,
            "capabilities": self.capabilities,
            "clientInfo": {"name": "script", "version": "1"},
        }
        answer = await self.ask(request("initialize", "initialize", params))
        await self.send(notification("notifications/initialized"))
        return answer


@asynccontextmanager
async def talking(
    server: Server[Any],
    revision: str,
    capabilities: Mapping[str, Any] | None = None,
    *,
    opened: bool = True,
) -> AsyncIterator[Script]:
    """A scripted client of a server in this process.

    Args:
        server: The server.
        revision: What the script speaks.
        capabilities: What it declares.
        opened: Whether the handshake is done, where there is one.
    """
    ours, theirs = trio.testing.memory_stream_pair()
    script = Script(ours, revision, dict(capabilities or {}))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        if opened and not script.is_stateless:
            await script.shake_hands()
        yield script
        nursery.cancel_scope.cancel()


# -- our client, a scripted server ------------------------------------------------------------


@attrs.define(eq=False)
class Facing:
    """A client and the line to it, of which the script holds the other end.

    Attributes:
        client: The client.
        line: What it says and hears.
        greeting: What it said while connecting.
    """

    client: Client
    line: Line
    greeting: list[Message]
    nursery: trio.Nursery

    def start(self, function: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Later:
        """Run one of the client's verbs in the background."""
        later = Later()

        async def run() -> None:
            try:
                later.value = await function(*args, **named)
            except Exception as failure:
                later.failure = failure
            later.done.set()

        self.nursery.start_soon(run)
        return later


@attrs.define(eq=False)
class Later:
    """What a background call will give."""

    done: trio.Event = attrs.field(factory=trio.Event)
    value: Any = None
    failure: Exception | None = None

    async def get(self) -> Any:
        await self._wait()
        if self.failure is not None:
            raise self.failure
        return self.value

    async def fails(self, kind: type[Exception]) -> Any:
        """The exception it ended with."""
        await self._wait()
        assert isinstance(self.failure, kind), (self.failure, self.value)
        return self.failure

    async def _wait(self) -> None:
        with trio.fail_after(_NEVER):
            await self.done.wait()


EVERYTHING: Final[Message] = {
    "tools": {},
    "resources": {"subscribe": True},
    "prompts": {},
    "completions": {},
    "logging": {},
}


def discovered(*, versions: tuple[str, ...] = (STATELESS,), **more: Any) -> Message:
    """The result of `server/discover`."""
    return {
        "resultType": "complete",
        "supportedVersions": list(versions),
        "capabilities": EVERYTHING,
        "ttlMs": 0,
        "cacheScope": "private",
    } | more


def initialized(revision: str, **more: Any) -> Message:
    """The result of `initialize`."""
    return {
        "protocolVersion": revision,
        "capabilities": EVERYTHING,
        "serverInfo": {"name": "script", "version": "1"},
    } | more


async def greet(line: Line, revision: str) -> list[Message]:
    """Be found by a client: as a server of that revision, and of no other era."""
    said = []
    while True:
        message = await line.receive()
        said.append(message)
        if message["method"] == "notifications/initialized":
            return said
        if message["method"] == "initialize":
            await line.send(result(message, initialized(revision)))
        elif revision == STATELESS:
            await line.send(result(message, discovered()))
            return said
        else:
            await line.send(error(message, -32601))


@asynccontextmanager
async def facing(
    revision: str, /, *, welcome: Callable[[Line], Awaitable[Any]] | None = None, **options: Any
) -> AsyncIterator[Facing]:
    """A connected client in front of a scripted server.

    Args:
        revision: What the script speaks.
        welcome: How it greets the client; by default as it should.
        options: Of the client.
    """
    ours, theirs = trio.testing.memory_stream_pair()
    line = Line(ours)
    greeting: list[Message] = []
    greeted = trio.Event()

    async def begin() -> None:
        if welcome is None:
            greeting.extend(await greet(line, revision))
        else:
            await welcome(line)
        greeted.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin)
        async with open_stream_client(theirs, **options) as client:
            await greeted.wait()
            yield Facing(client, line, greeting, nursery)
        nursery.cancel_scope.cancel()


async def failing_to_open(welcome: Callable[[Line], Awaitable[Any]], **options: Any) -> Exception:
    """The exception of a client that is welcomed like that."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller looks at it
        async with facing(STATELESS, welcome=welcome, **options):
            pass
    flaw: Any = caught.value
    while isinstance(flaw, BaseExceptionGroup):
        [flaw] = flaw.exceptions
    assert isinstance(flaw, Exception)
    return flaw
