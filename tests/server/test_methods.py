"""Methods and notifications of extensions, in both eras and both directions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
import trio
import trio.testing

from trimcp import (
    Context,
    ProtocolViolation,
    RegistrationError,
    RequestError,
    Server,
    Session,
    open_client,
)
from trimcp.errors import INVALID_PARAMS
from trimcp.protocol import HANDSHAKE_REVISIONS, LATEST, LATEST_HANDSHAKE

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])
by_revision = pytest.mark.parametrize(
    "revision", [each.date for each in (*HANDSHAKE_REVISIONS, LATEST)]
)


class Params(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    value: int


@dataclass
class Result:
    status: str
    result: int


def make_server() -> Server:
    server = Server(
        "extended",
        experimental={"customAction": {}},
        extensions={"com.example/action": {"depth": 1}},
    )

    @server.method("experimental/customAction")
    async def custom_action(params: Params, ctx: Context) -> Result:
        assert ctx.method == "experimental/customAction"
        for step in range(3):
            await ctx.notify("notifications/com.example/halfway", {"value": params.value + step})
        return Result("success", params.value * 2)

    @server.method("com.example/plain")
    def plain(params: dict[str, Any]) -> dict[str, Any]:
        return {"said": params}

    @server.method("com.example/nothing")
    async def nothing() -> None: ...

    @server.method("com.example/session")
    async def with_session(session: Session) -> dict[str, Any]:
        await session.notify("notifications/com.example/moved", {"by": 1})
        return {}

    @server.method("com.example/number")
    async def number() -> Any:
        return 5

    return server


@by_revision
async def test_custom_method(revision: str, autojump_clock: object) -> None:
    """What was said before the answer has been heard, to its end, when the answer is returned."""
    heard: list[Any] = []

    async def on_halfway(params: Any) -> None:
        await trio.sleep(5)
        heard.append(params)

    async with open_client(make_server(), revision=revision) as client:
        client.on_notification("notifications/com.example/halfway", on_halfway)
        result = await client.request("experimental/customAction", {"value": 21}, Result)
        assert result == Result("success", 42)
        assert heard == [{"value": 21}, {"value": 22}, {"value": 23}]
        with pytest.raises(ProtocolViolation):
            await client.request("experimental/customAction", {"value": 21}, Params)


@by_era
async def test_plain_and_empty(revision: str) -> None:
    async with open_client(make_server(), revision=revision) as client:
        said = await client.request("com.example/plain", {"a": [1]})
        assert said["said"] == {"a": [1]}, "without the protocol's _meta"
        assert (await client.request("com.example/plain"))["said"] == {}
        result = await client.request("com.example/nothing")
        assert ("resultType" in result) == (revision == LATEST.date)


@by_era
async def test_bad_params(revision: str) -> None:
    async with open_client(make_server(), revision=revision) as client:
        for flawed in ({}, {"value": "x"}, {"value": 1, "other": 2}):
            with pytest.raises(RequestError) as caught:
                await client.request("experimental/customAction", flawed)
            assert caught.value.code == INVALID_PARAMS
            assert "$." in str(caught.value)


@by_era
async def test_result_that_is_no_object(revision: str, caplog: pytest.LogCaptureFixture) -> None:
    async with open_client(make_server(), revision=revision) as client:
        with pytest.raises(RequestError, match="Internal error"):
            await client.request("com.example/number")
    assert "is an object" in caplog.text


@by_era
async def test_capabilities(revision: str) -> None:
    experimental, extensions = {"mine": {}}, {"com.example/ours": {}}
    server = make_server()

    @server.tool
    async def declared(ctx: Context) -> list[str]:
        capabilities = ctx.client_capabilities
        return [*(capabilities.experimental or ()), *(capabilities.extensions or ())]

    async with open_client(
        server, revision=revision, experimental=experimental, extensions=extensions
    ) as client:
        assert client.capabilities.experimental == {"customAction": {}}
        said = json.loads((await client.call_tool("declared")).text)
        if revision == LATEST.date:
            assert client.capabilities.extensions == {"com.example/action": {"depth": 1}}
            assert said == ["mine", "com.example/ours"]
        else:
            assert client.capabilities.extensions is None
            assert said == ["mine"]


# -- notifications ----------------------------------------------------------------------------


@by_era
async def test_notifications_of_the_client(revision: str, caplog: pytest.LogCaptureFixture) -> None:
    server = make_server()
    heard: list[tuple[int, bool]] = []

    @server.notification("notifications/com.example/moved")
    async def moved(params: Params, session: Session) -> None:
        heard.append((params.value, session.server is server))
        if params.value == 2:
            raise ValueError("a bug")

    @server.notification("notifications/com.example/sync")
    def sync() -> None:
        heard.append((0, True))

    async with open_client(server, revision=revision) as client:
        for value in (1, "malformed", 2, 3):
            await client.notify("notifications/com.example/moved", {"value": value})
        await client.notify("notifications/com.example/sync")
        await client.notify("notifications/com.example/unknown")
        await client.request("com.example/nothing")
        with trio.fail_after(5):
            while len(heard) < 4:
                await trio.testing.wait_all_tasks_blocked(0.001)
        assert sorted(heard) == [(0, True), (1, True), (2, True), (3, True)]
    assert "malformed notifications/com.example/moved" in caplog.text
    assert "a bug" in caplog.text


async def test_flood_of_notifications(caplog: pytest.LogCaptureFixture) -> None:
    from trimcp import Limits

    server = Server("s", limits=Limits(in_flight=5))
    running = 0
    gate = trio.Event()

    @server.notification("notifications/com.example/slow")
    async def slow() -> None:
        nonlocal running
        running += 1
        await gate.wait()

    async with open_client(server) as client:
        for _ in range(10):
            await client.notify("notifications/com.example/slow")
        await client.list_tools()
        await trio.testing.wait_all_tasks_blocked()
        assert running == 5
        assert caplog.text.count("dropped") == 5
        gate.set()


async def test_unasked_notification_of_a_session() -> None:
    heard = trio.Event()

    async def on_moved(params: Any) -> None:
        assert params == {"by": 1}
        heard.set()

    async with open_client(make_server(), revision=LATEST_HANDSHAKE.date) as client:
        client.on_notification("notifications/com.example/moved", on_moved)
        await client.request("com.example/session")
        with trio.fail_after(5):
            await heard.wait()
    async with open_client(make_server()) as client:
        with pytest.raises(RequestError, match="nobody to notify"):
            await client.request("com.example/session")


async def test_changed_roots() -> None:
    server = make_server()
    heard = trio.Event()

    @server.notification("notifications/roots/list_changed")
    async def changed() -> None:
        heard.set()

    revision = LATEST_HANDSHAKE.date
    async with open_client(server, revision=revision, roots=["file:///a"]) as client:
        await client.notify_roots_changed()
        with trio.fail_after(5):
            await heard.wait()


# -- registration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["tools/call", "initialize", "server/discover", "sampling/createMessage", "ping", "", "rpc.x"],
)
def test_names_of_the_protocol_are_refused(name: str) -> None:
    with pytest.raises(RegistrationError, match="belongs to the protocol"):
        Server("s").method(name)(lambda: None)


@pytest.mark.parametrize(
    "name", ["notifications/cancelled", "notifications/progress", "notifications/initialized"]
)
def test_notifications_of_the_protocol_are_refused(name: str) -> None:
    with pytest.raises(RegistrationError, match="belongs to the protocol"):
        Server("s").notification(name)(lambda: None)


def test_registered_twice() -> None:
    server = make_server()
    with pytest.raises(RegistrationError, match="already registered"):
        server.method("com.example/plain")(lambda: None)


def test_functions_that_do_not_fit() -> None:
    server = Server("s")

    def two(a: int, b: int) -> None: ...

    def unknown(params: object) -> None: ...

    async def stream() -> Any:
        yield 1

    def about_a_request(ctx: Context) -> None: ...

    for flawed in (two, stream):
        with pytest.raises(RegistrationError):
            server.method("com.example/x")(flawed)
    with pytest.raises(RegistrationError, match="no Context"):
        server.notification("notifications/com.example/x")(about_a_request)
