"""Encoding of what a user registers, once for each revision, so that no list can fail later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import msgspec

from ._codec import codec_for, wire_name
from ._given import EncodeError
from ._messages import refuse_non_finite
from ._nesting import is_deeper
from ._revisions import LATEST, REVISIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["encoded_size", "settle", "settle_value"]

T = TypeVar("T")


def settle(cls: type[T], fields: Mapping[str, Any]) -> T:
    """Make a payload that can be encoded in every revision.

    Args:
        cls: Its class.
        fields: Its fields, by our names; a mapping may replace a payload. None means absent.

    Returns:
        A payload of plain values, which no other code holds and can change.

    Raises:
        EncodeError: A field cannot be expressed; the error says which.
    """
    wire: dict[str, Any] = {}
    for revision in REVISIONS:
        wire = codec_for(revision).encode_as(fields, cls)
        _check_json(cls, wire)
    return codec_for(LATEST).decode(msgspec.json.decode(msgspec.json.encode(wire)), cls)


def _check_json(cls: type, wire: Mapping[str, Any]) -> None:
    """Raises EncodeError with the name of the field that JSON cannot express."""
    names = {wire_name(field.name): field.name for field in attrs.fields(cls)}
    for key, value in wire.items():
        try:
            msgspec.json.decode(msgspec.json.encode(value))
            refuse_non_finite(value)
        except Exception as error:
            raise EncodeError(f"JSON cannot express it: {error}", f".{names[key]}") from error


def encoded_size(payload: Any, nesting: int) -> int:
    """The size of a payload in the revision that needs the most bytes of JSON.

    Args:
        payload: A payload that can be encoded in every revision.
        nesting: The maximum nesting, in levels.

    Raises:
        EncodeError: It is nested deeper.
    """
    forms = [msgspec.json.encode(codec_for(each).encode(payload)) for each in REVISIONS]
    if any(is_deeper(form, nesting) for form in forms):
        raise EncodeError(f"it is nested deeper than {nesting} levels")
    return max(map(len, forms))


def settle_value(name: str, value: Any, hint: Any) -> Any:
    """An option that is one plain value, or None. Raises EncodeError with its name."""
    if value is None:
        return None
    try:
        plain = codec_for(LATEST).encode_as(value, hint)
        msgspec.json.encode(plain)
        refuse_non_finite(plain)
    except EncodeError as error:
        raise error.at(f".{name}") from None
    except Exception as error:
        raise EncodeError(f"JSON cannot express it: {error}", f".{name}") from None
    return plain
