"""Telling clients of changes, in both eras, over memory and real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.runtime.test_parking import Wire, connected
from trimcp import (
    Limits,
    LocalBus,
    PromptsListChanged,
    RequestError,
    ResourcesListChanged,
    ResourceUpdated,
    Server,
    ToolsListChanged,
    open_client,
    open_tcp_client,
)
from trimcp.errors import LIMIT_EXCEEDED, ConnectionLost
from trimcp.protocol import HANDSHAKE_REVISIONS, LATEST, LATEST_HANDSHAKE, META_PREFIX
from trimcp.types import (
    PromptsCapability,
    ServerCapabilities,
    SubscriptionFilter,
    ToolsCapability,
)

if TYPE_CHECKING:
    from trimcp import Changes, Client

SUBSCRIPTION = META_PREFIX + "subscriptionId"

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])
by_revision = pytest.mark.parametrize(
    "revision", [each.date for each in (*HANDSHAKE_REVISIONS, LATEST)]
)


def make_server(**options: Any) -> Server[Any]:
    server = Server[Any]("notifying", **options)

    @server.resource("messages://all")
    def messages() -> str:
        return "none"

    @server.resource("status://app")
    def status() -> str:
        return "well"

    @server.resource("user://{id}")
    def user(id: int) -> str:
        return str(id)

    @server.tool
    async def add_message(content: str) -> str:
        await server.notify_resource_updated("messages://all")
        return content

    return server


async def first(changes: Changes) -> Any:
    with trio.fail_after(5):
        return await anext(changes)


# -- both eras --------------------------------------------------------------------------------


@by_revision
async def test_resource_updated(revision: str) -> None:
    server = make_server()
    async with open_client(server, revision=revision) as client:
        async with client.listen(resources=["messages://all"]) as changes:
            await client.call_tool("add_message", {"content": "hello"})
            assert await first(changes) == ResourceUpdated("messages://all")
            await server.notify_resource_updated("status://app")
            await server.notify_resource_updated("messages://all")
            assert await first(changes) == ResourceUpdated("messages://all")
            assert changes.granted.resource_subscriptions == ("messages://all",)
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().subscribed_uris == 0


@by_revision
async def test_lists_tell_of_themselves(revision: str) -> None:
    server = make_server()
    async with (
        open_client(server, revision=revision) as client,
        client.listen(tools_list_changed=True, prompts_list_changed=True) as changes,
    ):
        server.tool(name="new")(lambda: "new")
        assert await first(changes) == ToolsListChanged()
        server.remove_tool("new")
        assert await first(changes) == ToolsListChanged()
        server.resource("new://one")(lambda: "not asked for")
        server.prompt(name="new")(lambda: "new")
        assert await first(changes) == PromptsListChanged()
        await server.notify_tools_changed()
        assert await first(changes) == ToolsListChanged()


@by_era
async def test_resource_lists(revision: str) -> None:
    server = make_server()
    async with (
        open_client(server, revision=revision) as client,
        client.listen(resources_list_changed=True) as changes,
    ):
        server.resource("new://{one}")(lambda one: one)
        assert await first(changes) == ResourcesListChanged()
        server.remove_resource("new://{one}")
        assert await first(changes) == ResourcesListChanged()
        await server.notify_resources_changed()
        assert await first(changes) == ResourcesListChanged()


@by_era
async def test_registering_from_a_worker_thread(revision: str) -> None:
    server = make_server()

    @server.tool
    def add_tool() -> None:
        server.tool(name="added")(lambda: "added")

    async with (
        open_client(server, revision=revision) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        await client.call_tool("add_tool")
        assert await first(changes) == ToolsListChanged()
        assert "added" in [tool.name for tool in await client.list_tools()]


@by_era
async def test_instances_of_a_template(revision: str) -> None:
    server = make_server()
    async with (
        open_client(server, revision=revision) as client,
        client.listen(resources=["user://1", "user://2", "status://app"]) as changes,
    ):
        await server.notify_resource_updated("user://2")
        assert await first(changes) == ResourceUpdated("user://2")
        await server.notify_resource_updated("user://{id}")
        told = {(await first(changes)).uri, (await first(changes)).uri}
        assert told == {"user://1", "user://2"}


@by_era
async def test_several_listeners_at_once(revision: str) -> None:
    server = make_server()
    async with (
        open_client(server, revision=revision) as client,
        client.listen(resources=["messages://all", "status://app"]) as both,
    ):
        async with client.listen(resources=["messages://all"]) as one:
            await server.notify_resource_updated("messages://all")
            assert await first(one) == await first(both) == ResourceUpdated("messages://all")
        await server.notify_resource_updated("messages://all")
        assert await first(both) == ResourceUpdated("messages://all"), "the other one goes on"


@by_era
async def test_coalescing(revision: str) -> None:
    """Told at least once after the last change, and not once for each."""
    server = make_server()
    async with (
        open_client(server, revision=revision) as client,
        client.listen(resources=["messages://all", "status://app"]) as changes,
    ):
        for _ in range(1000):
            await server.notify_resource_updated("messages://all")
            await server.notify_resource_updated("status://app")
        await trio.testing.wait_all_tasks_blocked()
        told = {await first(changes), await first(changes)}
        assert told == {ResourceUpdated("messages://all"), ResourceUpdated("status://app")}
        with trio.move_on_after(0.01) as waited:
            await anext(changes)
        assert waited.cancelled_caught, "two facts, told once each"


@by_era
async def test_cache_forgets_what_changed(revision: str) -> None:
    server = make_server(list_ttl_ms=1_000_000)
    async with (
        open_client(server, revision=revision) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        before = len(await client.list_tools())
        server.tool(name="new")(lambda: "new")
        await first(changes)
        assert len(await client.list_tools()) == before + 1


@by_era
async def test_lost_connection_and_listening_again(revision: str, nursery: trio.Nursery) -> None:
    server = make_server()

    async def listen_once(port: int, server: Server[Any]) -> Any:
        async with (
            open_tcp_client("127.0.0.1", port, revision=revision) as client,
            client.listen(resources=["messages://all"]) as changes,
        ):
            await server.notify_resource_updated("messages://all")
            assert await first(changes) == ResourceUpdated("messages://all")
            nursery_of[0].cancel_scope.cancel()
            with pytest.raises(ConnectionLost):
                await first(changes)

    nursery_of: list[trio.Nursery] = []

    async def serve(task_status: trio.TaskStatus[int]) -> None:
        async with trio.open_nursery() as inner:
            nursery_of[:] = [inner]
            ((_, port),) = await inner.start(server.serve_tcp, "127.0.0.1", 0)
            task_status.started(port)

    for _ in range(2):
        await listen_once(await nursery.start(serve), server)


@by_era
async def test_graceful_end(revision: str) -> None:
    """In the stateless era iteration ends; a handshake session is just closed."""
    server = make_server()
    async with (
        server.application(signals=False),
        open_client(server, revision=revision) as client,
        client.listen(resources=["messages://all"]) as changes,
    ):
        await server.notify_resource_updated("messages://all")
        server.shutdown(grace=1)
        assert await first(changes) == ResourceUpdated("messages://all")
        if revision == LATEST.date:
            with pytest.raises(StopAsyncIteration):
                await first(changes)
        else:
            with pytest.raises(ConnectionLost):
                await first(changes)


@by_era
async def test_unknown_resource(revision: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_client(make_server(), revision=revision) as client:
        asked = ["nobody://knows", "status://app"]
        if revision == LATEST.date:
            async with client.listen(resources=asked) as changes:
                assert changes.granted.resource_subscriptions == ("status://app",)
            assert "agreed to less" in caplog.text
        else:
            with pytest.raises(RequestError, match="nobody"):
                async with client.listen(resources=asked):
                    pass


async def test_granted_lists_of_a_session_are_the_declared_ones(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Quiet(Server[Any]):
        @property
        def capabilities(self) -> ServerCapabilities:
            return ServerCapabilities(tools=ToolsCapability(True), prompts=PromptsCapability())

    lists = {"tools_list_changed": True, "prompts_list_changed": True}
    async with open_client(Quiet("s"), revision=LATEST_HANDSHAKE.date) as client:
        async with client.listen(**lists, resources_list_changed=True) as changes:
            assert changes.granted == SubscriptionFilter(tools_list_changed=True)
        assert "agreed to less" in caplog.text


async def test_nothing_to_listen_for() -> None:
    async with open_client(make_server()) as client:
        with pytest.raises(ValueError, match="nothing to listen for"):
            async with client.listen():
                pass


@by_era
async def test_user_exception_comes_out_bare(revision: str) -> None:
    async with open_client(make_server(), revision=revision) as client:
        with pytest.raises(KeyError):
            async with client.listen(tools_list_changed=True):
                raise KeyError


@by_era
async def test_too_many_resources(revision: str) -> None:
    server = make_server(limits=Limits(subscribed_uris=2))
    async with open_client(server, revision=revision) as client:
        with pytest.raises(RequestError) as caught:
            async with client.listen(resources=[f"user://{n}" for n in range(3)]):
                pass
        assert caught.value.code == LIMIT_EXCEEDED
        async with client.listen(resources=["user://1", "user://2"]):
            assert server.statistics().subscribed_uris == 2


async def test_too_many_subscribers() -> None:
    server = make_server(limits=Limits(subscribers=1))
    async with open_client(server) as client, client.listen(tools_list_changed=True):
        with pytest.raises(RequestError) as caught:
            async with client.listen(tools_list_changed=True):
                pass
        assert caught.value.code == LIMIT_EXCEEDED


# -- between processes ------------------------------------------------------------------------


@by_era
async def test_bus_between_two_servers(revision: str) -> None:
    """As two processes that serve the same thing would."""
    bus = LocalBus()
    here, there = make_server(bus=bus), make_server(bus=bus)
    async with (
        there.application(signals=False),
        open_client(here, revision=revision) as client,
        client.listen(resources=["user://1"], tools_list_changed=True) as changes,
    ):
        await there.notify_resource_updated("user://{id}")
        assert await first(changes) == ResourceUpdated("user://1")
        there.tool(name="new")(lambda: "new")
        assert await first(changes) == ToolsListChanged()


async def test_broken_bus_ends_the_server() -> None:
    class Broken(LocalBus):
        async def run(self, deliver: Any, *, task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            raise OSError("the broker is gone")

    with pytest.raises(OSError, match="the broker"):
        async with make_server(bus=Broken()).application(signals=False):
            await trio.sleep_forever()


@by_era
async def test_notifying_while_nothing_is_served(revision: str) -> None:
    """Everybody sees later what has changed, and nobody is told of it."""
    server = make_server()
    await server.notify_resource_updated("messages://all")
    server.tool(name="new")(lambda: "new")
    wanted = ["messages://all", "status://app"]
    async with (
        open_client(server, revision=revision) as client,
        client.listen(resources=wanted, tools_list_changed=True) as changes,
    ):
        assert "new" in [each.name for each in await client.list_tools()]
        assert server.statistics().pending_changes == 0
        await server.notify_resource_updated("status://app")
        assert await first(changes) == ResourceUpdated("status://app")
        server.remove_tool("new")
        assert await first(changes) == ToolsListChanged()


# -- on the wire ------------------------------------------------------------------------------


async def test_stateless_wire() -> None:
    """The acknowledgement first; everything with the subscription's id; then the end."""
    server = make_server()
    async with server.application(signals=False), connected(server) as wire:
        identity = await wire.request(
            method="subscriptions/listen",
            notifications={
                "toolsListChanged": True,
                "promptsListChanged": False,
                "resourceSubscriptions": ["status://app", "nobody://knows", "status://app"],
            },
        )
        acknowledged = await wire.receive()
        assert acknowledged == {
            "jsonrpc": "2.0",
            "method": "notifications/subscriptions/acknowledged",
            "params": {
                "notifications": {
                    "toolsListChanged": True,
                    "resourceSubscriptions": ["status://app"],
                },
                "_meta": {SUBSCRIPTION: identity},
            },
        }
        await server.notify_prompts_changed()
        await server.notify_resource_updated("status://app")
        assert (await wire.receive())["params"] == {
            "uri": "status://app",
            "_meta": {SUBSCRIPTION: identity},
        }
        await server.notify_tools_changed()
        changed = await wire.receive()
        assert changed["method"] == "notifications/tools/list_changed"
        assert changed["params"] == {"_meta": {SUBSCRIPTION: identity}}
        server.shutdown(grace=1)
        result = await wire.receive()
        assert result["id"] == identity
        assert result["result"]["resultType"] == "complete"
        assert result["result"]["_meta"][SUBSCRIPTION] == identity
        cancelled = await wire.receive()
        assert cancelled["method"] == "notifications/cancelled"
        assert cancelled["params"]["requestId"] == identity


async def test_client_cancels_a_subscription() -> None:
    server = make_server()
    async with connected(server) as wire:
        identity = await wire.request(
            method="subscriptions/listen", notifications={"toolsListChanged": True}
        )
        await wire.receive()
        assert server.statistics().subscribers == 1
        await wire.send(
            {
                "jsonrpc": "2.0",
                "method": "notifications/cancelled",
                "params": {"requestId": identity},
            }
        )
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().subscribers == 0
        await server.notify_tools_changed()
        # Nothing more is sent for it: the next message answers the next request.
        assert (await wire.call("add_message", arguments={"content": "hello"}))["content"]


@pytest.mark.parametrize(
    "spoilt", [None, {"notifications": 5}, {"notifications": {"resourceSubscriptions": "x"}}]
)
async def test_malformed_listen(spoilt: dict[str, Any] | None) -> None:
    async with connected(make_server()) as wire:
        identity = await wire.request(method="subscriptions/listen", **(spoilt or {}))
        message = await wire.receive()
        assert (message["id"], message["error"]["code"]) == (identity, -32602)


async def test_handshake_sessions_get_no_subscription_id() -> None:
    server = make_server()
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_stream, theirs)
        wire = Wire(ours)
        client = {"name": "test", "version": "1"}
        params = {
            "protocolVersion": LATEST_HANDSHAKE.date,
            "capabilities": {},
            "clientInfo": client,
        }
        await wire.send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
        capabilities = (await wire.receive())["result"]["capabilities"]
        assert capabilities["resources"] == {"subscribe": True, "listChanged": True}
        await server.notify_tools_changed()
        await wire.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await trio.testing.wait_all_tasks_blocked()
        server.tool(name="new")(lambda: "new")
        assert await wire.receive() == {
            "jsonrpc": "2.0",
            "method": "notifications/tools/list_changed",
        }
        await ours.aclose()


# -- a client's callbacks ---------------------------------------------------------------------


@by_era
async def test_callbacks_hear_too(revision: str) -> None:
    server = make_server()
    heard = trio.Event()

    async def on_change(params: dict[str, Any]) -> None:
        heard.set()

    async with open_client(server, revision=revision) as client:
        client.on_notification("notifications/tools/list_changed", on_change)
        await _change_tools(server, client)
        with trio.fail_after(5):
            await heard.wait()


async def _change_tools(server: Server[Any], client: Client) -> None:
    async with client.listen(tools_list_changed=True) as changes:
        server.tool(name="new")(lambda: "new")
        await first(changes)


async def test_subscribing_before_the_handshake_is_complete() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(make_server().serve_stream, theirs)
        wire = Wire(ours)
        params = {
            "protocolVersion": LATEST_HANDSHAKE.date,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }
        await wire.send({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})
        await wire.receive()
        await wire.send(
            {
                "jsonrpc": "2.0",
                "id": 2,
                "method": "resources/subscribe",
                "params": {"uri": "status://app"},
            }
        )
        assert "handshake" in (await wire.receive())["error"]["message"]
        await ours.aclose()
