"""Completion of arguments, for prompts and resource templates.

Specification: Completion.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import trio

from trimcp.errors import RegistrationError
from trimcp.functions import is_async, is_async_generator, is_marked, signature_of
from trimcp.runtime import awaited
from trimcp.types import Completion

from ._context import Context, enter_context
from ._register import Named

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Completer", "CompletionKey", "CompletionRegister", "completion_key"]

#: The specification allows no more suggestions in one answer.
MAX_VALUES: Final = 100

#: What is completed: `prompt` or `resource`, the name or URI template, the argument.
CompletionKey: TypeAlias = "tuple[str, str, str]"


@attrs.frozen(eq=False)
class Completer:
    """A user's function that suggests values.

    Attributes:
        call: The function.
        is_async: Whether it is a coroutine function.
        takes_arguments: Whether it takes the values of the other arguments.
        context: The name of the parameter that takes the `Context`, or None.
    """

    call: Callable[..., Any]
    is_async: bool
    takes_arguments: bool
    context: str | None

    async def complete(
        self, context: Context[Any], value: str, arguments: Mapping[str, str]
    ) -> Completion:
        """Call the function; suggestions beyond the protocol's maximum are counted and left out.

        Raises:
            TypeError: The function returned something else.
        """
        enter_context(context)
        given = (value, dict(arguments)) if self.takes_arguments else (value,)
        named = {} if self.context is None else {self.context: context}
        call = functools.partial(self.call, *given, **named)
        if self.is_async:
            return _completion(await call())
        return _completion(
            await awaited(await context._application.threads.run(_collected, {"call": call}))
        )


def _collected(call: Callable[[], Any]) -> Any:
    """Call a function, and run a generator that it returns; used in a worker thread."""
    found = call()
    return list(found) if inspect.isgenerator(found) else found


def _completion(found: Any) -> Completion:
    if isinstance(found, Completion):
        values = _texts(found.values)
        total, has_more = found.total, found.has_more
    else:
        values = _texts(found)
        total, has_more = len(values), False
    if len(values) > MAX_VALUES:
        total = len(values) if total is None else total
        has_more = True
    return Completion(values[:MAX_VALUES], total, has_more)


def _texts(values: Any) -> list[str]:
    """The suggestions as texts. A single text is refused: it would be split into its letters."""
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Iterable):
        raise TypeError(
            f"a completion gives a list of texts or a Completion, not {type(values).__name__}"
        )
    return [_suggestion(each) for each in values]


def _suggestion(value: Any) -> str:
    """One suggestion as text; a number is converted to text."""
    if not isinstance(value, (str, int, float)):
        raise TypeError(f"a completion suggests texts, not {type(value).__name__}")
    return str(value)


def completion_key(argument: str, prompt: str | None, resource: str | None) -> CompletionKey:
    """The key of a completion. Raises RegistrationError unless exactly one of the two is given."""
    if (prompt is None) == (resource is None):
        raise RegistrationError("a completion is for a prompt= or for a resource= template")
    return ("prompt", prompt, argument) if prompt else ("resource", resource or "", argument)


class CompletionRegister:
    """The completers of one server."""

    def __init__(self) -> None:
        self._completers: Named[CompletionKey, Completer] = Named()

    def __len__(self) -> int:
        return len(self._completers)

    def add(self, key: CompletionKey, function: Callable[..., Any]) -> None:
        """Register a function for an argument. Raises RegistrationError."""
        label = f"completion of {key[2]!r} for {key[0]} {key[1]!r}"
        self._completers.add(key, _completer(function, label), label)

    async def complete(
        self,
        context: Context[Any],
        key: CompletionKey,
        value: str,
        arguments: Mapping[str, str],
    ) -> Completion:
        """Suggestions for an argument; none where nothing is registered."""
        completer = self._completers.find(key)
        if completer is None:
            await trio.lowlevel.checkpoint()
            return Completion((), 0, False)
        return await completer.complete(context, value, arguments)


def _completer(function: Callable[..., Any], label: str) -> Completer:
    """Make the completer of a function. Raises RegistrationError."""
    signature, hints = signature_of(function, label, needs_types=False)
    if is_async_generator(function):
        raise RegistrationError(f"{label}: an async generator; return a list")
    contexts = [name for name in signature.parameters if is_marked(hints.get(name), Context)]
    others = [each for name, each in signature.parameters.items() if name not in contexts]
    plain = signature.replace(parameters=others)
    for takes_arguments in (True, False):
        try:
            plain.bind(*([None] * (2 if takes_arguments else 1)))
        except TypeError:
            continue
        if len(contexts) < 2:
            context = contexts[0] if contexts else None
            return Completer(function, is_async(function), takes_arguments, context)
    raise RegistrationError(
        f"{label}: the function takes the value so far, and optionally the other arguments"
    )
