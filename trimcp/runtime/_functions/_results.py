"""From what a tool returned to a tool result.

Specification: Tools, Tool Result.
"""

from __future__ import annotations

import inspect
import typing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Raw

from trimcp.runtime._input_required import InputRequired
from trimcp.runtime._schemas import SchemaChecker
from trimcp.runtime._streams import Final
from trimcp.types import (
    UNSET,
    AudioContent,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from ._pydantic import PlainSchema, adapter_for, to_json

if TYPE_CHECKING:
    import pydantic

__all__ = ["Output", "final_hint", "output_of"]

_CONTENT = (TextContent, ImageContent, AudioContent, ResourceLink, EmbeddedResource)
_UNSTRUCTURED = (
    inspect.Signature.empty,
    Any,
    None,
    type(None),
    typing.NoReturn,
    typing.Never,
    str,
)


class Output:
    """How a function's values become results; this kind promises no structure.

    Attributes:
        schema: The output schema, or None.
    """

    schema: dict[str, Any] | None = None

    def result(self, value: Any) -> CallToolResult:
        """Raises TypeError or ValueError if the value is not what was promised."""
        if isinstance(value, CallToolResult):
            return value
        return _content_of(value)


class AnnotatedOutput(Output):
    """Structure promised by the return annotation.

    Args:
        adapter: Of the annotation.
    """

    def __init__(self, adapter: pydantic.TypeAdapter[Any]) -> None:
        self._adapter = adapter
        self.schema = adapter.json_schema(mode="serialization", schema_generator=PlainSchema)
        self.schema.pop("title", None)

    def result(self, value: Any) -> CallToolResult:
        if isinstance(value, CallToolResult):
            if _promises(value):
                self._adapter.validate_json(msgspec.json.encode(value.structured_content))
            return value
        checked = self._adapter.validate_python(value)
        return _structured(self._adapter.dump_json(checked, by_alias=True))


class GivenOutput(Output):
    """Structure promised by a JSON Schema that the user gave.

    Args:
        schema: The schema.

    Raises:
        InvalidSchema: It cannot be used.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._checker = SchemaChecker(schema)
        self.schema = schema

    def result(self, value: Any) -> CallToolResult:
        if isinstance(value, CallToolResult):
            if _promises(value):
                self._check(msgspec.json.encode(value.structured_content))
            return value
        raw = to_json(value)
        self._check(raw)
        return _structured(raw)

    def _check(self, raw: bytes) -> None:
        flaws = self._checker.flaws(msgspec.json.decode(raw))
        if flaws is not None:
            raise ValueError(f"the tool's result does not fit its output schema:\n{flaws}")


def output_of(hint: Any, label: str) -> Output:
    """How values of this annotation become results. Raises RegistrationError."""
    hint = _without_questions(hint)
    if hint in _UNSTRUCTURED or any(_is_content(each) for each in _flatten(hint)):
        return Output()
    return AnnotatedOutput(adapter_for(hint, f"{label}, its result"))


def _promises(result: CallToolResult) -> bool:
    """Whether this result must fit the output schema. Raises ValueError if it has no structure."""
    if result.is_error:
        return False
    if result.structured_content is UNSET:
        raise ValueError("the tool promises structured content and gave none")
    return True


def _without_questions(hint: Any) -> Any:
    """A union without `InputRequired`, which is no result."""
    members = typing.get_args(hint)
    if hint is InputRequired:
        return None
    if InputRequired not in members:
        return hint
    return typing.Union[tuple(each for each in members if each is not InputRequired)]  # noqa: UP007


def final_hint(hint: Any) -> Any:
    """The type of a streaming tool's result: what its `Final` holds; Any without one."""
    for each in _flatten(hint):
        if typing.get_origin(each) is Final:
            return typing.get_args(each)[0]
    return Any


def _structured(raw: bytes) -> CallToolResult:
    """Structured content, and the same as text for those who only read text."""
    return CallToolResult((TextContent(raw.decode()),), structured_content=Raw(raw))


def _content_of(value: Any) -> CallToolResult:
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


def _flatten(hint: Any) -> typing.Iterator[Any]:
    """A hint and everything inside it."""
    yield hint
    for inner in typing.get_args(hint):
        yield from _flatten(inner)


def _is_content(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, (*_CONTENT, CallToolResult))
