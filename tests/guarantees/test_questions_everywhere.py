"""One handler asks twice in a loop, beside another: the same over every door, in both eras.

In the stateless era also with the server gone between the rounds, whatever it knew lost with it,
and its keys rotated.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import open_client, open_stdio_client, open_tcp_client, open_websocket_client

from .asking import Asked, Served, accept, asked, asking
from .harness import ERAS, HANDSHAKE, ROOT, STATELESS, Dialect, Message, command, started, text_of
from .programs.asking import make_server

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from trimcp.types import ElicitRequestFormParams

DOORS = ["memory", "stdio", "tcp", "websocket"]
OLD, NEW = "an old key, long enough", "a new key, long enough"

#: What each server knows: the second seals anew and still opens the old, the third only the new.
ROTATED = [[OLD], [NEW, OLD], [NEW]]


class Servers:
    """A server that is killed and started anew when somebody wants it to be."""

    def __init__(self, door: str, tmp_path: Path, dialect: Dialect) -> None:
        self._door, self._tmp_path, self._dialect = door, tmp_path, dialect
        self._stack = AsyncExitStack()
        self._count = 0

    async def next(self) -> Served:
        await self.close()
        self._tmp_path.joinpath("socket").unlink(missing_ok=True)
        keys = ROTATED[self._count]
        self._count += 1
        return await self._stack.enter_async_context(
            asking(self._door, self._tmp_path, dialect=self._dialect, keys=keys)
        )

    async def close(self) -> None:
        await self._stack.aclose()


async def by_requests(servers: Servers) -> dict[str, Message]:
    """Handshake era: the server asks, the client answers, the newest question first."""
    caller = (await servers.next()).caller
    wire = caller.wire
    calls = {(await caller.start("ask_twice", label=label))[0]: label for label in ("a", "b")}
    for number in range(2):
        questions = [await wire.receive(), await wire.receive()]
        texts = {each["params"]["message"] for each in questions}
        assert texts == {f"a {number}?", f"b {number}?"}
        for each in reversed(questions):
            answer = accept(each["params"]["message"].upper())
            await wire.send({"jsonrpc": "2.0", "id": each["id"], "result": answer})
    answers = await wire.answers(*calls)
    return {calls[identity]: answer for identity, answer in answers.items()}


async def by_rounds(servers: Servers, *, restarts: bool) -> dict[str, Message]:
    """Stateless era: the questions come as results, their answers with the next request."""
    caller = (await servers.next()).caller
    calls = dict([await caller.start("ask_twice", label=label) for label in ("a", "b")])
    answers = await caller.wire.answers(*calls)
    waiting = [asked(params, answers[identity]) for identity, params in calls.items()]
    done: dict[str, Message] = {}
    for number in range(2):
        assert {text for each in waiting for text in each.questions.values()} == {
            f"a {number}?",
            f"b {number}?",
        }
        if restarts:
            caller = (await servers.next()).caller
        following: list[Asked] = []
        # Both handlers go on at once, the other one first.
        retries = {}
        for each in reversed(waiting):
            given = {key: accept(text.upper()) for key, text in each.questions.items()}
            message = caller.request(
                each.params | {"requestState": each.state, "inputResponses": given}
            )
            retries[message["id"]] = each.params
            await caller.wire.send(message)
        for identity, answer in (await caller.wire.answers(*retries)).items():
            params = retries[identity]
            if answer["result"]["resultType"] == "complete":
                done[params["arguments"]["label"]] = answer
            else:
                following.append(asked(params, answer))
        waiting = following
    assert waiting == []
    return done


@pytest.mark.parametrize("way", ["handshake", "stateless", "restarted"])
@pytest.mark.parametrize("door", DOORS)
async def test_two_questions_in_a_loop(door: str, way: str, tmp_path: Path) -> None:
    dialect = HANDSHAKE if way == "handshake" else STATELESS
    servers = Servers(door, tmp_path, dialect)
    try:
        if way == "handshake":
            done = await by_requests(servers)
        else:
            done = await by_rounds(servers, restarts=way == "restarted")
    finally:
        await servers.close()
    assert {label: text_of(answer) for label, answer in done.items()} == {
        "a": "A 0? A 1?",
        "b": "B 0? B 1?",
    }


@pytest.mark.parametrize("dialect", ERAS, ids=["handshake", "stateless"])
@pytest.mark.parametrize("door", DOORS)
async def test_with_our_client(door: str, dialect: Dialect) -> None:
    """The same, where the client's callback is all that its author writes."""

    async def fill_in(form: ElicitRequestFormParams) -> dict[str, Any]:
        return {"text": form.message.upper()}

    options: dict[str, Any] = {"elicitation": fill_in, "revision": dialect.revision}
    async with AsyncExitStack() as stack:
        if door == "memory":
            opening = open_client(make_server([]), **options)
        elif door == "stdio":
            opening = open_stdio_client(command("asking", "stdio"), cwd=ROOT, **options)
        else:
            program = await stack.enter_async_context(started(command("asking", door)))
            port = await program.port()
            if door == "tcp":
                opening = open_tcp_client("127.0.0.1", port, **options)
            else:
                opening = open_websocket_client(f"ws://127.0.0.1:{port}/ws", **options)
        client = await stack.enter_async_context(opening)
        texts: dict[str, str] = {}

        async def call(label: str) -> None:
            texts[label] = (await client.call_tool("ask_twice", {"label": label})).text

        async with trio.open_nursery() as nursery:
            for label in ("a", "b"):
                nursery.start_soon(call, label)
        assert texts == {"a": "A 0? A 1?", "b": "B 0? B 1?"}
