"""Functions that cannot be looked at are refused, and those that give an awaitable are not."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import (  # noqa: TC003  read at run time
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from typing import Any, Final, Literal

import pytest

from trimcp import RegistrationError, Server, open_client


def test_a_literal_that_is_no_unicode_is_refused() -> None:
    def function(x: Any = None) -> None: ...

    function.__annotations__["x"] = Literal["\ud800"]
    with pytest.raises(RegistrationError, match="parameter 'x'"):
        Server("x").tool(function)


def test_a_wrapper_of_itself_is_refused() -> None:
    def function() -> None: ...

    function.__wrapped__ = function  # type: ignore[attr-defined]
    with pytest.raises(RegistrationError, match="__wrapped__"):
        Server("x").tool(function)


async def test_what_is_awaited_is_the_result() -> None:
    async def one() -> int:
        return 1

    def awaitable() -> Awaitable[int]:
        return one()

    def coroutine() -> Coroutine[Any, Any, int]:
        return one()

    server = Server("x")
    server.tool(awaitable)
    server.tool(coroutine)
    async with open_client(server) as client:
        for name in ("awaitable", "coroutine"):
            assert (await client.call_tool(name)).text == "1"


class Counting:
    """An asynchronous iterator that is no generator."""

    def __init__(self) -> None:
        self._left = [2, 1]

    def __aiter__(self) -> Counting:
        return self

    async def __anext__(self) -> int:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


async def test_an_iterator_is_read_like_a_generator() -> None:
    def iterator() -> Iterator[int]:
        return iter([1, 2])

    def async_iterator() -> AsyncIterator[int]:
        return Counting()

    async def async_iterable() -> AsyncIterable[int]:
        return Counting()

    server = Server("x")
    for tool in (iterator, async_iterator, async_iterable):
        server.tool(tool)
    server.tool(iterator, name="timed", timeout=60)
    async with open_client(server) as client:
        for name in ("iterator", "async_iterator", "async_iterable", "timed"):
            chunks: list[Any] = []
            async with client.stream_tool(name) as stream:
                async for chunk in stream:
                    chunks.append(chunk)
            assert chunks == [1, 2]
            assert (await client.call_tool(name)).text == "2"


async def test_an_iterable_that_is_promised_is_a_list() -> None:
    def iterable() -> Iterable[int]:
        return iter([1, 2])

    def generator() -> Generator[int, None, None]:
        return iter([1, 2])  # type: ignore[return-value]

    server = Server("x")
    server.tool(iterable)
    server.tool(generator)
    async with open_client(server) as client:
        for name in ("iterable", "generator"):
            assert (await client.call_tool(name)).text == "[1,2]"


@functools.singledispatch
def dispatching(x: int) -> int:
    return x


class Dispatching:
    @functools.singledispatchmethod
    def method(self, x: int) -> int:
        return x


@contextlib.contextmanager
def manager() -> Iterator[int]:
    yield 1


@contextlib.asynccontextmanager
async def async_manager() -> AsyncIterator[int]:
    yield 1


def plain(x: int) -> int:
    return x


@functools.wraps(plain)
def needing_more(database: Any, x: int) -> int:
    return x


@functools.wraps(plain)
def by_position(x: int, /) -> int:
    return x


@functools.wraps(plain)
def taking_less() -> int:
    return 1


def giving_a_class() -> type[int]:
    return int


def giving_classes() -> dict[str, type[int]]:
    return {"int": int}


def taking_a_class(x: type[int]) -> None: ...


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (dispatching, "singledispatch"),
        (functools.partial(dispatching), "singledispatch"),
        (Dispatching().method, "singledispatch"),
        (manager, "context manager"),
        (async_manager, "context manager"),
        (needing_more, "'database'"),
        (by_position, "wrapper"),
        (taking_less, "wrapper"),
        (giving_a_class, "class cannot be JSON"),
        (giving_classes, "class cannot be JSON"),
        (taking_a_class, "class cannot be JSON"),
    ],
)
def test_what_would_fail_at_every_call_is_refused(function: Any, match: str) -> None:
    with pytest.raises(RegistrationError, match=match):
        Server("x").tool(name="t")(function)


async def test_what_decorators_make_is_called_as_it_needs() -> None:
    @functools.wraps(plain)
    def passing(*args: Any, **kwargs: Any) -> int:
        return plain(*args, **kwargs)

    @functools.lru_cache
    def cached(x: int) -> int:
        return x

    @manager()
    def within(x: int) -> int:
        return x

    server = Server("x")
    tools = {"passing": passing, "cached": cached, "within": within}
    for name, tool in tools.items():
        server.tool(tool, name=name)
    async with open_client(server) as client:
        for name in tools:
            assert (await client.call_tool(name, {"x": 5})).text == "5"


@pytest.mark.parametrize("hint", [Final, Final[int]], ids=repr)
def test_a_final_parameter_is_refused(hint: Any) -> None:
    def function(x: Any = 3) -> None: ...

    function.__annotations__["x"] = hint
    with pytest.raises(RegistrationError, match="cannot be Final"):
        Server("x").tool(function)
