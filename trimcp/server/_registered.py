"""What tools, prompts and resources have in common: options and registered functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import attrs

from ._described import option

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trimcp.functions import Function
    from trimcp.types import Icon

    from ._scopes import ScopeRule

__all__ = ["Decorator", "Options", "Registered", "decorator"]

FunctionT = TypeVar("FunctionT", bound="Callable[..., Any]")


@attrs.frozen(kw_only=True)
class Options:
    """The options that a user gives for a function; see `Server.tool`."""

    name: str | None = None
    title: str | None = None
    description: str | None = None
    icons: Sequence[Icon] | None = None
    meta: Mapping[str, Any] | None = None
    replay: bool = False
    single_use: bool = False
    scopes: ScopeRule = None

    def listed(self, function: Function) -> dict[str, Any]:
        """The fields that all lists have; the docstring is the default description."""
        return {
            "name": function.name,
            "title": self.title,
            "description": function.description if self.description is None else self.description,
            "icons": self.icons,
            "meta": self.meta,
        }

    def kept(self, label: str) -> dict[str, Any]:
        """How the function may ask its client, and who may use it. Raises RegistrationError."""
        return {
            "scopes": self.scopes,
            "replay": option(label, "replay", self.replay, bool),
            "single_use": option(label, "single_use", self.single_use, bool),
        }


@attrs.frozen(eq=False, kw_only=True)
class Registered:
    """A function as registered.

    Attributes:
        function: The function.
        replay: Whether it may run again from the start with recorded answers.
        single_use: Whether a state that it gave out is accepted only once.
        scopes: What a caller needs beside the server's own required scopes.
    """

    function: Function
    replay: bool
    single_use: bool
    scopes: ScopeRule


class Decorator(Protocol):
    """A decorator that returns the function unchanged."""

    def __call__(self, function: FunctionT, /) -> FunctionT: ...


def decorator(add: Callable[[Any], object]) -> Decorator:
    """A decorator that registers a function.

    Args:
        add: Registers it; what it returns is not used.
    """

    def register(function: FunctionT) -> FunctionT:
        add(function)
        return function

    return register
