"""Completion of arguments, for prompts and resource templates.

Specification: Completion.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import trio

from trimcp.errors import RegistrationError
from trimcp.types import Completion

from ._context import Context, enter_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trimcp.runtime import Frame

    from ._application import Application

__all__ = ["Completer", "CompletionKey", "CompletionRegister"]

#: The specification allows no more suggestions in one answer.
MAX_VALUES: Final = 100

#: What is completed: the kind of thing, its name or URI template, the argument.
CompletionKey: TypeAlias = "tuple[str, str, str]"


@attrs.frozen(eq=False)
class Completer:
    """A user's function that suggests values."""

    call: Callable[..., Any]
    is_async: bool
    takes_arguments: bool

    async def complete(
        self, application: Application, frame: Frame, value: str, arguments: Mapping[str, str]
    ) -> Completion:
        """Ask for suggestions; more than the protocol allows are counted and cut off."""
        enter_context(Context(frame, application))
        given = (value, dict(arguments)) if self.takes_arguments else (value,)
        if self.is_async:
            found = await self.call(*given)
        else:
            positional = dict(zip(("value", "arguments"), given, strict=False))
            found = await application.threads.run(_call, {"call": self.call, **positional})
        if isinstance(found, Completion):
            return found
        values = [str(each) for each in found]
        return Completion(values[:MAX_VALUES], len(values), len(values) > MAX_VALUES)


def _call(call: Callable[..., Any], **given: Any) -> Any:
    return call(*given.values())


class CompletionRegister:
    """The completers of one server."""

    def __init__(self) -> None:
        self._completers: dict[CompletionKey, Completer] = {}

    def __len__(self) -> int:
        return len(self._completers)

    def add(self, key: CompletionKey, function: Callable[..., Any]) -> None:
        """Register a function for an argument. Raises RegistrationError."""
        label = f"completion of {key[2]!r} for {key[0]} {key[1]!r}"
        if key in self._completers:
            raise RegistrationError(f"{label} is already registered")
        count = len(inspect.signature(function).parameters)
        if count not in (1, 2):
            raise RegistrationError(
                f"{label}: the function takes the value so far, and optionally the other arguments"
            )
        self._completers[key] = Completer(
            function, inspect.iscoroutinefunction(function), count == 2
        )

    async def complete(
        self,
        application: Application,
        frame: Frame,
        key: CompletionKey,
        value: str,
        arguments: Mapping[str, str],
    ) -> Completion:
        """Suggestions for an argument; none where nothing is registered."""
        completer = self._completers.get(key)
        if completer is None:
            await trio.lowlevel.checkpoint()
            return Completion((), 0, False)
        return await completer.complete(application, frame, value, arguments)
