"""Which function reads a resource, what it must take, and how long its contents may be kept."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.spec.harness import STATELESS, talking
from trimcp import RegistrationError, Server
from trimcp.errors import INVALID_PARAMS
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


# -- paths ------------------------------------------------------------------------------------

AWAY = [
    "..",
    "../etc/passwd",
    "a/../../b",
    "a/..",
    "..\\windows",
    "a\\..",
    "/etc/passwd",
    "//host/share",
    "\\\\host\\share",
    "C:/windows",
    "c:\\windows",
    "a\0b",
]
BELOW = ["a", "a/b.txt", "..a", "a..", "1.0..2.0", "a/.../b", ".", "./a", "c:", "a:b", "~", "é"]


@pytest.mark.parametrize("template", ["x://all/{+path}", "x://all/{path}", "x://all{?path}"])
@pytest.mark.parametrize("check", [True, False])
async def test_values_that_lead_out_of_a_directory(
    template: str, check: bool, autojump_clock: MockClock
) -> None:
    """However they are encoded; other values, and all with `check_paths=False`, are passed on."""
    server = Server[Any]("s")

    @server.resource(template, check_paths=check)
    async def read(path: str = "") -> str:
        return f"read {path}"

    async with talking(server, STATELESS) as script:
        for value in [*AWAY, *BELOW]:
            text = quote(value, safe="")
            uri = f"x://all?path={text}" if "?" in template else f"x://all/{text}"
            answer = await script.do("resources/read", {"uri": uri})
            if check and value in AWAY:
                assert answer["error"]["code"] == INVALID_PARAMS, value
            else:
                assert answer["result"]["contents"][0]["text"] == f"read {value}", value


@pytest.mark.parametrize("uri", ["x://all/a/../b", "x://all/%2e%2e/b", "x://all//etc"])
async def test_the_parts_of_a_path_that_lead_out_of_a_directory(
    uri: str, autojump_clock: MockClock
) -> None:
    """One by one, and joined."""
    server = Server[Any]("s")

    @server.resource("x://all{/parts*}")
    async def read(parts: list[str]) -> str:
        return "/".join(parts)

    async with talking(server, STATELESS) as script:
        answer = await script.do("resources/read", {"uri": uri})
        assert answer["error"]["code"] == INVALID_PARAMS
        answer = await script.do("resources/read", {"uri": "x://all/a/b"})
        assert answer["result"]["contents"][0]["text"] == "a/b"
