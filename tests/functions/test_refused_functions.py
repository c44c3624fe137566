"""Functions that cannot be looked at are refused, and those that give an awaitable are not."""

from __future__ import annotations

from collections.abc import (  # noqa: TC003  read at run time
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from typing import Any, Literal

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
