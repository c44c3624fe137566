"""Making a tool result from what a tool returned.

The JSON that is sent is checked against the listed schema, also if the function returns a whole
`CallToolResult`.

Specification: Tools, Tool Result; Output Schema.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from pydantic_core import from_json

from trimcp.errors import RegistrationError
from trimcp.protocol import refuse_non_finite
from trimcp.types import UNSET, CallToolResult

from ._blocks import CONTENT, content_result, structured_result, written_result, written_text
from ._final import Final
from ._input_required import InputRequired
from ._pydantic import PlainSchema, adapter_for, dump, to_json
from ._schemas import InvalidSchema, SchemaChecker
from ._sure import always_fits, scalar_class

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pydantic

    from trimcp.protocol import WireResult

__all__ = ["Output", "final_hint", "given_output", "output_of"]


class Output:
    """Makes results from a function's values; this class promises no structured content.

    Args:
        promised: Whether the return annotation promises content.

    Attributes:
        schema: The output schema, or None.
    """

    schema: dict[str, Any] | None = None

    def __init__(self, *, promised: bool = False) -> None:
        self._promised = promised

    def result(self, value: Any) -> CallToolResult:
        """The result. Raises TypeError or ValueError if the value is not what was promised."""
        if isinstance(value, CallToolResult):
            return value
        return content_result(value, promised=self._promised)

    def wire_result(self, value: Any, *, structured: bool) -> WireResult | None:
        """The same result written already, where the function alone decides what is written.

        Args:
            value: What the function returned.
            structured: Whether structured content may be any JSON.

        Returns:
            None for all other values.

        Raises:
            TypeError, ValueError: As `result`.
        """
        return written_text(value) if type(value) is str else None


class SchemaOutput(Output):
    """Structured content that an output schema promises.

    Args:
        schema: The schema.

    Raises:
        InvalidSchema: It cannot be used.
    """

    _is_text = False

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__()
        self.schema = schema
        self._checker  # noqa: B018 compiled now, to refuse an invalid schema now

    @functools.cached_property
    def _checker(self) -> SchemaChecker:
        assert self.schema is not None
        return SchemaChecker(self.schema)

    def result(self, value: Any) -> CallToolResult:
        if isinstance(value, CallToolResult):
            self._check_whole(value)
            return value
        return structured_result(value, self._write(value), is_text=self._is_text)

    def wire_result(self, value: Any, *, structured: bool) -> WireResult | None:
        # A revision may have to wrap structured content, and others what a whole result holds.
        if not structured or isinstance(value, CallToolResult):
            return None
        return written_result(value, self._write(value), is_text=self._is_text)

    def _write(self, value: Any) -> bytes:
        """The JSON that is sent. Raises TypeError or ValueError if it does not fit."""
        raw = to_json(value)
        self._check(raw)
        return raw

    def _check_whole(self, result: CallToolResult) -> None:
        if result.is_error:
            return
        if result.structured_content is UNSET:
            raise ValueError("the tool declares structured content and returned none")
        if not isinstance(result.structured_content, msgspec.Raw):
            refuse_non_finite(result.structured_content)
        self._check(msgspec.json.encode(result.structured_content))

    def _check(self, raw: bytes) -> None:
        flaws = self._checker.flaws(from_json(raw, allow_inf_nan=False))
        if flaws is not None:
            raise ValueError(
                f"the tool's structured content does not match its output schema:\n{flaws}"
            )


class AnnotatedOutput(SchemaOutput):
    """Structured content that the return annotation promises.

    Args:
        adapter: The adapter of the annotation.
        is_text: Whether its values are text or None.

    Raises:
        InvalidSchema: The schema that follows from it cannot be checked.
    """

    def __init__(self, adapter: pydantic.TypeAdapter[Any], *, is_text: bool) -> None:
        self._is_text = is_text
        self._adapter = adapter
        self._is_sure = always_fits(adapter.core_schema)
        self._scalar = scalar_class(adapter.core_schema)
        schema = adapter.json_schema(mode="serialization", schema_generator=PlainSchema)
        schema.pop("title", None)
        if _has_binary(schema):
            raise InvalidSchema(_BINARY)
        if self._is_sure:
            self.schema = schema
        else:
            super().__init__(schema)

    def _write(self, value: Any) -> bytes:
        value = self._adapter.validator.validate_python(value)
        is_as_promised = type(value) is self._scalar
        raw = dump(self._adapter, value, strict=self._is_sure and not is_as_promised)
        if not self._is_sure:
            self._check(raw)
        return raw


# -- which kind a function returns ------------------------------------------------------------

_NOTHING = (inspect.Signature.empty, Any, None, type(None), typing.NoReturn, typing.Never)
_TEXT = (str, bytes, bytearray, memoryview)
_BINARY = (
    "JSON has no bytes; return text, or a model with model_config = "
    "ConfigDict(ser_json_bytes='base64'), or bytes alone as content"
)
_SEQUENCES = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)


def output_of(hint: Any, label: str) -> Output:
    """The `Output` for a return annotation. Raises RegistrationError."""
    hint = _without_questions(hint)
    if hint in _NOTHING or hint is str or _has_bytes(hint):
        return Output()
    if any(_is_content(each) or _is_list_of_bytes(each) for each in _members(hint)):
        return Output(promised=True)
    label = f"{label}, its result"
    adapter = adapter_for(hint, label)
    try:
        return AnnotatedOutput(adapter, is_text=all(_is_text(each) for each in _members(hint)))
    except InvalidSchema as error:
        raise RegistrationError(f"{label} has a schema that cannot be checked: {error}") from error


def given_output(schema: Mapping[str, Any], label: str) -> Output:
    """The `Output` for a JSON Schema that the user gave. Raises RegistrationError."""
    try:
        return SchemaOutput(dict(schema))
    except InvalidSchema as error:
        raise RegistrationError(f"{label}, its output schema: {error}") from error


def final_hint(hint: Any) -> Any:
    """The type of a streaming tool's result: that of its `Final`; Any without a `Final`."""
    for each in _flatten(hint):
        if typing.get_origin(each) is Final:
            return typing.get_args(each)[0]
    return Any


def _without_questions(hint: Any) -> Any:
    """A union without `InputRequired`, which is not a result."""
    members = typing.get_args(hint)
    if hint is InputRequired:
        return None
    if InputRequired not in members:
        return hint
    return typing.Union[tuple(each for each in members if each is not InputRequired)]  # noqa: UP007


def _members(hint: Any) -> tuple[Any, ...]:
    """The members of a union; the hint itself if it is not a union."""
    if typing.get_origin(hint) is Annotated:
        return _members(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(each for member in typing.get_args(hint) for each in _members(member))
    return (hint,)


def _has_bytes(hint: Any) -> bool:
    """Whether it is bytes, or a union of bytes with text or None."""
    members = set(_members(hint))
    return bool(members & set(_TEXT[1:])) and members <= {*_TEXT, *_NOTHING}


def _is_list_of_bytes(hint: Any) -> bool:
    """Whether it is a list of bytes, or of bytes and text, which becomes a block for each item."""
    inner = [each for each in typing.get_args(hint) if each is not Ellipsis]
    is_list = typing.get_origin(hint) in _SEQUENCES
    return is_list and bool(inner) and _has_bytes(typing.Union[tuple(inner)])  # noqa: UP007


def _has_binary(schema: Any) -> bool:
    """Whether a schema contains plain bytes, which pydantic writes only if they are UTF-8."""
    if isinstance(schema, dict):
        if schema.get("type") == "string" and schema.get("format") == "binary":
            return True
        schema = list(schema.values())
    return isinstance(schema, list) and any(_has_binary(each) for each in schema)


def _is_text(hint: Any) -> bool:
    """Whether it is text, a choice of texts, or None."""
    if typing.get_origin(hint) is typing.Literal:
        return all(isinstance(each, str) for each in typing.get_args(hint))
    return hint in (None, type(None)) or (isinstance(hint, type) and issubclass(hint, str))


def _is_content(hint: Any) -> bool:
    """Whether it is a content block, a list of content blocks, or a whole result."""
    origin = typing.get_origin(hint)
    if origin in _SEQUENCES:
        return any(_is_content(each) for each in typing.get_args(hint) for each in _members(each))
    return isinstance(hint, type) and issubclass(hint, (*CONTENT, CallToolResult))


def _flatten(hint: Any) -> typing.Iterator[Any]:
    """A hint and everything inside it."""
    yield hint
    for inner in typing.get_args(hint):
        yield from _flatten(inner)
