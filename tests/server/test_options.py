"""Options of a server that cannot be used are refused where they are given."""

from __future__ import annotations

import math
from typing import Any

import pytest

from trimcp import RegistrationError, Server, ToolError, open_client


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shutdown_grace", "1"),
        ("shutdown_grace", -1),
        ("shutdown_grace", math.nan),
        ("shutdown_grace", True),
        ("eof_grace", None),
        ("eof_grace", -0.5),
        ("limits", {}),
        ("bus", 5),
        ("nonces", 5),
    ],
)
def test_an_option_that_cannot_be_used_is_refused_by_name(name: str, value: Any) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(RegistrationError, match=name):
        Server("x", **options)


async def test_a_lifespan_that_gives_no_context_manager_says_so() -> None:
    lifespan: Any = lambda server: None  # noqa: E731
    with pytest.RaisesGroup(
        pytest.RaisesExc(RegistrationError, match="async context manager"),
        allow_unwrapped=True,
        flatten_subgroups=True,
    ):
        async with open_client(Server("x", lifespan=lifespan)):
            pass


async def test_an_empty_tool_error_is_what_was_said() -> None:
    server = Server("x")

    @server.tool
    async def fails() -> str:
        raise ToolError("")

    async with open_client(server) as client:
        result = await client.call_tool("fails")
    assert result.is_error
    assert result.text == ""
