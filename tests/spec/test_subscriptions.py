"""Who is told of changes: lists and resources, in both eras."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import RequestError, ResourceUpdated, Server

from .harness import (
    STATELESS,
    Facing,
    Line,
    Message,
    Script,
    cancelled,
    code_of,
    error,
    every_handshake,
    every_revision,
    facing,
    notification,
    result,
    talking,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
UPDATED = "notifications/resources/updated"
KINDS = ("tools", "prompts", "resources")


def example() -> Server[Any]:
    server = Server[Any]("example")

    @server.tool
    async def tool() -> str:
        return "done"

    @server.prompt
    async def prompt() -> str:
        return "Hello"

    @server.resource("note://one")
    async def one() -> str:
        return "one"

    @server.resource("note://two")
    async def two() -> str:
        return "two"

    return server


async def change_everything(server: Server[Any]) -> None:
    await server.notify_tools_changed()
    await server.notify_prompts_changed()
    await server.notify_resources_changed()
    await server.notify_resource_updated("note://one")
    await server.notify_resource_updated("note://two")
    await trio.testing.wait_all_tasks_blocked()


async def listening(script: Script, **wanted: Any) -> tuple[Any, Message]:
    """Open a subscription: its id, and the first message."""
    asked = script.message("subscriptions/listen", {"notifications": wanted})
    await script.send(asked)
    return asked["id"], await script.receive()


def listed(kind: str) -> str:
    return f"notifications/{kind}/list_changed"


# -- at the server, stateless era ---------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_one_list(kind: str, autojump_clock: MockClock) -> None:
    """SUB-01, SUB-04, SUB-09: of everything that changes, what was asked for and no more."""
    server = example()
    async with talking(server, STATELESS) as script:
        identity, first = await listening(script, **{f"{kind}ListChanged": True})
        assert first["params"]["notifications"] == {f"{kind}ListChanged": True}
        await change_everything(server)
        told = await script.receive()
        assert told["method"] == listed(kind)
        assert told["params"]["_meta"] == {SUBSCRIPTION: identity}
        await script.expect_silence()


async def test_some_resources(autojump_clock: MockClock) -> None:
    """SUB-01, SUB-04: a resource that was not named is not told of; nor what is false."""
    server = example()
    async with talking(server, STATELESS) as script:
        identity, _ = await listening(
            script, resourceSubscriptions=["note://two"], toolsListChanged=False
        )
        await change_everything(server)
        told = await script.receive()
        assert told["method"] == UPDATED
        assert told["params"] == {"uri": "note://two", "_meta": {SUBSCRIPTION: identity}}
        await script.expect_silence()


async def test_nothing_at_all(autojump_clock: MockClock) -> None:
    """SUB-01: who did not subscribe, or subscribed to nothing, hears nothing."""
    server = example()
    async with talking(server, STATELESS) as script:
        await change_everything(server)
        await script.expect_silence()
        _, first = await listening(script)
        assert first["params"]["notifications"] == {}
        await change_everything(server)
        await script.expect_silence()


async def test_the_acknowledgement_is_first(autojump_clock: MockClock) -> None:
    """SUB-02, SUB-03: though something changes while the request is on its way."""
    server = example()
    async with talking(server, STATELESS) as script:
        asked = script.message(
            "subscriptions/listen",
            {"notifications": {"toolsListChanged": True, "resourceSubscriptions": ["note://one"]}},
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(script.send, asked)
            for _ in range(20):
                nursery.start_soon(server.notify_tools_changed)
                nursery.start_soon(server.notify_resource_updated, "note://one")
                await trio.lowlevel.checkpoint()
        await server.notify_tools_changed()
        first = await script.receive()
        assert first["method"] == ACKNOWLEDGED
        assert first["params"]["_meta"] == {SUBSCRIPTION: asked["id"]}
        told = await script.receive()
        assert told["params"]["_meta"] == {SUBSCRIPTION: asked["id"]}


async def test_what_cannot_be_told_is_not_promised(autojump_clock: MockClock) -> None:
    """SUB-02: the acknowledgement leaves out what the server does not have."""
    async with talking(example(), STATELESS) as script:
        uris = ["note://one", "note://nobody/knows"]
        _, first = await listening(script, resourceSubscriptions=uris)
        assert first["params"]["notifications"] == {"resourceSubscriptions": ["note://one"]}


async def test_several_at_once(autojump_clock: MockClock) -> None:
    """SUB-04: each with its own id; ending one does not end the other."""
    server = example()
    async with talking(server, STATELESS) as script:
        one, _ = await listening(script, resourceSubscriptions=["note://one"])
        both, _ = await listening(script, resourceSubscriptions=["note://one", "note://two"])
        await server.notify_resource_updated("note://one")
        told = [await script.receive(), await script.receive()]
        assert {each["params"]["_meta"][SUBSCRIPTION] for each in told} == {one, both}
        await script.send(cancelled(one))
        await trio.testing.wait_all_tasks_blocked()
        await server.notify_resource_updated("note://one")
        assert (await script.receive())["params"]["_meta"] == {SUBSCRIPTION: both}
        await script.expect_silence()


async def test_the_end_by_the_server(autojump_clock: MockClock) -> None:
    """SUB-07, CANC-13: what is pending, the result, and then the cancellation."""
    server = example()
    async with (
        server.application(signals=False),
        talking(server, STATELESS) as script,
    ):
        identity, _ = await listening(script, resourceSubscriptions=["note://one"])
        await server.notify_resource_updated("note://one")
        server.shutdown(grace=1)
        assert (await script.receive())["method"] == UPDATED
        answer = await script.receive()
        assert answer["id"] == identity
        assert answer["result"]["resultType"] == "complete"
        assert answer["result"]["_meta"][SUBSCRIPTION] == identity
        last = await script.receive()
        assert last["method"] == "notifications/cancelled"
        assert last["params"]["requestId"] == identity
        with pytest.raises(EOFError):
            await script.receive()


# -- at the server, handshake era ---------------------------------------------------------------


@every_revision
async def test_lists_that_change(revision: str, autojump_clock: MockClock) -> None:
    """SUB-09: registering and removing tell of themselves, as the capabilities promise."""
    server = example()
    async with talking(server, revision, opened=False) as script:
        if script.is_stateless:
            declared = (await script.do("server/discover"))["result"]["capabilities"]
            await listening(script, **{f"{kind}ListChanged": True for kind in KINDS})
        else:
            declared = (await script.shake_hands())["result"]["capabilities"]
            await script.expect_silence()
        assert all(declared[kind]["listChanged"] for kind in KINDS)
        server.tool(name="new")(lambda: "new")
        assert (await script.receive())["method"] == listed("tools")
        server.prompt(name="new")(lambda: "new")
        assert (await script.receive())["method"] == listed("prompts")
        server.resource("note://new")(lambda: "new")
        assert (await script.receive())["method"] == listed("resources")
        server.remove_tool("new")
        assert (await script.receive())["method"] == listed("tools")
        await script.expect_silence()


@every_handshake
async def test_resource_subscriptions(revision: str, autojump_clock: MockClock) -> None:
    """SUB-10: from `resources/subscribe` to `resources/unsubscribe`, and of that resource only."""
    server = example()
    async with talking(server, revision, opened=False) as script:
        answer = await script.shake_hands()
        assert answer["result"]["capabilities"]["resources"]["subscribe"] is True
        await script.expect_silence()
        one = {"uri": "note://one"}
        await server.notify_resource_updated("note://one")
        await script.expect_silence()
        for _ in range(2):
            assert (await script.do("resources/subscribe", one))["result"] == {}
        await server.notify_resource_updated("note://two")
        await server.notify_resource_updated("note://one")
        assert await script.receive() == notification(UPDATED, one)
        await script.expect_silence()
        for _ in range(2):
            assert (await script.do("resources/unsubscribe", one))["result"] == {}
        await server.notify_resource_updated("note://one")
        await script.expect_silence()


@every_handshake
async def test_a_resource_that_is_not_there(revision: str, autojump_clock: MockClock) -> None:
    """RES-04: the code of a resource that does not exist; nothing is subscribed to."""
    server = example()
    async with talking(server, revision) as script:
        await script.expect_silence()
        answer = await script.do("resources/subscribe", {"uri": "note://nobody/knows"})
        assert code_of(answer) == -32002
        assert server.statistics().subscribed_uris == 0


# -- at the client ------------------------------------------------------------------------------


async def acknowledge(line: Line, asked: Message, wanted: Message | None = None) -> None:
    granted = asked["params"]["notifications"] if wanted is None else wanted
    await line.send(
        notification(ACKNOWLEDGED, {"notifications": granted, "_meta": {SUBSCRIPTION: asked["id"]}})
    )


def updated(uri: str, asked: Message) -> Message:
    return notification(UPDATED, {"uri": uri, "_meta": {SUBSCRIPTION: asked["id"]}})


async def hear_one(to: Facing, uri: str, heard: list[Any]) -> None:
    async with to.client.listen(resources=[uri, "note://both"]) as changes:
        heard.append(await anext(changes))


async def test_the_client_tells_them_apart(autojump_clock: MockClock) -> None:
    """SUB-05: by the id, whatever the order; one of an unknown subscription is nobody's."""
    async with facing(STATELESS) as to:
        heard: dict[str, list[Any]] = {"note://one": [], "note://two": []}
        asked: dict[str, Message] = {}
        for uri, found in heard.items():
            to.start(hear_one, to, uri, found)
            asked[uri] = await to.line.receive()
        for each in reversed(asked.values()):
            await acknowledge(to.line, each)
        await to.line.send(notification(UPDATED, {"uri": "note://both"}))
        nobody = {"id": "nobody"}
        await to.line.send(updated("note://both", nobody))
        await trio.testing.wait_all_tasks_blocked()
        assert heard == {"note://one": [], "note://two": []}
        await to.line.send(updated("note://both", asked["note://two"]))
        await trio.testing.wait_all_tasks_blocked()
        assert heard == {"note://one": [], "note://two": [ResourceUpdated("note://both")]}
        left = await to.line.receive()
        assert left["method"] == "notifications/cancelled"
        assert left["params"]["requestId"] == asked["note://two"]["id"]
        await to.line.send(updated("note://one", asked["note://one"]))
        await trio.testing.wait_all_tasks_blocked()
        assert heard["note://one"] == [ResourceUpdated("note://one")]


@every_handshake
async def test_one_subscription_for_all_listeners(revision: str, autojump_clock: MockClock) -> None:
    """SUB-10: who comes second waits for the server's word too; requests never cross."""
    async with facing(revision) as to:

        async def listen() -> None:
            async with to.client.listen(resources=["note://one"]):
                await left.wait()

        left = trio.Event()
        calls = [to.start(listen), to.start(listen)]
        for _ in calls:
            asked = await to.line.receive()
            assert asked["method"] == "resources/subscribe"
            await trio.testing.wait_all_tasks_blocked()
            await to.line.send(error(asked, -32002))
        for call in calls:
            await call.fails(RequestError)

        call = to.start(listen)
        for _ in range(2):
            await to.line.send(result(await to.line.receive(), {}))
        left.set()
        leaving = await to.line.receive()
        assert leaving["method"] == "resources/unsubscribe"
        following = to.start(listen)
        await trio.testing.wait_all_tasks_blocked()
        await to.line.send(result(leaving, {}))
        await call.get()
        asked = await to.line.receive()
        assert asked["method"] == "resources/subscribe"
        for _ in range(2):
            await to.line.send(result(asked, {}))
            asked = await to.line.receive()
        await to.line.send(result(asked, {}))
        await following.get()


async def test_the_client_looks_at_what_was_agreed(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """SUB-06: `granted` says it, and less than was asked for is logged."""
    async with facing(STATELESS) as to:

        async def listen() -> Any:
            listen = to.client.listen(resources=["note://one"], tools_list_changed=True)
            async with listen as changes:
                return changes.granted

        with caplog.at_level(logging.WARNING, "trimcp.client"):
            call = to.start(listen)
            await acknowledge(to.line, await to.line.receive(), {"toolsListChanged": True})
            granted = await call.get()
        assert granted.tools_list_changed is True
        assert not granted.resource_subscriptions
        assert "agreed to less" in caplog.text


async def test_a_graceful_end_at_the_client(autojump_clock: MockClock) -> None:
    """SUB-07: iterating ends, and nothing is cancelled that is over."""
    async with facing(STATELESS) as to:

        async def listen() -> list[Any]:
            async with to.client.listen(resources=["note://one"]) as changes:
                return [change async for change in changes]

        call = to.start(listen)
        asked = await to.line.receive()
        await acknowledge(to.line, asked)
        await to.line.send(updated("note://one", asked))
        over = {"resultType": "complete", "_meta": {SUBSCRIPTION: asked["id"]}}
        await to.line.send(result(asked, over), cancelled(asked["id"]))
        assert await call.get() == [ResourceUpdated("note://one")]
        later = to.start(to.client.list_tools)
        following = await to.line.receive()
        assert following["method"] == "tools/list"
        done = {"resultType": "complete", "tools": [], "ttlMs": 0, "cacheScope": "private"}
        await to.line.send(result(following, done))
        await later.get()
