"""Which function reads a resource, what it must take, and how long its contents may be kept."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.spec.harness import STATELESS, talking
from trimcp import RegistrationError, Server
from trimcp.types import ReadResourceResult, TextResourceContents

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


async def nothing() -> str:
    return "nothing"


async def one(a: str) -> str:
    return f"a template with {a}"


async def other(b: str) -> str:
    return b


async def both(a: str, b: str) -> str:
    return a + b


#: Functions with the names of their parameters, and URIs with the names of their variables.
FUNCTIONS: dict[Callable[..., Any], set[str]] = {
    nothing: set(),
    one: {"a"},
    other: {"b"},
    both: {"a", "b"},
}
URIS = {"x://fixed": set(), "x://{a}": {"a"}, "x://{b}": {"b"}, "x://{a}/{b}": {"a", "b"}}


@pytest.mark.parametrize(("uri", "function"), [*itertools.product(URIS, FUNCTIONS)])
def test_a_function_takes_the_variables_of_its_uri(uri: str, function: Any) -> None:
    """All of them, and nothing else."""
    server = Server[Any]("s")
    if URIS[uri] == FUNCTIONS[function]:
        server.resource(uri)(function)
        assert server.resources.entry(uri) is not None
    else:
        with pytest.raises(RegistrationError):
            server.resource(uri)(function)
        assert server.resources.entry(uri) is None


@pytest.mark.parametrize(
    "order", [*itertools.permutations(["x://{a}", "x://known", "{+a}://known"])]
)
async def test_a_fixed_uri_comes_before_templates(
    order: tuple[str, ...], autojump_clock: MockClock
) -> None:
    """In whatever order they were registered."""
    server = Server[Any]("s")
    for uri in order:
        server.resource(uri)(one if "{" in uri else nothing)
    async with talking(server, STATELESS) as script:
        answer = await script.do("resources/read", {"uri": "x://known"})
        assert answer["result"]["contents"][0]["text"] == "nothing"


@pytest.mark.parametrize("registered", [None, 0, 5000])
@pytest.mark.parametrize("said", [None, 0, 7000])
async def test_a_result_s_own_time_counts(
    registered: int | None, said: int | None, autojump_clock: MockClock
) -> None:
    """Zero is a time too: it forbids to keep the contents."""
    server = Server[Any]("s")

    @server.resource("x://a", ttl_ms=registered)
    async def read() -> ReadResourceResult:
        return ReadResourceResult((TextResourceContents("x://a", "text"),), ttl_ms=said)

    async with talking(server, STATELESS) as script:
        answer = await script.do("resources/read", {"uri": "x://a"})
        expected = said if said is not None else registered if registered is not None else 0
        assert answer["result"]["ttlMs"] == expected
