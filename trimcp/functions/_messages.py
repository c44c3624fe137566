"""Functions that take params and return results as a whole: methods of extensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import msgspec
import pydantic

from trimcp.errors import RegistrationError

from ._arguments import BadArguments
from ._bounded import bounded_validator
from ._callables import check_by_name, check_named, is_async, is_generator, signature_of
from ._compile import is_marked
from ._pydantic import adapter_for, dump, explain, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import SchemaValidator

__all__ = ["MessageFunction", "compile_message"]


@attrs.frozen(eq=False)
class MessageFunction:
    """A function that is called with the params of a message.

    Attributes:
        call: The function itself.
        is_async: Whether it is a coroutine function.
        given: The names of the parameters that take other objects, by the class of the object.
    """

    call: Callable[..., Any]
    is_async: bool
    given: Mapping[type, str]
    _parameter: str | None
    _params: SchemaValidator
    _result: pydantic.TypeAdapter[Any] | None

    def bind(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Validate params and return keyword arguments. Raises BadArguments."""
        if self._parameter is None:
            return {}
        try:
            return {self._parameter: self._params.validate_json(msgspec.json.encode(params))}
        except pydantic.ValidationError as error:
            raise BadArguments(explain(error)) from None

    def result(self, value: Any) -> dict[str, Any]:
        """The result in wire form.

        Raises:
            TypeError, ValueError: It is not what the function promises, or not an object.
        """
        if value is None:
            return {}
        if self._result is None:
            raw = to_json(value)
        else:
            raw = dump(self._result, self._result.validate_python(value))
        wire = msgspec.json.decode(raw)
        if not isinstance(wire, dict):
            raise TypeError(f"the result of a method is an object, not {type(value).__name__}")
        return wire


def compile_message(
    function: Callable[..., Any], label: str, markers: tuple[type, ...]
) -> MessageFunction:
    """Inspect a function that takes params, and other objects by their annotations.

    Args:
        function: A function of at most one parameter besides the marked ones.
        label: Its name in messages.
        markers: Classes whose annotation marks a parameter for another object.

    Raises:
        RegistrationError: It takes more, or its annotations cannot be used.
    """
    signature, hints = signature_of(function, label)
    check_by_name(function, signature, label)
    if is_generator(function):
        raise RegistrationError(f"{label}: only a tool may be a generator")
    given: dict[type, str] = {}
    params: list[tuple[str, Any]] = []
    for name, parameter in signature.parameters.items():
        check_named(parameter, label)
        hint = hints.get(name, dict[str, Any])
        marker = next((each for each in markers if is_marked(hint, each)), None)
        if marker is None:
            params.append((name, hint))
        elif marker in given:
            raise RegistrationError(
                f"{label}: {given[marker]!r} and {name!r} take the same; keep one"
            )
        else:
            given[marker] = name
    if len(params) > 1:
        raise RegistrationError(f"{label}: its function takes the params as one parameter")
    hint = params[0][1] if params else dict[str, Any]
    returned = hints.get("return", Any)
    is_plain = returned in (Any, None, type(None))
    return MessageFunction(
        function,
        is_async(function),
        given,
        params[0][0] if params else None,
        bounded_validator(adapter_for(hint, f"{label}, its params").core_schema),
        None if is_plain else adapter_for(returned, f"{label}, its result"),
    )
