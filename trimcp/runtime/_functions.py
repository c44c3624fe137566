"""A user's function as a tool: JSON Schemas out, validated arguments and content in.

The only place that knows pydantic.

Specification: Tools, Data Types and Tool Result.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
import msgspec
import pydantic
from msgspec import Raw
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from trimcp.errors import RegistrationError
from trimcp.types import (
    UNSET,
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from ._docstrings import describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["BadArguments", "Form", "Function", "compile_form", "compile_function"]

_CONTENT: Final = (TextContent, ImageContent, AudioContent, ResourceLink, EmbeddedResource)
_NO_ARGUMENTS: Final = b"{}"


class BadArguments(ValueError):
    """The arguments do not fit; the message has one line for each flaw, with its JSON path."""


class _Schema(GenerateJsonSchema):
    """JSON Schema without the titles that only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def get_title_from_name(self, name: str) -> str:
        return ""


class _Arguments(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=False,
        protected_namespaces=(),
        populate_by_name=False,
    )


@attrs.frozen(eq=False)
class Function:
    """A function that can be called with JSON.

    Attributes:
        call: The function itself.
        name: Its name.
        description: The prose of its docstring, or None.
        input_schema: The schema of its arguments: an object.
        output_schema: The schema of its result, or None when it gives content only.
        is_async: Whether it is a coroutine function.
        context: The name of the parameter that takes the `Context`, or None.
    """

    call: Callable[..., Any]
    name: str
    description: str | None
    input_schema: dict[str, Any]
    output_schema: dict[str, Any] | None
    is_async: bool
    context: str | None
    _model: type[_Arguments]
    _names: dict[str, str]
    _output: pydantic.TypeAdapter[Any] | None

    def bind(self, arguments: bytes | Raw | None) -> dict[str, Any]:
        """Validate raw JSON and return keyword arguments.

        Raises:
            BadArguments: They do not fit the schema.
        """
        raw = _NO_ARGUMENTS if arguments is None else bytes(arguments)
        try:
            values = self._model.__pydantic_validator__.validate_json(raw).__dict__
        except pydantic.ValidationError as error:
            raise BadArguments(_explain(error)) from None
        return {name: values[field] for field, name in self._names.items()}

    def bind_text(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Validate values that came as text (a URI's variables, a prompt's arguments).

        Text is read as the parameter's type: `"5"` as a number, `"[1, 2]"` as a list.

        Raises:
            BadArguments: They do not fit.
        """
        validator = self._model.__pydantic_validator__
        try:
            fields = validator.validate_python(dict(values)).__dict__
        except pydantic.ValidationError as error:
            try:
                fields = validator.validate_python(
                    {name: _parsed(value) for name, value in values.items()}
                ).__dict__
            except pydantic.ValidationError:
                raise BadArguments(_explain(error)) from None
        return {name: fields[field] for field, name in self._names.items()}

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of its parameters, the context left out."""
        return tuple(self._names.values())

    def result(self, value: Any) -> CallToolResult:
        """Turn what the function returned into a tool result.

        Raises:
            TypeError, ValueError: It is not what the function's annotation promises, or it
                cannot be written as JSON.
        """
        if isinstance(value, CallToolResult):
            return value
        if self._output is not None:
            checked = self._output.validate_python(value)
            raw = self._output.dump_json(checked, by_alias=True)
            return CallToolResult((TextContent(raw.decode()),), structured_content=Raw(raw))
        return _content_of(value)


def _parsed(text: Any) -> Any:
    """The JSON in a text, or the text itself."""
    try:
        return msgspec.json.decode(text) if isinstance(text, str) else text
    except (msgspec.DecodeError, RecursionError):
        return text


def to_json(value: Any) -> bytes:
    """Any value that pydantic knows how to write. Raises TypeError or ValueError."""
    return pydantic.TypeAdapter(type(value)).dump_json(value, by_alias=True)


def convert(value: Any, cls: Any) -> Any:
    """A value of JSON as any type that pydantic knows. Raises ValueError."""
    return pydantic.TypeAdapter(cls).validate_python(value)


def _content_of(value: Any) -> CallToolResult:
    """The result of a function whose annotation promises no structure."""
    if value is None:
        return CallToolResult(())
    if isinstance(value, str):
        return CallToolResult((TextContent(value),))
    if isinstance(value, _CONTENT):
        return CallToolResult((value,))
    if isinstance(value, (list, tuple)) and value and all(_is_block(each) for each in value):
        return CallToolResult(tuple(_block(each) for each in value))
    raw = to_json(value)
    structured: Any = Raw(raw) if raw[:1] == b"{" else UNSET
    return CallToolResult((TextContent(raw.decode()),), structured_content=structured)


def _is_block(value: Any) -> bool:
    return isinstance(value, (str, *_CONTENT))


def _block(value: Any) -> Any:
    return TextContent(value) if isinstance(value, str) else value


def compile_function(
    function: Callable[..., Any],
    context_type: type,
    *,
    name: str | None = None,
    kind: str = "tool",
) -> Function:
    """Look at a function once, at registration.

    Args:
        function: A function, a bound method, a `functools.partial` or a callable object.
        context_type: The class whose annotation marks the context parameter.
        name: Its name, if not the function's own.
        kind: What it is to become, for messages; only a tool's result has a schema.

    Raises:
        RegistrationError: A parameter or the result cannot become JSON Schema, or the function
            is of a kind that cannot be called with named arguments.
    """
    known = name or getattr(function, "__name__", None) or _inner_name(function)
    label = f"{kind} {known!r}"
    signature, hints = _signature(function, label)
    description, documented = describe(_inner(function))
    context: str | None = None
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    for parameter in signature.parameters.values():
        hint = hints.get(parameter.name, parameter.annotation)
        if _is_context(hint, context_type):
            context = parameter.name
            continue
        field = f"arg_{len(names)}"
        fields[field] = _field(label, parameter, hint, documented.get(parameter.name))
        names[field] = parameter.name
    model = _model(label, fields)
    returned = hints.get("return", signature.return_annotation)
    output = _output(label, returned) if kind == "tool" else None
    return Function(
        function,
        known,
        description,
        _input_schema(model),
        None if output is None else _output_schema(output),
        _is_async(function),
        context,
        model,
        names,
        output,
    )


def _inner(function: Callable[..., Any]) -> Callable[..., Any]:
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function):
        return function
    return type(function).__call__  # a callable object


def _inner_name(function: Callable[..., Any]) -> str:
    inner = function.func if isinstance(function, functools.partial) else type(function)
    return getattr(inner, "__name__", "tool")


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(_inner(function))


def _signature(
    function: Callable[..., Any], label: str
) -> tuple[inspect.Signature, dict[str, Any]]:
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(_inner(function), include_extras=True)
    except (TypeError, ValueError, NameError, AttributeError) as error:
        raise RegistrationError(f"{label}: its annotations cannot be read: {error}") from error
    if inspect.isasyncgenfunction(_inner(function)) or inspect.isgeneratorfunction(
        _inner(function)
    ):
        raise RegistrationError(f"{label}: generators are not supported yet")
    return signature, hints


def _is_context(hint: Any, context_type: type) -> bool:
    origin = typing.get_origin(hint) or hint
    if origin is Annotated:
        return _is_context(typing.get_args(hint)[0], context_type)
    if origin in (typing.Union, types.UnionType):
        return any(_is_context(each, context_type) for each in typing.get_args(hint))
    return isinstance(origin, type) and issubclass(origin, context_type)


def _field(
    label: str, parameter: inspect.Parameter, hint: Any, description: str | None
) -> tuple[Any, Any]:
    """The annotation and field of one parameter, for pydantic's model."""
    where = f"{label}, parameter {parameter.name!r}"
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise RegistrationError(f"{where}: *args and **kwargs have no JSON Schema")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise RegistrationError(f"{where}: arguments are passed by name, so drop the '/'")
    annotation = Any if hint is parameter.empty else hint
    default = ... if parameter.default is parameter.empty else parameter.default
    extra: dict[str, Any] = {"alias": parameter.name}
    if description and not _has_description(annotation, default):
        extra["description"] = description
    try:
        pydantic.TypeAdapter(annotation).json_schema()
    except pydantic.errors.PydanticUserError as error:
        raise RegistrationError(f"{where}: {_first_line(error)}") from error
    # An alias, since some argument names mean something to pydantic's own classes.
    return Annotated[annotation, pydantic.Field(**extra)], default


def _has_description(annotation: Any, default: Any) -> bool:
    """Whether the user described the argument with `Field(description=…)`."""
    metadata = (*getattr(annotation, "__metadata__", ()), default)
    return any(isinstance(each, FieldInfo) and each.description for each in metadata)


def _model(label: str, fields: dict[str, Any]) -> type[_Arguments]:
    try:
        return pydantic.create_model("Arguments", __base__=_Arguments, **fields)
    except (pydantic.errors.PydanticUserError, TypeError) as error:
        raise RegistrationError(f"{label}: {_first_line(error)}") from error


def _input_schema(model: type[_Arguments]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, schema_generator=_Schema)
    schema.pop("title", None)
    schema.pop("description", None)
    schema.setdefault("properties", {})
    return schema


def _output(label: str, hint: Any) -> pydantic.TypeAdapter[Any] | None:
    """The adapter of an annotation that promises structure."""
    if hint in (inspect.Parameter.empty, inspect.Signature.empty, Any, None, type(None), str):
        return None
    if any(_mentions_content(each) for each in _flatten(hint)):
        return None
    try:
        adapter = pydantic.TypeAdapter(hint)
        adapter.json_schema(mode="serialization")
    except pydantic.errors.PydanticUserError as error:
        raise RegistrationError(f"{label}, its result: {_first_line(error)}") from error
    return adapter


def _output_schema(adapter: pydantic.TypeAdapter[Any]) -> dict[str, Any]:
    schema = adapter.json_schema(mode="serialization", schema_generator=_Schema)
    schema.pop("title", None)
    return schema


def _flatten(hint: Any) -> typing.Iterator[Any]:
    """A hint and everything inside it."""
    yield hint
    for inner in typing.get_args(hint):
        yield from _flatten(inner)


def _mentions_content(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, (*_CONTENT, CallToolResult))


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]


def _explain(error: pydantic.ValidationError) -> str:
    """One line for each flaw: JSON path and what was expected. Inputs are not repeated."""
    lines = []
    for flaw in error.errors(include_url=False, include_context=False, include_input=False)[:20]:
        path = "$" + "".join(
            f"[{step}]" if isinstance(step, int) else f".{step}" for step in flaw["loc"]
        )
        lines.append(f"{path}: {flaw['msg']}")
    return "\n".join(lines)


# -- questions --------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Form:
    """What a form question asks for.

    Attributes:
        schema: The requested schema: a flat object of primitive properties.
    """

    schema: dict[str, Any]
    _adapter: pydantic.TypeAdapter[Any]

    def read(self, content: Any) -> Any:
        """The user's input as the asked type. Raises BadArguments."""
        try:
            return self._adapter.validate_python(content)
        except pydantic.ValidationError as error:
            raise BadArguments(_explain(error)) from None


_PRIMITIVES: Final = frozenset({"string", "number", "integer", "boolean"})


@functools.lru_cache(maxsize=256)
def compile_form(asked: Any) -> Form:
    """The form for a pydantic model, a dataclass or a TypedDict.

    Raises:
        RegistrationError: It is no object type, or a property is not a string, number, integer,
            boolean, enumeration of strings or list of such.

    Specification: Elicitation, Requested Schema.
    """
    try:
        adapter = pydantic.TypeAdapter(asked)
        schema = adapter.json_schema(schema_generator=_Schema)
    except pydantic.errors.PydanticUserError as error:
        raise RegistrationError(f"a question for {asked!r}: {_first_line(error)}") from error
    if schema.get("type") != "object" or "properties" not in schema:
        raise RegistrationError(
            f"a question asks for a model, a dataclass or a TypedDict, not {asked!r}"
        )
    definitions = schema.get("$defs", {})
    properties = {
        name: _property(asked, name, each, definitions)
        for name, each in schema["properties"].items()
    }
    form: dict[str, Any] = {"type": "object", "properties": properties}
    if schema.get("required"):
        form["required"] = schema["required"]
    return Form(form, adapter)


def _property(asked: Any, name: str, schema: dict[str, Any], definitions: Any) -> dict[str, Any]:
    """One property, with a reference to an enumeration resolved."""
    reference = schema.get("$ref") or (schema.get("allOf") or [{}])[0].get("$ref")
    if reference is not None:
        schema = {**definitions[reference.rpartition("/")[2]], **schema}
        schema.pop("$ref", None)
        schema.pop("allOf", None)
    if "const" in schema and "enum" not in schema:
        schema["enum"] = [schema.pop("const")]
    if schema.get("type") == "array" and "$ref" in schema.get("items", {}):
        schema["items"] = dict(definitions[schema["items"]["$ref"].rpartition("/")[2]])
    items = schema.get("items", {})
    is_choice = schema.get("type") == "array" and ("enum" in items or "anyOf" in items)
    if schema.get("type") not in _PRIMITIVES and not is_choice:
        raise RegistrationError(
            f"a question for {getattr(asked, '__name__', asked)!r}, property {name!r}: forms "
            "know only strings, numbers, integers, booleans and choices"
        )
    return schema
