"""Functions that cannot be looked at are refused, and those that give an awaitable are not."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine  # noqa: TC003  read at run time
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
