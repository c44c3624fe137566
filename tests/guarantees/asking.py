"""A client of `programs/asking.py`, written by hand: raw lines in either era."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio
import trio.testing

from .harness import (
    PATIENCE,
    STATELESS,
    Dialect,
    Message,
    Program,
    Wire,
    command,
    handshake,
    opened,
    started,
)
from .programs.asking import make_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ELICITATION: Message = {"elicitation": {}}
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
INVALID_PARAMS = -32602


@attrs.define
class Asked:
    """A call that waits for answers.

    Attributes:
        params: Of the call, as they were sent.
        questions: The text of each question, by what its answer goes under.
        state: What goes back with the answers (stateless era).
    """

    params: Message
    questions: dict[Any, str]
    state: str = ""


def accept(text: str) -> Message:
    """The answer of a user who fills in the form."""
    return {"action": "accept", "content": {"text": text}}


class Caller:
    """Calls tools and answers what they ask, over one connection."""

    def __init__(self, wire: Wire, dialect: Dialect) -> None:
        self.wire = wire
        self.dialect = dialect
        self._count = 0

    async def open(self) -> None:
        """Shake hands, where that is the way."""
        if not self.dialect.is_stateless:
            first, second = handshake(self.dialect.revision)
            first["params"]["capabilities"] = ELICITATION
            await self.wire.send(first, second)
            await self.wire.answer("init")

    def request(self, params: Message) -> Message:
        """`tools/call` with a new id."""
        self._count += 1
        meta = {CAPABILITIES: ELICITATION} if self.dialect.is_stateless else {}
        wire = params | ({"_meta": meta} if meta else {})
        return self.dialect.request(f"call {self._count}", "tools/call", wire)

    async def start(self, tool: str, **arguments: Any) -> tuple[str, Message]:
        """Send a call: its id and params."""
        params = {"name": tool, "arguments": arguments}
        message = self.request(params)
        await self.wire.send(message)
        return message["id"], params

    async def call(self, tool: str, **arguments: Any) -> Message:
        """The answer to a call that asks nothing."""
        identity, _ = await self.start(tool, **arguments)
        return await self.wire.answer(identity)

    async def ask(self, tool: str, **arguments: Any) -> Asked:
        """Call a tool, which asks (stateless era)."""
        _, params = await self.start(tool, **arguments)
        return asked(params, await self.wire.receive())

    async def retry(self, each: Asked, answers: Message, **params: Any) -> Message:
        """Send the call again, with answers; what comes back."""
        again = {"requestState": each.state, "inputResponses": answers}
        message = self.request(each.params | again | params)
        await self.wire.send(message)
        return await self.wire.answer(message["id"])

    async def refused(self, each: Asked, **params: Any) -> str:
        """Send the call again; the text of the error that says that the state will not do."""
        answers = {key: accept("late") for key in each.questions}
        answer = await self.retry(each, answers, **params)
        assert answer["error"]["code"] == INVALID_PARAMS, answer
        text: str = answer["error"]["message"]
        return text

    async def parked(self) -> int:
        """How many handlers wait, as the server counts them."""
        answer = await self.call("holds")
        found: int = answer["result"]["structuredContent"]["parked"]
        return found


def asked(params: Message, answer: Message) -> Asked:
    """What an answer asks."""
    result = answer["result"]
    assert result["resultType"] == "input_required", answer
    questions = {
        key: question["params"]["message"] for key, question in result["inputRequests"].items()
    }
    return Asked(params, questions, result["requestState"])


@attrs.frozen
class Served:
    """A connection to a running server.

    Attributes:
        caller: Speaks to it.
        program: The process, where there is one.
    """

    caller: Caller
    program: Program | None


@asynccontextmanager
async def asking(
    door: str,
    tmp_path: Path,
    *,
    dialect: Dialect = STATELESS,
    keys: list[str] | None = None,
    **options: Any,
) -> AsyncIterator[Served]:
    """The server behind a door, in a process of its own unless it is `memory`.

    It is killed at the end, without a chance to say or keep anything.
    """
    if door == "memory":
        server = make_server([key.encode() for key in keys or ()], **options)
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_stream, theirs)
            caller = Caller(Wire(ours, ours), dialect)
            await caller.open()
            yield Served(caller, None)
            nursery.cancel_scope.cancel()
        return
    path = tmp_path / "socket"
    argv = command("asking", door, "--path", path)
    for name, value in options.items():
        argv += [f"--{name}", str(value)]
    for key in keys or ():
        argv += ["--key", key]
    async with started(argv) as program, opened(program, door, path) as wire:
        caller = Caller(wire, dialect)
        with trio.fail_after(PATIENCE):
            await caller.open()
        yield Served(caller, program)
