"""The load of a soak: what clients do to a server, well behaved or not.

Everything is done by workers that each repeat one kind of work. Whatever fails otherwise than it
should is an error of the run.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from trimcp import (
    ProcessDied,
    RequestError,
    RequestTimeout,
    open_client,
    open_stdio_client,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trimcp import Client

REVISIONS: Final = ("2025-11-25", "2026-07-28")

#: Seconds after which one piece of work counts as stuck.
STUCK: Final = 120.0

#: How long every client waits: on a busy machine a process starts slowly.
PATIENT: Final[dict[str, Any]] = {"timeout": STUCK, "probe_timeout": STUCK}

#: Seconds between two pieces of work of one worker; the aim is a long time and not a high rate.
PAUSE: Final = 0.05

#: The same where a piece of work starts a process.
PROCESS_PAUSE: Final = 1.0

#: Errors of a run that are kept as text.
MOST_ERRORS: Final = 20


class Failed(Exception):
    """Something was answered otherwise than it should be."""


def expect(is_right: bool, *seen: object) -> None:
    """Raise `Failed` unless it is right."""
    if not is_right:
        raise Failed(*seen)


@dataclass
class Done:
    """What was done so far.

    Attributes:
        counts: How often each kind of work was done, by door and kind.
        tries: How often it was done or has failed.
        errors: What went wrong; the first of them.
        failed: How often something went wrong.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    failed: int = 0
    _news: trio.Event = field(default_factory=trio.Event)

    async def wait_for(self, kinds: Iterable[tuple[str, str]], least: int) -> None:
        """Wait until each of these kinds was tried so often; once if it starts a process."""
        once = {("stdio", "reconnects"), ("stdio", "raw")}
        while any(self.tries[kind] < (1 if kind in once else least) for kind in kinds):
            await self._news.wait()

    def tell(self, door: str, kind: str, error: str | None = None) -> None:
        """One piece of work has been done, or has failed."""
        self.tries[door, kind] += 1
        if error is None:
            self.counts[door, kind] += 1
        else:
            self.failed += 1
            if len(self.errors) < MOST_ERRORS:
                self.errors.append(f"{door}, {kind}: {error}")
        self._news.set()
        self._news = trio.Event()

    def of(self, door: str) -> int:
        """How many pieces of work were done at a door."""
        return sum(count for (name, _), count in self.counts.items() if name == door)


class Work(Protocol):
    """One kind of work."""

    async def __call__(self, client: Client, number: int, /) -> None: ...


@dataclass
class Load:
    """Repeats work until it is told to stop.

    Attributes:
        done: What was done.
        stopping: Whether no more work is begun.
    """

    done: Done
    stopping: trio.Event = field(default_factory=trio.Event)

    async def repeat(
        self, door: str, kind: str, work: Callable[[int], Awaitable[None]], pause: float = PAUSE
    ) -> None:
        """One worker."""
        for number in itertools.count():
            if self.stopping.is_set():
                return
            try:
                with trio.fail_after(STUCK):
                    await work(number)
            except Exception as error:
                self.done.tell(door, kind, told(error))
            else:
                self.done.tell(door, kind)
            with trio.move_on_after(pause):
                await self.stopping.wait()


def told(error: BaseException) -> str:
    """An error in one line, with those of a group."""
    if isinstance(error, BaseExceptionGroup):
        return " + ".join(told(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"


# -- with trimcp's client -----------------------------------------------------------------------


async def answer(_: Any) -> dict[str, Any]:
    """The user says yes."""
    await trio.lowlevel.checkpoint()
    return {"sure": True}


async def calls(client: Client, number: int) -> None:
    """Calls, of which one runs in a worker thread and one says how far it is."""
    result = await client.call_tool("add", {"a": number, "b": 1})
    expect(result.text == str(number + 1), result)
    result = await client.call_tool("add_in_thread", {"a": number, "b": 2})
    expect(result.text == str(number + 2), result)
    steps: list[float] = []
    await client.call_tool("steps", progress=lambda done, _total, _text: steps.append(done))
    expect(steps == sorted(steps) and steps[-1:] == [5], steps)


async def streams(client: Client, number: int) -> None:
    """A stream, which is left early every other time."""
    async with client.stream_tool("count", {"to": 10}) as chunks:
        if number % 2:
            expect(await anext(chunks) == 0)
            return
        seen = [chunk async for chunk in chunks]
        expect(seen == list(range(10)), seen)


async def listeners(client: Client, number: int) -> None:
    """A subscription that hears of a change, or is left without one."""
    async with client.listen(resources=["soak://data"]) as changes:
        if number % 4:
            await client.call_tool("touch")
            await anext(changes)
    await client.read_resource("soak://data")


async def questions(client: Client, number: int) -> None:
    """A question that is answered, or given up."""
    if number % 4 == 3:
        with trio.move_on_after(0.002):
            await client.call_tool("ask")
        return
    result = await client.call_tool("ask")
    expect(result.text == "True", result)


async def aborts(client: Client, number: int) -> None:
    """A call that is cancelled, or has a timeout."""
    if number % 2:
        with trio.move_on_after(0.01):
            await client.call_tool("hang")
        return
    try:
        await client.call_tool("hang", timeout=0.01)
    except RequestTimeout:
        return
    raise Failed("a call without an end was answered")


async def failures(client: Client, number: int) -> None:
    """A tool that fails, wrong arguments, an unknown tool, an unknown method."""
    kind = number % 5
    if kind == 0:
        result = await client.call_tool("fail", {"how": "tool"})
        expect(result.is_error and result.text == "on purpose", result)
    elif kind == 1:
        result = await client.call_tool("fail", {"how": "unexpected"})
        expect(result.is_error and "on purpose" not in result.text, result)
    elif kind == 2:
        result = await client.call_tool("add", {"a": "no number"})
        expect(result.is_error, result)
    else:
        name = "no-such-tool" if kind == 3 else "fail"
        try:
            await client.call_tool(name, {"how": "request"})
        except RequestError:
            return
        raise Failed(f"{name} was answered with a result")


WORK: Final[dict[str, Work]] = {
    work.__name__: work for work in (calls, streams, listeners, questions, aborts, failures)
}


async def work_with(load: Load, door: str, client: Client) -> None:
    """All kinds of work of one client at the same time, until the load stops."""

    async def worker(kind: str, work: Work) -> None:
        await load.repeat(door, kind, lambda number: work(client, number))

    async with trio.open_nursery() as nursery:
        for kind, work in WORK.items():
            nursery.start_soon(worker, kind, work)


async def reconnect(urls: list[str], number: int) -> None:
    """A client that comes, works a little, and goes; now and then in the middle of a call."""
    revision = REVISIONS[number % 2]
    url = urls[number // 2 % len(urls)]
    if url.endswith("/sse"):
        revision = REVISIONS[0]
    async with open_client(url, revision=revision, elicitation=answer, **PATIENT) as client:
        await calls(client, number)
        await questions(client, 0)
        if number % 3 == 0:
            with trio.move_on_after(0.01):
                await client.call_tool("hang")


async def work_at(load: Load, door: str, urls: list[str]) -> None:
    """Clients of both eras at a server with a port, which stay; and one that comes and goes."""

    async def stay(revision: str) -> None:
        async with open_client(urls[0], revision=revision, elicitation=answer, **PATIENT) as client:
            await work_with(load, door, client)

    async with trio.open_nursery() as nursery:
        for revision in REVISIONS:
            nursery.start_soon(stay, revision)
        nursery.start_soon(load.repeat, door, "reconnects", lambda number: reconnect(urls, number))


# -- processes that come and go -----------------------------------------------------------------


async def process_that_ends(command: list[str], number: int) -> None:
    """A server process that is used, and left or killed."""
    async with open_stdio_client(
        command,
        revision=REVISIONS[number % 2],
        elicitation=answer,
        on_stderr=lambda _: None,
        **PATIENT,
    ) as client:
        await calls(client, number)
        await questions(client, 0)
        if number % 2:
            return
        pid = (await client.call_tool("holds", {"collect": False})).structured_content["pid"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_lose, client)
            await trio.sleep(0.01)
            os.kill(pid, signal.SIGKILL)


async def _lose(client: Client) -> None:
    try:
        await client.call_tool("hang")
    except ProcessDied as error:
        expect(error.returncode == -signal.SIGKILL, error)
        return
    raise Failed("a call to a killed process was answered")


async def raw_process(command: list[str], number: int) -> None:
    """Lines without a client: good ones, broken ones, and the end of input."""
    hello = [message(each, "tools/call", {"name": "add", "arguments": SUM}) for each in range(3)]
    lines = [*hello, b"{broken", message(9, "no/such")]
    # One that has no end is cancelled when the input has ended, after the grace for it.
    process = await trio.run_process(
        command, stdin=b"\n".join(lines) + b"\n", capture_stdout=True, capture_stderr=True
    )
    answers = [json.loads(line) for line in process.stdout.splitlines()]
    codes = sorted(each["error"]["code"] for each in answers if "error" in each)
    expect(len(answers) == len(lines) and codes == [-32700, -32601], number, process.stdout)


async def work_over_pipes(load: Load, door: str, client: Client, command: list[str]) -> None:
    """One client that stays, and processes that come and go."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work_with, load, door, client)
        for kind, work in (("reconnects", process_that_ends), ("raw", raw_process)):
            nursery.start_soon(
                load.repeat, door, kind, lambda number, work=work: work(command, number),
                PROCESS_PAUSE,
            )  # fmt: skip


# -- bytes --------------------------------------------------------------------------------------

META: Final = {
    "io.modelcontextprotocol/protocolVersion": REVISIONS[1],
    "io.modelcontextprotocol/clientInfo": {"name": "soak", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
SUM: Final = {"a": 2, "b": 3}
ADD: Final = {"name": "add", "arguments": SUM}
HANG: Final = {"name": "hang", "arguments": {}}
LISTEN: Final = {"notifications": {"toolsListChanged": True}}


def message(id: int, method: str, params: dict[str, Any] | None = None) -> bytes:
    """A request of the stateless era."""
    wire = {**(params or {}), "_meta": META}
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": wire}).encode()


def post(body: bytes, method: str = "", name: str = "", **more: str) -> bytes:
    """A POST of a message, with the headers that repeat what it says."""
    headers = {
        "host": "localhost",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": REVISIONS[1],
        "mcp-method": method,
        "mcp-name": name,
        **{key.replace("_", "-"): value for key, value in more.items()},
        "content-length": str(len(body)),
    }
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items() if value)
    return f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode() + body


def call(params: dict[str, Any]) -> bytes:
    """A POST of a call."""
    return post(message(1, "tools/call", params), "tools/call", params["name"])


@dataclass(frozen=True)
class Exchange:
    """Bytes that are sent, and what must come back before the connection is dropped.

    Attributes:
        pieces: What is sent, one piece after another.
        wanted: What comes back after each of them; nothing is waited for where it is empty.
    """

    pieces: tuple[bytes, ...]
    wanted: tuple[bytes, ...]


HTTP_EXCHANGES: Final = (
    Exchange((b"\x16\x03\x01 no HTTP\r\n\r\n",), (b"400",)),
    Exchange((call(ADD)[:90],), (b"",)),
    Exchange((call(ADD)[:-20],), (b"",)),
    Exchange((call(HANG),), (b"",)),
    Exchange((post(message(1, "subscriptions/listen", LISTEN), "subscriptions/listen"),),
             (b"acknowledged",)),
    Exchange((post(b"{broken"),), (b"-32700",)),
    Exchange((post(b"{}", mcp_session_id="unknown", mcp_protocol_version=REVISIONS[0]),),
             (b"HTTP/1.1 4",)),
    Exchange((call(ADD), call(ADD)), (b'"structuredContent":5', b'"structuredContent":5')),
)  # fmt: skip

UPGRADE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: mcp\r\n\r\n"
)


def frame(payload: bytes) -> bytes:
    """A text frame; the mask of a client may be zero."""
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


ADD_FRAME: Final = frame(message(1, "tools/call", ADD).ljust(200))
HANG_FRAME: Final = frame(message(1, "tools/call", HANG).ljust(200))

WEBSOCKET_EXCHANGES: Final = (
    Exchange((b"no HTTP\r\n\r\n",), (b"",)),
    Exchange((UPGRADE[:60],), (b"",)),
    Exchange((UPGRADE, ADD_FRAME), (b"101", b'"structuredContent":5')),
    Exchange((UPGRADE, HANG_FRAME), (b"101", b"")),
    Exchange((UPGRADE, frame(b"{broken".ljust(200))), (b"101", b"-32700")),
    Exchange((UPGRADE, ADD_FRAME[:50]), (b"101", b"")),
    Exchange((UPGRADE, b"\xff\xff garbage"), (b"101", b"\x88")),
)


async def raw(port: int, exchanges: tuple[Exchange, ...], number: int) -> None:
    """One exchange over a connection of its own, which is then dropped."""
    exchange = exchanges[number % len(exchanges)]
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        for piece, wanted in zip(exchange.pieces, exchange.wanted, strict=True):
            await stream.send_all(piece)
            seen = b""
            while wanted not in seen:
                data = await stream.receive_some()
                expect(data != b"", piece, seen)
                seen += data
        if not exchange.wanted[-1]:
            await trio.sleep(0.01)
    finally:
        await trio.aclose_forcefully(stream)
