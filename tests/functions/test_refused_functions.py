"""Functions that cannot be looked at are refused with a RegistrationError."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from trimcp import RegistrationError, Server


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
