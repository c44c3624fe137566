"""The encoders of values, containers, classes and unions, which check what users give.

No value is sent unchecked. An encoder passes on values of the right type, converts values that mean
the same (a mapping for a payload, with wire names or ours; a subclass; a member of a string
enumeration), and refuses all others with an error that names their place. A right value costs one
comparison.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, get_args

import attrs

from ._names import wire_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Encoder = Callable[[Any], Any]

__all__ = [
    "EncodeError",
    "class_encoder",
    "exact",
    "give_bool",
    "give_float",
    "give_id",
    "give_int",
    "give_object",
    "give_str",
    "given",
    "literal_encoder",
    "mapping_encoder",
    "tuple_encoder",
    "unfit",
    "union_encoder",
]

_LONGEST_TEXT: Final = 60


class EncodeError(ValueError):
    """A payload cannot be expressed in this revision, or is not a payload.

    Args:
        message: What was expected and what came.
        where: The path from the given payload, such as `icons[0].src`; empty for the payload
            itself.
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message, where)
        self.message = message
        self.where = where

    def __str__(self) -> str:
        return f"{self.where.lstrip('.')}: {self.message}" if self.where else self.message

    def at(self, step: str) -> EncodeError:
        """The same, seen from one level up."""
        return EncodeError(self.message, step + self.where)


def unfit(what: str, value: object) -> EncodeError:
    """The error for a value of another kind than the schema requires."""
    return EncodeError(f"expected {what}, got {_shown(value)}")


def _shown(value: object) -> str:
    if value is None or type(value) in (bool, float):
        return repr(value)
    if type(value) is int:
        # Python refuses to write very long numbers.
        return repr(value) if value.bit_length() <= 64 else "a huge number"
    if type(value) is str:
        return repr(value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}...")
    return f"a value of type {type(value).__name__}"


# -- values -----------------------------------------------------------------------------------


def give_str(value: Any) -> str:
    """A string; an instance of a subclass, such as an enumeration's member, as a plain string."""
    if value.__class__ is str:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    raise unfit("a string", value)


def give_int(value: Any) -> int:
    """An integer; JSON has one kind of number, so `1.0` is an integer too."""
    if value.__class__ is int:
        return value
    if isinstance(value, bool):
        raise unfit("an integer", value)
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    raise unfit("an integer", value)


def give_float(value: Any) -> float:
    """A number that JSON can express."""
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    raise unfit("a number", value)


def give_bool(value: Any) -> bool:
    """True or False."""
    if value is True or value is False:
        return value
    raise unfit("True or False", value)


def give_id(value: Any) -> str | int:
    """A request's id or a progress token."""
    return give_str(value) if isinstance(value, str) else give_int(value)


def give_object(value: Any) -> dict[str, Any]:
    """An open object, kept verbatim."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    raise unfit("an object", value)


def literal_encoder(cls: Any) -> Encoder:
    """One of a few strings."""
    words = {word: word for word in get_args(cls)}
    what = " or ".join(repr(word) for word in words)

    def give_word(value: Any) -> str:
        word: str | None = words.get(value) if isinstance(value, str) else None
        if word is None:
            raise unfit(what, value)
        return word

    return give_word


# -- containers -------------------------------------------------------------------------------


def tuple_encoder(item: Encoder) -> Encoder:
    """A sequence, item by item."""

    def give_items(values: Any) -> list[Any]:
        if values.__class__ is not tuple and not isinstance(values, tuple | list):
            raise unfit("a list", values)
        try:
            return [item(each) for each in values]
        except EncodeError:
            _locate((f"[{index}]", item, each) for index, each in enumerate(values))
            raise

    return give_items


def mapping_encoder(item: Encoder) -> Encoder:
    """A map, value by value."""

    def give_entries(values: Any) -> dict[str, Any]:
        entries = give_object(values)
        try:
            return {key: item(each) for key, each in entries.items()}
        except EncodeError:
            _locate((f"[{key!r}]", item, each) for key, each in entries.items())
            raise

    return give_entries


def _locate(parts: Iterable[tuple[str, Encoder, Any]]) -> None:
    """Encode a refused value again, item by item, to find where the flaw is."""
    for step, encode, value in parts:
        try:
            encode(value)
        except EncodeError as error:
            raise error.at(step) from None


# -- classes ----------------------------------------------------------------------------------


def class_encoder(cls: type, encode: Encoder, encode_field: Callable[[str], Encoder]) -> Encoder:
    """Make an encoder for a class and for values that can be converted to it.

    Args:
        cls: A payload class.
        encode: Encodes its instances.
        encode_field: Gives the encoder of a field by its name; called only after a refusal.
    """

    def give_payload(value: Any) -> Any:
        if value.__class__ is not cls:
            value = given(value, cls)
        try:
            return encode(value)
        except EncodeError:
            _locate(
                (f".{field.name}", encode_field(field.name), getattr(value, field.name))
                for field in attrs.fields(cls)
                if getattr(value, field.name) is not field.default
            )
            raise

    give_payload.exact = encode  # type: ignore[attr-defined]
    return give_payload


def exact(encode: Encoder) -> Encoder:
    """The faster encoder for exact instances of the class; its errors do not name the place."""
    return getattr(encode, "exact", encode)


def given(value: Any, cls: type) -> Any:
    """Make a payload from an instance of a subclass, or from a mapping.

    The mapping has wire names, as users of other SDKs write them, or the names of our fields. Its
    values are checked when they are encoded. None means absent.

    Raises:
        EncodeError: It is neither; or the mapping has an unknown name, or lacks a required one.
    """
    if isinstance(value, cls):
        return cls(*(getattr(value, field.name) for field in attrs.fields(cls)))
    if not isinstance(value, Mapping):
        raise unfit(cls.__name__, value)
    fields = _fields_by_name(cls)
    found: dict[str, Any] = {}
    for key, each in value.items():
        field = fields.get(key)
        if field is None:
            raise EncodeError(f"{cls.__name__} has no such field", f".{key}")
        if each is not None or field.default is not None:
            found[field.name] = each
    for field in attrs.fields(cls):
        if field.default is attrs.NOTHING and field.name not in found:
            raise EncodeError(f"{cls.__name__} requires it", f".{field.name}")
    try:
        return cls(**found)
    except TypeError:
        _locate((f".{name}", _converted(fields[name]), each) for name, each in found.items())
        raise


def _converted(field: Any) -> Encoder:
    """Apply the field's converter, which makes a tuple, to the given value."""

    def convert(value: Any) -> Any:
        try:
            return value if field.converter is None else field.converter(value)
        except TypeError:
            raise unfit("a list", value) from None

    return convert


@functools.cache
def _fields_by_name(cls: type) -> dict[str, Any]:
    fields = {field.name: field for field in attrs.fields(cls)}
    return {wire_name(name): field for name, field in fields.items()} | fields


def union_encoder(encoders: Mapping[type, Encoder]) -> Encoder:
    """Make an encoder for several classes, and for values that can be converted to one of them."""
    names = ", ".join(cls.__name__ for cls in encoders)
    quick = {cls: exact(encode) for cls, encode in encoders.items()}

    def give_member(value: Any) -> Any:
        encode = quick.get(value.__class__)
        if encode is not None:
            try:
                return encode(value)
            except EncodeError:
                encoders[value.__class__](value)
                raise
        for cls, encode in encoders.items():
            if isinstance(value, cls) or (isinstance(value, Mapping) and _stands_for(value, cls)):
                return encode(value)
        raise EncodeError(f"{value.__class__.__name__} is none of {names}")

    return give_member


def _stands_for(value: Mapping[Any, Any], cls: type) -> bool:
    """Whether a mapping describes this class: by its `type`, or else by its member names."""
    fields = _fields_by_name(cls)
    if "type" in fields:
        return bool(value.get("type") == fields["type"].default)
    known = {fields[key].name for key in value if key in fields}
    required = {field.name for field in fields.values() if field.default is attrs.NOTHING}
    return required <= known
