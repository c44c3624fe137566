"""Logging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from trimcp import Context, Server

from .harness import (
    LOG_LEVEL,
    STATELESS,
    Message,
    Script,
    code_of,
    every_handshake,
    every_revision,
    facing,
    notification,
    result,
    talking,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trimcp.types import LoggingLevel

LEVELS: tuple[LoggingLevel, ...] = (
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
)


def chatting() -> Server[Any]:
    server = Server[Any]("chatting")

    @server.tool
    async def chat(ctx: Context) -> str:
        for level in LEVELS:
            await ctx.log(level, {"level": level}, logger="chat")
        return "done"

    return server


async def heard(script: Script, **meta: Any) -> list[str]:
    """The levels of the messages about one call."""
    asked = script.calling("chat", None, **meta)
    await script.send(asked)
    levels: list[str] = []
    while True:
        message = await script.receive()
        if message.get("id") == asked["id"]:
            return levels
        assert message["method"] == "notifications/message"
        params: Message = message["params"]
        assert params["logger"] == "chat"
        assert params["data"] == {"level": params["level"]}
        levels.append(params["level"])


@every_revision
async def test_logging_is_declared(revision: str, autojump_clock: MockClock) -> None:
    """LOG-01: by whoever may send messages."""
    async with talking(chatting(), revision, opened=False) as script:
        answer = await (
            script.do("server/discover") if script.is_stateless else script.shake_hands()
        )
        assert answer["result"]["capabilities"]["logging"] == {}


@every_handshake
async def test_levels_of_a_session(revision: str, autojump_clock: MockClock) -> None:
    """LOG-03: the level that was set, and what is more severe; unknown ones are errors."""
    async with talking(chatting(), revision) as script:
        for rank, level in enumerate(LEVELS):
            assert (await script.do("logging/setLevel", {"level": level}))["result"] == {}
            assert await heard(script) == list(LEVELS[rank:])
        for wrong in ("loud", "", "INFO", 5, None):
            assert code_of(await script.do("logging/setLevel", {"level": wrong})) == -32602
        assert code_of(await script.do("logging/setLevel")) == -32602
        assert await heard(script) == ["emergency"]


async def test_no_level_no_messages(autojump_clock: MockClock) -> None:
    """LOG-02: whatever the handler says, and whatever other requests wanted."""
    async with talking(chatting(), STATELESS) as script:
        assert await heard(script, **{LOG_LEVEL: "debug"}) == list(LEVELS)
        assert await heard(script) == []
    # Not even after a session on the same line set one.
    async with talking(chatting(), "2025-11-25") as script:
        await script.do("logging/setLevel", {"level": "debug"})
        script.revision = STATELESS
        assert await heard(script) == []


@pytest.mark.parametrize("level", LEVELS)
async def test_levels_of_a_request(level: str, autojump_clock: MockClock) -> None:
    """LOG-02: the level of the request, and what is more severe."""
    async with talking(chatting(), STATELESS) as script:
        expected = list(LEVELS[LEVELS.index(level) :])
        assert await heard(script, **{LOG_LEVEL: level}) == expected


@pytest.mark.parametrize("level", ["loud", "", "INFO", 5, None, ["info"]], ids=repr)
async def test_unknown_levels_of_a_request(level: Any, autojump_clock: MockClock) -> None:
    """LOG-03."""
    async with talking(chatting(), STATELESS) as script:
        message = script.calling("chat")
        message["params"]["_meta"][LOG_LEVEL] = level
        assert code_of(await script.ask(message)) == -32602


async def test_messages_before_the_answer(autojump_clock: MockClock) -> None:
    """LOG-05: nothing is said about a request that has been answered."""
    server = chatting()
    contexts: list[Context[Any]] = []

    @server.tool
    async def leave(ctx: Context) -> str:
        contexts.append(ctx)
        return "left"

    async with talking(server, STATELESS) as script:
        await script.call("leave", None, **{LOG_LEVEL: "debug"})
        await contexts[0].error("too late")
        await script.expect_silence()


async def test_levels_of_the_client(autojump_clock: MockClock) -> None:
    """LOG-02, LOG-06: a client that wants to hear says so: once, or with every request."""
    said: list[Any] = []

    async def hear(message: Any) -> None:
        said.append(message.data)

    async with facing(STATELESS, logging=hear, log_level="warning") as to:
        call = to.start(to.client.call_tool, "x")
        asked = await to.line.receive()
        assert asked["params"]["_meta"][LOG_LEVEL] == "warning"
        for data in (1, None, {"a": [1]}):
            params = {"level": "error", "data": data}
            await to.line.send(notification("notifications/message", params))
        await to.line.send(notification("notifications/message", {"level": "loud", "data": 2}))
        await to.line.send(result(asked, {"content": []}))
        await call.get()
        assert said == [1, None, {"a": [1]}]
    async with facing(STATELESS) as to:
        to.start(to.client.call_tool, "x")
        assert LOG_LEVEL not in (await to.line.receive())["params"]["_meta"]
