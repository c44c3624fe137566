"""Multi Round-Trip Requests (2026-07-28), at the client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import ProtocolViolation

from .harness import STATELESS, Facing, Later, Message, facing, request, result

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trimcp.types import ElicitRequestFormParams

STATE = ' {"user": 1} é\\u00e9\n=='


def form(message: str = "Sure?") -> Message:
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


def question(**parts: Any) -> Message:
    return {"resultType": "input_required", **parts}


async def agree(_: ElicitRequestFormParams) -> Message:
    return {"sure": True}


async def asked(to: Facing, name: str = "x", **parts: Any) -> tuple[Later, Message, Message]:
    """A call that is answered with a question, and the two requests."""
    call = to.start(to.client.call_tool, name, {"a": [1]})
    first = await to.line.receive()
    await to.line.send(result(first, question(**parts)))
    return call, first, await to.line.receive()


async def finish(to: Facing, message: Message, call: Later) -> None:
    await to.line.send(result(message, {"resultType": "complete", "content": []}))
    await call.get()


async def test_a_retry(autojump_clock: MockClock) -> None:
    """MRTR-16, MRTR-17, MRTR-20: the same request, the answers, the state, a new id."""
    async with facing(STATELESS, elicitation=agree) as to:
        call, first, second = await asked(
            to, inputRequests={"k": form(), "l": form("Really?")}, requestState=STATE
        )
        assert second["method"] == first["method"]
        assert second["id"] != first["id"]
        assert second["params"] == first["params"] | {
            "inputResponses": {
                "k": {"action": "accept", "content": {"sure": True}},
                "l": {"action": "accept", "content": {"sure": True}},
            },
            "requestState": STATE,
        }
        await finish(to, second, call)


async def test_every_question_is_answered_first(autojump_clock: MockClock) -> None:
    """MRTR-16: the retry waits for the slowest answer."""

    async def think(params: ElicitRequestFormParams) -> Message:
        await trio.sleep(float(params.message))
        return {"sure": True}

    async with facing(STATELESS, elicitation=think) as to:
        began = trio.current_time()
        requests = {"a": form("1"), "b": form("30"), "c": form("2")}
        call, _, second = await asked(to, inputRequests=requests)
        assert trio.current_time() - began == pytest.approx(30)
        assert second["params"]["inputResponses"].keys() == {"a", "b", "c"}
        await finish(to, second, call)


@pytest.mark.parametrize("state", ["", "x", STATE, "x" * 10_000], ids=len)
async def test_the_state_comes_back(state: str, autojump_clock: MockClock) -> None:
    """MRTR-17, MRTR-18: as it was; without questions the retry has no answers."""
    async with facing(STATELESS, elicitation=agree) as to:
        call, _, second = await asked(to, requestState=state)
        assert second["params"]["requestState"] == state
        assert "inputResponses" not in second["params"]
        await finish(to, second, call)


async def test_no_state_no_state(autojump_clock: MockClock) -> None:
    """MRTR-19, MRTR-20: also in the round after one that had a state."""
    async with facing(STATELESS, elicitation=agree) as to:
        call, _, second = await asked(to, inputRequests={"k": form()})
        assert "requestState" not in second["params"]
        await to.line.send(result(second, question(requestState="s")))
        third = await to.line.receive()
        assert third["params"]["requestState"] == "s"
        assert "inputResponses" not in third["params"]
        await to.line.send(result(third, question(inputRequests={"k": form()})))
        fourth = await to.line.receive()
        assert "requestState" not in fourth["params"]
        assert len({second["id"], third["id"], fourth["id"]}) == 3
        await finish(to, fourth, call)


async def test_other_requests_know_nothing(autojump_clock: MockClock) -> None:
    """MRTR-21: neither those under way nor later ones."""
    async with facing(STATELESS, elicitation=agree) as to:
        other = to.start(to.client.call_tool, "y")
        plain = [await to.line.receive()]
        call, _, second = await asked(to, inputRequests={"k": form()}, requestState=STATE)
        another = to.start(to.client.call_tool, "x", {"a": [1]})
        plain.append(await to.line.receive())
        await finish(to, second, call)
        for message, each in zip(plain, (other, another), strict=True):
            assert not {"requestState", "inputResponses"} & message["params"].keys()
            await finish(to, message, each)


async def test_methods_that_may_not_ask(autojump_clock: MockClock) -> None:
    """MRTR-02, BASE-14: a list that asks something is no valid result."""
    async with facing(STATELESS, elicitation=agree) as to:
        call = to.start(to.client.list_tools)
        answer = question(inputRequests={"k": form()}, tools=[])
        await to.line.send(result(await to.line.receive(), answer))
        await call.fails(ProtocolViolation)


async def test_rounds_are_bounded(autojump_clock: MockClock) -> None:
    """TIME-04: a server that never has enough is left."""
    async with facing(STATELESS, elicitation=agree, max_rounds=3) as to:
        call = to.start(to.client.call_tool, "x")
        for _ in range(3):
            await to.line.send(result(await to.line.receive(), question(requestState="s")))
        await call.fails(ProtocolViolation)


async def test_what_the_client_did_not_declare(autojump_clock: MockClock) -> None:
    """BASE-20: it does not answer what it said it could not."""
    async with facing(STATELESS, elicitation=agree) as to:
        call = to.start(to.client.call_tool, "x")
        requests = {"k": {"method": "roots/list"}}
        await to.line.send(result(await to.line.receive(), question(inputRequests=requests)))
        await call.fails(ProtocolViolation)


async def test_clients_send_no_responses(autojump_clock: MockClock) -> None:
    """STDIO-06: whatever a server asks outside of a result, it is not answered."""
    terms = {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": STATELESS,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    }
    async with facing(STATELESS, elicitation=agree, roots=["/projects/one"]) as to:
        await to.line.send(
            request("a", "ping"),
            request("b", "roots/list"),
            request("c", "roots/list", terms),
            request(None, "roots/list"),
            {"jsonrpc": "2.0", "id": "d", "method": 5},
            [request("e", "ping")],
        )
        await to.line.send_bytes(b"nonsense\n")
        call = to.start(to.client.list_tools)
        message = await to.line.receive()
        assert message["method"] == "tools/list"
        await to.line.send(result(message, {"tools": []}))
        await call.get()
