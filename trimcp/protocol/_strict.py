"""Structure hooks that accept exactly the declared JSON types.

cattrs coerces by default, so that `"false"` becomes True. These hooks do not: no numbers for
strings, no booleans for numbers, no null for an absent field. JSON has one kind of number, so `1.0`
is an integer here too.
"""

from __future__ import annotations

import functools
import json
import operator
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, Union, get_args, get_origin

from cattrs import ClassValidationError, IterableValidationError, IterableValidationNote
from cattrs.errors import AttributeValidationNote

from trimcp.types import ElicitContent, RequestId

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cattrs import Converter

    Hook = Callable[[Any, Any], Any]

_MOST_PROBLEMS: Final = 5
_LONGEST_TEXT: Final = 60


class Mismatch(ValueError):
    """One value that is not what its type says.

    Args:
        message: What was expected and what came.
        where: The rest of the path, relative to the value that the hook was given.
    """

    def __init__(self, message: str, where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where


def expected(what: str, value: object, where: str = "") -> Mismatch:
    """The usual kind of mismatch."""
    return Mismatch(f"expected {what}, got {_shown(value)}", where)


def missing(where: str) -> Mismatch:
    """The mismatch of a required field that is missing."""
    return Mismatch("a required field is missing", where)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return json.dumps(_shortened(value))
    if isinstance(value, int) and value.bit_length() > 64:
        # Python refuses to write very long numbers.
        return "a huge number"
    return json.dumps(value, default=repr)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}..."


def step(key: str | int) -> str:
    """One step of a path: `.name`, `[0]`, or `["a key with spaces"]`."""
    if isinstance(key, str) and key.isidentifier() and len(key) <= _LONGEST_TEXT:
        return f".{key}"
    return f"[{_shown(key)}]"


# -- values -----------------------------------------------------------------------------------


def structure_str(value: Any, _: Any) -> str:
    if type(value) is str:
        return value
    raise expected("a string", value)


def structure_int(value: Any, _: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise expected("an integer", value)


def structure_float(value: Any, _: Any) -> float:
    if type(value) is float or type(value) is int:
        return value
    raise expected("a number", value)


def structure_bool(value: Any, _: Any) -> bool:
    if type(value) is bool:
        return value
    raise expected("a boolean", value)


def structure_request_id(value: Any, _: Any) -> RequestId:
    if type(value) is str or type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise expected("a string or an integer", value)


def structure_object(value: Any, _: Any) -> Mapping[str, Any]:
    """A JSON object, kept as it is."""
    if type(value) is dict:
        return value
    raise expected("an object", value)


def structure_form(value: Any, _: Any) -> ElicitContent:
    """A filled-in form, kept as it is."""
    for key, item in structure_object(value, _).items():
        if type(item) is list and all(type(text) is str for text in item):
            continue
        if type(item) not in (str, int, float, bool):
            raise expected("a string, number, boolean or array of strings", item, step(key))
    return value  # type: ignore[no-any-return]


# -- containers -------------------------------------------------------------------------------


def tuple_hook(item: Hook, cls: Any) -> Hook:
    """A JSON array, item by item."""

    def structure_tuple(value: Any, _: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise expected("an array", value)
        try:
            return tuple([item(each, cls) for each in value])
        except Exception:
            _raise_all(item, cls, enumerate(value))
            raise

    return structure_tuple


def mapping_hook(item: Hook, cls: Any) -> Hook:
    """A JSON object as a map, value by value."""

    def structure_mapping(value: Any, _: Any) -> Mapping[str, Any]:
        if type(value) is not dict:
            raise expected("an object", value)
        try:
            return {key: item(each, cls) for key, each in value.items()}
        except Exception:
            _raise_all(item, cls, value.items())
            raise

    return structure_mapping


def _raise_all(item: Hook, cls: Any, pairs: Any) -> None:
    """Read an invalid container again and collect what is wrong with it."""
    errors: list[Exception] = []
    for key, each in pairs:
        try:
            item(each, cls)
        except Exception as error:
            error.add_note(IterableValidationNote("", key, cls))
            errors.append(error)
            if len(errors) > _MOST_PROBLEMS:
                break
    raise IterableValidationError("bad items", errors, cls)


def literal_hook(cls: Any) -> Hook:
    """One of a few strings."""
    allowed = get_args(cls)
    what = one_of(allowed)

    def structure_literal(value: Any, _: Any) -> str:
        if type(value) is str and value in allowed:
            return value
        raise expected(what, value)

    return structure_literal


def one_of(words: Iterable[str]) -> str:
    """Name the alternatives in an error."""
    quoted = [f'"{word}"' for word in words]
    return quoted[0] if len(quoted) == 1 else f"one of {', '.join(quoted) or 'none'}"


# -- registration -----------------------------------------------------------------------------


def is_optional(cls: Any) -> bool:
    return is_union(cls) and NoneType in get_args(cls)


def is_union(cls: Any) -> bool:
    return get_origin(cls) in (UnionType, Union)


def without_none(cls: Any) -> Any:
    """The type of an optional field's value when it is there."""
    rest = (each for each in get_args(cls) if each is not NoneType)
    return functools.reduce(operator.or_, rest)


def is_tuple(cls: Any) -> bool:
    return get_origin(cls) is tuple


def is_mapping(cls: Any) -> bool:
    return get_origin(cls) is Mapping


def is_literal(cls: Any) -> bool:
    return get_origin(cls) is Literal


def register_strict_hooks(converter: Converter) -> None:
    """Make a converter accept the declared types only; the caller adds unions of classes."""

    def optional_of(cls: Any) -> Hook:
        # This is not called for an absent field, and null does not mean absent.
        return converter.get_structure_hook(without_none(cls))

    def tuple_of(cls: Any) -> Hook:
        item = get_args(cls)[0]
        return tuple_hook(converter.get_structure_hook(item), item)

    def mapping_of(cls: Any) -> Hook:
        item = get_args(cls)[1]
        if item is Any:
            return structure_object
        return mapping_hook(converter.get_structure_hook(item), item)

    converter.register_structure_hook(str, structure_str)
    converter.register_structure_hook(int, structure_int)
    converter.register_structure_hook(float, structure_float)
    converter.register_structure_hook(bool, structure_bool)
    converter.register_structure_hook_factory(is_literal, literal_hook)
    converter.register_structure_hook_factory(is_tuple, tuple_of)
    converter.register_structure_hook_factory(is_mapping, mapping_of)
    converter.register_structure_hook_func(lambda cls: cls == RequestId, structure_request_id)
    converter.register_structure_hook_func(lambda cls: cls == ElicitContent, structure_form)
    converter.register_structure_hook_factory(is_optional, optional_of)


# -- what went wrong, and where ---------------------------------------------------------------


def problems(error: BaseException, path: str, name: Callable[[str], str]) -> list[tuple[str, str]]:
    """Flatten what cattrs raised into (message, path) pairs, a bounded number of them.

    Args:
        error: An error that a structure hook raised on purpose.
        path: Where it was raised, such as `$.params`.
        name: The wire name of a field.
    """
    found: list[tuple[str, str]] = []
    for problem in _walk(error, path, name):
        if len(found) == _MOST_PROBLEMS:
            found.append(("and more", path))
            break
        found.append(problem)
    return found


def _walk(error: BaseException, path: str, name: Callable[[str], str]) -> Iterator[tuple[str, str]]:
    if isinstance(error, ClassValidationError | IterableValidationError):
        for inner in error.exceptions:
            yield from _walk(inner, path + _step(inner, name), name)
    elif isinstance(error, Mismatch):
        yield error.message, path + error.where
    elif isinstance(error, KeyError):
        yield "a required field is missing", path
    else:
        # An error in this package, not in what the peer sent.
        raise error


def _step(error: BaseException, name: Callable[[str], str]) -> str:
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return step(name(note.name))
        if isinstance(note, IterableValidationNote):
            return step(note.index)
    return ""
