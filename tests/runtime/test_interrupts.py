"""Which exceptions of a user's code end the program, and which only their request."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.runtime.test_parking import connected
from trimcp import Server
from trimcp._groups import leaves
from trimcp.runtime import Failed, captured

#: Exceptions that stay inside: those of a program, and those that would end another program.
INSIDE: list[type[BaseException]] = [ValueError, SystemExit, GeneratorExit, BaseException]

leaf = st.sampled_from([*INSIDE, KeyboardInterrupt]).map(lambda kind: kind())
raised = st.recursive(
    leaf,
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(
        lambda errors: BaseExceptionGroup("several", errors)
    ),
    max_leaves=5,
)


@given(raised)
def test_only_an_interrupt_passes_through(error: BaseException) -> None:
    """Out of any group, and whatever is raised beside it, which is a failure like any other."""

    async def work() -> None:
        raise error

    async def main() -> None:
        outcome, passing = await captured(trio.CancelScope(), work)
        found = list(leaves(error))
        interrupts = [each for each in found if isinstance(each, KeyboardInterrupt)]
        assert passing is (interrupts[0] if interrupts else None)
        if len(interrupts) == len(found):
            assert outcome is None
        else:
            assert isinstance(outcome, Failed)
            assert outcome.error is error

    trio.run(main)


REQUESTS: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "it"},
    "prompts/get": {"name": "it"},
    "resources/read": {"uri": "test://it"},
    "com.example/it": {},
}


def failing(kind: type[BaseException]) -> Server[Any]:
    """A server whose every function raises this."""
    server = Server[Any]("failing")

    async def fail() -> str:
        raise kind

    server.tool(name="it")(fail)
    server.prompt(name="it")(fail)
    server.resource("test://it")(fail)
    server.method("com.example/it")(fail)
    server.notification("notifications/com.example/it")(fail)
    return server


@pytest.mark.parametrize("kind", [SystemExit, BaseException])
async def test_an_exit_in_a_function_ends_only_its_request(kind: type[BaseException]) -> None:
    async with connected(failing(kind)) as wire:
        await wire.send({"jsonrpc": "2.0", "method": "notifications/com.example/it"})
        for method, params in REQUESTS.items():
            identity = await wire.request(method=method, **params)
            answer = await wire.receive()
            assert answer["id"] == identity
            assert "error" in answer or answer["result"]["isError"]


@pytest.mark.parametrize("method", [*REQUESTS, "notifications/com.example/it"])
def test_an_interrupt_in_a_function_ends_the_program(method: str) -> None:
    async def main() -> None:
        async with connected(failing(KeyboardInterrupt)) as wire:
            if method.startswith("notifications/"):
                await wire.send({"jsonrpc": "2.0", "method": method})
            else:
                await wire.request(method=method, **REQUESTS[method])
            await trio.sleep(60)

    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert all(isinstance(each, KeyboardInterrupt) for each in leaves(caught.value))
