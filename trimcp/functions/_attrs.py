"""attrs classes in annotations, which pydantic does not know by itself."""

from __future__ import annotations

import functools
import types
import typing
from typing import Annotated, Any

import attrs
from pydantic_core import core_schema

__all__ = ["adapted"]


def adapted(hint: Any) -> Any:
    """The annotation with a schema for pydantic added to every attrs class in it."""
    if isinstance(hint, type) and attrs.has(hint) and not hasattr(hint, _SCHEMA_METHOD):
        return Annotated[hint, AttrsSchema(hint)]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if not inner or origin in (typing.Literal, None):
        return hint
    if origin is Annotated:
        return Annotated[(adapted(inner[0]), *inner[1:])]
    replaced = tuple(adapted(each) for each in inner)
    if replaced == inner:
        return hint
    if origin in (typing.Union, types.UnionType):
        return typing.Union[replaced]  # noqa: UP007  there is no other way to spell it
    return origin[replaced]


_SCHEMA_METHOD = "__get_pydantic_core_schema__"


class AttrsSchema:
    """Tells pydantic how an attrs class is read and written: as an object of its fields.

    Args:
        cls: The class.
    """

    def __init__(self, cls: type) -> None:
        self._cls = cls

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        cls = self._cls
        hints = typing.get_type_hints(cls, include_extras=True)
        members = {
            field.alias or field.name: core_schema.typed_dict_field(
                handler.generate_schema(adapted(hints.get(field.name, Any))),
                required=field.default is attrs.NOTHING,
            )
            for field in attrs.fields(cls)
            if field.init
        }
        shape = core_schema.typed_dict_schema(
            members, extra_behavior="forbid", config={"title": cls.__name__}
        )
        return core_schema.no_info_wrap_validator_function(
            functools.partial(_read, cls),
            shape,
            serialization=core_schema.plain_serializer_function_ser_schema(
                functools.partial(_write, cls), return_schema=shape
            ),
        )


def _read(cls: type, value: Any, handler: Any) -> Any:
    return value if isinstance(value, cls) else cls(**handler(value))


def _write(cls: type, value: Any) -> dict[str, Any]:
    fields: typing.Any = attrs.fields(cls)
    return {field.alias or field.name: getattr(value, field.name) for field in fields if field.init}
