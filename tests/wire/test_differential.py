"""The same session with our server and with that of the official Python SDK: they answer the same.

Both run in this process, with the same tools, resources and prompts, and get the same lines. What
is compared is what a program could depend on: see `normal`. Texts that are written for people (of
errors, and of results with `isError`) are left out. Where the two differ, `DIFFERENCES` says why.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError as TheirToolError
from mcp.server.stdio import stdio_server
from mcp_types import Completion

from tests.spec.harness import HANDSHAKE, REVISIONS, STATELESS
from tests.strategies import examples
from trimcp import Server, ToolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

Message = dict[str, Any]
Step = tuple[str, Message | None]

CLIENT: Final[Message] = {"name": "differing", "version": "1"}

#: What each message of the stateless era has.
META: Final[Message] = {
    "io.modelcontextprotocol/protocolVersion": STATELESS,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}

# -- the two servers --------------------------------------------------------------------------


def our_server() -> Server[None]:
    server: Server[None] = Server("same", version="1")

    @server.tool
    async def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    @server.tool
    async def fail(why: str) -> str:
        """Fail."""
        raise ToolError(why)

    @server.tool
    async def forever() -> str:
        """Never end."""
        await trio.sleep_forever()
        return ""

    @server.resource("memo://one")
    async def one() -> str:
        """The first."""
        return "first"

    @server.resource("memo://of/{name}")
    async def of(name: str) -> str:
        """One of many."""
        return f"of {name}"

    @server.prompt
    async def greet(who: str) -> str:
        """Greet."""
        return f"Hello, {who}"

    @server.completion("who", prompt="greet")
    async def names(value: str) -> list[str]:
        return [value + "a", value + "b"]

    return server


def their_server() -> MCPServer:
    server = MCPServer("same", version="1")

    @server.tool()
    async def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    @server.tool()
    async def fail(why: str) -> str:
        """Fail."""
        raise TheirToolError(why)

    @server.tool()
    async def forever() -> str:
        """Never end."""
        await trio.sleep_forever()
        return ""

    @server.resource("memo://one")
    async def one() -> str:
        """The first."""
        return "first"

    @server.resource("memo://of/{name}")
    async def of(name: str) -> str:
        """One of many."""
        return f"of {name}"

    @server.prompt()
    async def greet(who: str) -> str:
        """Greet."""
        return f"Hello, {who}"

    @server.completion()
    async def complete(ref: Any, argument: Any, context: Any) -> Completion:
        return Completion(values=[argument.value + "a", argument.value + "b"])

    return server


# -- talking to either ------------------------------------------------------------------------


@attrs.define(eq=False)
class Peer:
    """One server, at the other end of a line.

    Attributes:
        send: Sends a line.
        revision: In which revision it is talked to.
        heard: What it has said.
        grown: Set when it has said something more.
    """

    send: Callable[[str], Awaitable[None]]
    revision: str = STATELESS
    heard: list[Message] = attrs.field(factory=list)
    grown: trio.Event = attrs.field(factory=trio.Event)

    def hear(self, message: Message) -> None:
        """Keep what was said."""
        self.heard.append(message)
        self.grown.set()

    def answers(self, identity: object) -> list[Message]:
        """The answers to a request."""
        return [each for each in self.heard if each.get("id") == identity]

    async def tell(self, step: Step, identity: object = None) -> None:
        """Send a message, and wait until nothing happens any more."""
        method, params = step
        message: Message = {"jsonrpc": "2.0", "method": method}
        if identity is not None:
            message["id"] = identity
        if self.revision == STATELESS:
            message["params"] = {**(params or {}), "_meta": META}
        elif params is not None:
            message["params"] = params
        await self.send(json.dumps(message))
        await trio.testing.wait_all_tasks_blocked()

    async def ask(self, step: Step, identity: object) -> Message:
        """Send a request; its answer, for which the SDK may use a thread."""
        await self.tell(step, identity)
        while not self.answers(identity):
            self.grown = trio.Event()
            await self.grown.wait()
        [answer] = self.answers(identity)
        return answer


@asynccontextmanager
async def ours() -> AsyncIterator[Peer]:
    """Our server over a stream."""
    near, far = trio.testing.memory_stream_pair()

    async def send(line: str) -> None:
        await near.send_all(line.encode() + b"\n")

    peer = Peer(send)

    async def read() -> None:
        rest = b""
        while data := await near.receive_some():
            *lines, rest = (rest + bytes(data)).split(b"\n")
            for line in lines:
                peer.hear(json.loads(line))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await nursery.start(our_server().serve_stream, far)
        yield peer
        nursery.cancel_scope.cancel()


class _Input:
    """What the SDK takes for standard input."""

    def __init__(self, lines: trio.MemoryReceiveChannel[str]) -> None:
        self._lines = lines

    def __aiter__(self) -> _Input:
        return self

    async def __anext__(self) -> str:
        return await self._lines.receive()


class _Output:
    """What the SDK takes for standard output."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    async def write(self, line: str) -> None:
        await trio.lowlevel.checkpoint()
        self._peer.hear(json.loads(line))

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def theirs() -> AsyncIterator[Peer]:
    """The SDK's server, on its standard streams, which are in memory here."""
    send, lines = trio.open_memory_channel[str](100)
    peer = Peer(send.send)
    server = their_server()._lowlevel_server
    given: Any = (_Input(lines), _Output(peer))

    async def serve() -> None:
        async with stdio_server(*given) as (read, write):
            await server.run(read, write, server.create_initialization_options())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield peer
        nursery.cancel_scope.cancel()


# -- what is asked ----------------------------------------------------------------------------


def calls(tool: str, *arguments: Any) -> list[Step]:
    return [("tools/call", {"name": tool, "arguments": each}) for each in arguments]


def completes(ref: Message, name: str = "who") -> Step:
    return "completion/complete", {"ref": ref, "argument": {"name": name, "value": "x"}}


STEPS: Final[list[Step]] = [
    ("ping", None),
    ("ping", {}),
    ("tools/list", None),
    ("tools/list", {}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("prompts/list", {}),
    *calls("add", {"a": 1, "b": 2}, {"a": 1}, {"a": "x"}, {}, {"b": 2}, {"a": None}, {"a": 1.5}),
    *calls("fail", {"why": "no"}, {}),
    *calls("no such tool", {}),
    ("tools/call", {"name": "add"}),
    ("tools/call", {"arguments": {}}),
    ("tools/call", {"name": 5}),
    ("tools/call", {"name": "add", "arguments": []}),
    ("tools/call", None),
    ("resources/read", {"uri": "memo://one"}),
    ("resources/read", {"uri": "memo://of/x"}),
    ("resources/read", {"uri": "memo://nowhere/at/all"}),
    ("resources/read", {}),
    ("prompts/get", {"name": "greet", "arguments": {"who": "you"}}),
    ("prompts/get", {"name": "greet"}),
    ("prompts/get", {"name": "greet", "arguments": {"who": 5}}),
    ("prompts/get", {"name": "no such prompt"}),
    ("prompts/get", {}),
    completes({"type": "ref/prompt", "name": "greet"}),
    completes({"type": "ref/nothing", "name": "greet"}),
    ("completion/complete", {}),
    ("no/such/method", None),
    ("no/such/method", {"a": [1]}),
    ("initialized", {}),
]

#: Which a client asks for and then gives up.
ENDLESS: Final[Step] = ("tools/call", {"name": "forever", "arguments": {}})

NOTIFICATIONS: Final[list[Step]] = [
    ("notifications/cancelled", {"requestId": "no such request"}),
    ("notifications/cancelled", {}),
    ("notifications/progress", {"progressToken": "x", "progress": 1}),
    ("notifications/roots/list_changed", None),
    ("notifications/no/such", {"a": 1}),
]

#: Which the stateless era has alone.
DISCOVER: Final[Step] = ("server/discover", {})

EVERYTHING: Final = [*STEPS, *NOTIFICATIONS, ENDLESS]

# -- what is compared -------------------------------------------------------------------------


def normal(step: Step, answer: Message | None) -> Any:
    """What a program could depend on in an answer.

    Of an error the code; of a tool's result whether it is an error, else its content; of a list the
    names, and of tools the arguments with their types; of everything else what was asked for.
    """
    if answer is None:
        return "no answer"
    if "error" in answer:
        return {"error": answer["error"]["code"]}
    result = answer["result"]
    method, _ = step
    if method == "tools/call":
        if result.get("isError"):
            return "isError"
        return [each["text"] for each in result["content"]], result.get("structuredContent")
    if method == "tools/list":
        return sorted((each["name"], arguments(each["inputSchema"])) for each in result["tools"])
    if method.endswith("/list"):
        [items] = [each for each in result.values() if isinstance(each, list)]
        keys = ("name", "uri", "uriTemplate", "description", "arguments")
        return sorted(json.dumps([each.get(key) for key in keys]) for each in items)
    if method == "server/discover":
        return result["supportedVersions"], sorted(result["capabilities"])
    if method == "resources/read":
        return [(each["uri"], each["text"]) for each in result["contents"]]
    if method == "prompts/get":
        return [(each["role"], each["content"]["text"]) for each in result["messages"]]
    if method == "completion/complete":
        return result["completion"]["values"]
    return result


def arguments(schema: Message) -> str:
    """The arguments of a tool, with their types and defaults, and which are required."""
    kinds = {
        name: (each.get("type"), each.get("default"))
        for name, each in schema.get("properties", {}).items()
    }
    return json.dumps([kinds, sorted(schema.get("required", ()))], sort_keys=True)


@attrs.frozen
class Difference:
    """Where the two are known to differ.

    Attributes:
        step: What is asked.
        mine: What we answer, as `normal` has it.
        their: What the SDK answers.
        reason: What the specification says.
        revisions: In which revisions.
    """

    step: Step
    mine: Any
    their: Any
    reason: str
    revisions: tuple[str, ...] = HANDSHAKE


_UNKNOWN_TOOL: Final[Step] = ("tools/call", {"name": "no such tool", "arguments": {}})
_UNKNOWN_PROMPT: Final[Step] = ("prompts/get", {"name": "no such prompt"})
_MISSING_ARGUMENT: Final[Step] = ("prompts/get", {"name": "greet"})

_PROMPTS: Final = "Prompts, Error Handling: an unknown prompt, and a missing argument, are -32602"

_STRUCTURED: Final = "structured content came with 2025-06-18: older revisions have no such member"

DIFFERENCES: Final = [
    Difference(
        _UNKNOWN_TOOL,
        {"error": -32602},
        "isError",
        "Tools, Error Handling: an unknown tool is a protocol error, -32602",
        REVISIONS,
    ),
    Difference(
        ("resources/read", {"uri": "memo://nowhere/at/all"}),
        {"error": -32002},
        {"error": -32602},
        "Resources, Error Handling: not found is -32002; -32602 came with 2026-07-28",
    ),
    *(
        Difference(step, {"error": -32602}, {"error": code}, _PROMPTS, revisions)
        for step in (_UNKNOWN_PROMPT, _MISSING_ARGUMENT)
        for code, revisions in [(0, HANDSHAKE), (-32603, (STATELESS,))]
    ),
    *(
        Difference(
            ("tools/call", {"name": "add", "arguments": arguments}),
            ([text], None),
            ([text], {"result": int(text)}),
            _STRUCTURED,
            HANDSHAKE[:2],
        )
        for arguments, text in [({"a": 1, "b": 2}, "3"), ({"a": 1}, "2")]
    ),
    *(
        Difference(
            ("tools/call", {"name": "add", "arguments": arguments}),
            ([text], int(text)),
            ([text], {"result": int(text)}),
            "Tools, Structured Content: any JSON value; each is what its own output schema says",
            (STATELESS,),
        )
        for arguments, text in [({"a": 1, "b": 2}, "3"), ({"a": 1}, "2")]
    ),
    Difference(
        DISCOVER,
        ([STATELESS], ["completions", "logging", "prompts", "resources", "tools"]),
        ([STATELESS], ["completions", "prompts", "resources", "tools"]),
        "Logging: who sends log messages says so; our handlers always can",
        (STATELESS,),
    ),
]


def check_same(step: Step, revision: str, we: Message | None, they: Message | None) -> None:
    mine, their = normal(step, we), normal(step, they)
    for known in DIFFERENCES:
        if known.step == step and revision in known.revisions:
            # An SDK that has mended it is told from one that has broken it.
            assert (mine, their) == (known.mine, known.their), known.reason
            return
    assert mine == their, step


async def shake_hands(peer: Peer) -> None:
    """Begin a session, where there are sessions."""
    if peer.revision == STATELESS:
        return
    params = {"protocolVersion": peer.revision, "capabilities": {}, "clientInfo": CLIENT}
    answer = await peer.ask(("initialize", params), "opening")
    assert answer["result"]["protocolVersion"] == peer.revision
    await peer.tell(("notifications/initialized", None))


async def take(peer: Peer, step: Step, number: int) -> Message | None:
    """Take one step; the answer, where there is one."""
    before = len(peer.heard)
    if step in NOTIFICATIONS:
        await peer.tell(step)
    elif step != ENDLESS:
        return await peer.ask(step, number)
    else:
        await peer.tell(step, number)
        await peer.tell(("notifications/cancelled", {"requestId": number}))
    assert len(peer.heard) == before, "nothing is answered"
    return None


async def compare(revision: str, steps: list[Step]) -> None:
    async with ours() as we, theirs() as they:
        we.revision = they.revision = revision
        await shake_hands(we)
        await shake_hands(they)
        for number, step in enumerate(steps):
            mine, their = await take(we, step, number), await take(they, step, number)
            check_same(step, revision, mine, their)
        for number in range(len(steps)):
            assert len(we.answers(number)) <= 1, "one answer, never two"
        last: Step = ("tools/list", {})
        assert normal(last, await we.ask(last, "last")) == normal(
            last, await they.ask(last, "last")
        )


every_revision = pytest.mark.parametrize("revision", REVISIONS)


@every_revision
@pytest.mark.parametrize("step", EVERYTHING, ids=lambda step: json.dumps(step))
def test_one_step(step: Step, revision: str) -> None:
    trio.run(compare, revision, [step], clock=trio.testing.MockClock(autojump_threshold=0))


def test_discovering() -> None:
    trio.run(compare, STATELESS, [DISCOVER], clock=trio.testing.MockClock(autojump_threshold=0))


@every_revision
@examples(10)
@given(steps=st.lists(st.sampled_from(EVERYTHING), max_size=12))
def test_a_session(revision: str, steps: list[Step]) -> None:
    """The order of what was asked before changes nothing."""
    trio.run(compare, revision, steps, clock=trio.testing.MockClock(autojump_threshold=0))
