"""Inspecting a user's function once, at registration.

Specification: Tools, Data Types.
"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
import pydantic
from pydantic.fields import FieldInfo

from trimcp.errors import RegistrationError

from ._arguments import Arguments, Binder, GivenBinder, ModelBinder
from ._attrs import adapted
from ._callables import check_by_name, check_named, inner_of, is_async, is_generator, signature_of
from ._docstrings import describe
from ._headers import check_headers
from ._pydantic import PlainSchema, adapter_for, first_line
from ._results import Output, final_hint, given_output, output_of
from ._schemas import InvalidSchema, SchemaChecker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from msgspec import Raw

    from trimcp.protocol import WireResult
    from trimcp.types import CallToolResult

__all__ = ["Function", "compile_function", "is_marked"]

_NO_ARGUMENTS: Final = b"{}"
#: Return annotations that mean a stream, for wrappers around generator functions.
_STREAMS: Final = (
    collections.abc.Iterator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)
#: Return annotations of functions that are not async but return an awaitable.
_AWAITABLES: Final = (collections.abc.Awaitable, collections.abc.Coroutine)


@attrs.frozen(eq=False)
class Function:
    """A function that can be called with JSON.

    Attributes:
        call: The function itself.
        name: Its name.
        description: The prose of its docstring, or None.
        input_schema: The schema of its arguments: an object.
        parameters: The names of its parameters, without the context.
        is_async: Whether it is a coroutine function. Others may still return an awaitable.
        is_stream: Whether it is a generator function.
        gives_stream: Whether it is another function, annotated to return an iterator.
        context: The name of the parameter that takes the `Context`, or None.
    """

    call: Callable[..., Any]
    name: str
    description: str | None
    input_schema: dict[str, Any]
    parameters: tuple[str, ...]
    is_async: bool
    is_stream: bool
    gives_stream: bool
    context: str | None
    _binder: Binder
    _output: Output

    @property
    def output_schema(self) -> dict[str, Any] | None:
        """The schema of its result; None if it only returns content."""
        return self._output.schema

    def bind(self, arguments: bytes | Raw | None) -> dict[str, Any]:
        """Validate raw JSON and return keyword arguments.

        Raises:
            BadArguments: They do not fit the schema.
        """
        return self._binder.bind(_NO_ARGUMENTS if arguments is None else bytes(arguments))

    def bind_text(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Validate values that came as text (a URI's variables, a prompt's arguments).

        Text is converted to the parameter's type: `"5"` to a number, `"[1, 2]"` to a list.

        Raises:
            BadArguments: They do not fit.
        """
        return self._binder.bind_text(values)

    def result(self, value: Any) -> CallToolResult:
        """Turn what the function returned into a tool result.

        Raises:
            TypeError, ValueError: It is not what the function promises, or it cannot be
                written as JSON.
        """
        try:
            return self._output.result(value)
        except (TypeError, ValueError) as error:
            error.add_note(self.advice(value))
            raise

    def advice(self, value: Any) -> str:
        """What to do about a result that cannot be used; a coroutine is closed."""
        code = getattr(inner_of(self.call), "__code__", None)
        where = f" ({code.co_filename}, line {code.co_firstlineno})" if code is not None else ""
        if inspect.iscoroutine(value):
            value.close()
            called = value.__qualname__
            return f"{self.name!r}{where} returned a coroutine: write `await` before {called}(...)."
        kind = type(value).__name__
        return f"{self.name!r}{where} returned a {kind}: correct that, or its return annotation."

    def wire_result(self, value: Any, *, structured: bool) -> WireResult | None:
        """The same, written already, or None; see `Output.wire_result`. Raises as `result`."""
        try:
            return self._output.wire_result(value, structured=structured)
        except (TypeError, ValueError) as error:
            error.add_note(self.advice(value))
            raise


def compile_function(
    function: Callable[..., Any],
    context_type: type,
    *,
    name: str | None = None,
    kind: str = "tool",
    input_schema: Mapping[str, Any] | None = None,
    output_schema: Mapping[str, Any] | None = None,
) -> Function:
    """Inspect a function and make its schemas, argument validation and result conversion.

    Args:
        function: A function, a bound method, a `functools.partial` or a callable object.
        context_type: The class whose annotation marks the context parameter.
        name: Its name, if not the function's own.
        kind: What it is registered as, for messages; only a tool's result has a schema.
        input_schema: The schema of the arguments, if not made from the signature; the function
            then takes all of them as one mapping.
        output_schema: The schema of the result, if not made from the return annotation.

    Raises:
        RegistrationError: A parameter or the result has no JSON Schema, a given schema cannot be
            used, or the function cannot be called with named arguments.
    """
    known = name or _name_of(function)
    label = f"{kind} {known!r}"
    signature, hints = signature_of(function, label)
    check_by_name(function, signature, label)
    description, documented = describe(inner_of(function))
    is_stream = is_generator(function)
    if is_stream and kind != "tool":
        raise RegistrationError(f"{label}: only a tool may be a generator")
    context, parameters = _without_context(label, signature, hints, context_type)
    if input_schema is None:
        schema, binder = _from_signature(label, parameters, hints, documented)
    else:
        schema, binder = _from_schema(label, parameters, dict(input_schema))
    returned = hints.get("return", signature.return_annotation)
    if typing.get_origin(returned) in _AWAITABLES and not is_async(function):
        returned = (Any, *typing.get_args(returned))[-1]
    gives_stream = not is_stream and kind == "tool" and typing.get_origin(returned) in _STREAMS
    if is_stream or typing.get_origin(returned) in _STREAMS:
        returned = final_hint(returned)
    return Function(
        function,
        known,
        description,
        schema,
        tuple(parameter.name for parameter in parameters),
        is_async(function),
        is_stream,
        gives_stream,
        context,
        binder,
        _output(label, kind, returned, output_schema),
    )


def _name_of(function: Any) -> str:
    """Its name, for messages and as a tool's name."""
    found = getattr(function, "__name__", None) or getattr(inner_of(function), "__name__", None)
    return type(function).__name__ if found in (None, "__call__") else str(found)


def _without_context(
    label: str, signature: inspect.Signature, hints: dict[str, Any], context_type: type
) -> tuple[str | None, list[inspect.Parameter]]:
    """The name of the parameter that takes the context, and the other parameters."""
    context: str | None = None
    others = []
    for parameter in signature.parameters.values():
        check_named(parameter, label)
        if not is_marked(hints.get(parameter.name, parameter.annotation), context_type):
            others.append(parameter)
            continue
        if context is not None:
            raise RegistrationError(
                f"{label}: {context!r} and {parameter.name!r} both take the context; keep one"
            )
        context = parameter.name
    return context, others


def is_marked(hint: Any, marker: type) -> bool:
    """Whether an annotation is this class, `Class[...]`, or a union with it."""
    origin = typing.get_origin(hint) or hint
    if origin is Annotated:
        return is_marked(typing.get_args(hint)[0], marker)
    if origin in (typing.Union, types.UnionType):
        return any(is_marked(each, marker) for each in typing.get_args(hint))
    return isinstance(origin, type) and issubclass(origin, marker)


# -- arguments --------------------------------------------------------------------------------


def _from_signature(
    label: str,
    parameters: list[inspect.Parameter],
    hints: dict[str, Any],
    documented: dict[str, str],
) -> tuple[dict[str, Any], Binder]:
    """The input schema and the binder from the parameters' annotations."""
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    for parameter in parameters:
        hint = hints.get(parameter.name, parameter.annotation)
        field = f"arg_{len(names)}"
        fields[field] = _field(label, parameter, hint, documented.get(parameter.name))
        names[field] = parameter.name
    try:
        model = pydantic.create_model("Arguments", __base__=Arguments, **fields)
    except (pydantic.errors.PydanticUserError, TypeError) as error:
        raise RegistrationError(f"{label}: {first_line(error)}") from error
    schema = model.model_json_schema(by_alias=True, schema_generator=PlainSchema)
    schema.pop("title", None)
    schema.pop("description", None)
    schema.setdefault("properties", {})
    check_headers(label, schema)
    return schema, ModelBinder(model, names)


def _field(
    label: str, parameter: inspect.Parameter, hint: Any, description: str | None
) -> tuple[Any, Any]:
    """The annotation and default of one parameter, for pydantic's model."""
    where = f"{label}, parameter {parameter.name!r}"
    annotation = Any if hint is parameter.empty else hint
    if typing.Final in (hint, typing.get_origin(hint)):
        # pydantic would treat it as a constant, not as an argument.
        raise RegistrationError(f"{where}: a parameter cannot be Final; write its type alone")
    adapter_for(annotation, where)
    default = ... if parameter.default is parameter.empty else parameter.default
    extra: dict[str, Any] = {"alias": parameter.name}
    if description and not _has_description(annotation, default):
        extra["description"] = description
    # An alias, since some argument names have a meaning in pydantic's classes.
    return Annotated[adapted(annotation), pydantic.Field(**extra)], default


def _has_description(annotation: Any, default: Any) -> bool:
    """Whether the user described the argument with `Field(description=…)`."""
    metadata = (*getattr(annotation, "__metadata__", ()), default)
    return any(isinstance(each, FieldInfo) and each.description for each in metadata)


def _from_schema(
    label: str, parameters: list[inspect.Parameter], schema: dict[str, Any]
) -> tuple[dict[str, Any], Binder]:
    """The binder for a schema that the user gave."""
    if schema.get("type") != "object":
        raise RegistrationError(f'{label}: its input schema must have "type": "object"')
    if len(parameters) != 1:
        raise RegistrationError(
            f"{label}: with an input schema given, the function takes one mapping, and "
            "optionally the context"
        )
    try:
        checker = SchemaChecker(schema)
    except InvalidSchema as error:
        raise RegistrationError(f"{label}, its input schema: {error}") from error
    return schema, GivenBinder(checker, parameters[0].name)


# -- result -----------------------------------------------------------------------------------


def _output(label: str, kind: str, hint: Any, schema: Mapping[str, Any] | None) -> Output:
    if schema is not None:
        return given_output(schema, label)
    return output_of(hint, label) if kind == "tool" else Output()
