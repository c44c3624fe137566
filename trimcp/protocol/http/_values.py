"""Values of the request's body as values of HTTP headers, and back.

Specification: 2026-07-28, Streamable HTTP, Value Encoding and Server Validation.
"""

from __future__ import annotations

import base64
import binascii
import re
from decimal import Decimal
from typing import Any, Final

__all__ = ["InvalidValue", "decode_value", "encode_value", "equals", "text_of"]

_PREFIX: Final = "=?base64?"
_SUFFIX: Final = "?="

#: Visible ASCII with spaces inside. A tab is allowed in a header, but not safe in one.
_SAFE: Final = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_VISIBLE: Final = re.compile(r"[\t -~]*")
_NUMBER: Final = re.compile(r"-?[0-9]{1,64}(?:\.[0-9]{1,64})?(?:[eE][+-]?[0-9]{1,4})?")

#: The integers that every peer reads exactly.
_SAFE_INTEGER: Final = 2**53 - 1


class InvalidValue(ValueError):
    """A value that no header can carry, or a header that carries no value."""


def encode_value(text: str) -> str:
    """Write a text as a header's value: unchanged where that is safe, else in Base64.

    Raises:
        InvalidValue: It holds a surrogate, which UTF-8 cannot express.
    """
    if _SAFE.fullmatch(text) and not (text.startswith(_PREFIX) and text.endswith(_SUFFIX)):
        return text
    try:
        return f"{_PREFIX}{base64.b64encode(text.encode()).decode()}{_SUFFIX}"
    except UnicodeEncodeError as error:
        raise InvalidValue(f"the text is no Unicode: {error}") from None


def decode_value(value: str) -> str:
    """Read what `encode_value` wrote.

    Args:
        value: A header's value without white space around it.

    Raises:
        InvalidValue: It has a character that no header may hold, or Base64 that is not exactly what
            an encoder writes: padding is missing, other characters are in it, or it is not UTF-8.
    """
    if not _VISIBLE.fullmatch(value):
        raise InvalidValue("a character that no header may hold")
    is_encoded = value.startswith(_PREFIX) and value.endswith(_SUFFIX)
    if not is_encoded or len(value) < len(_PREFIX) + len(_SUFFIX):
        return value
    payload = value[len(_PREFIX) : -len(_SUFFIX)]
    try:
        decoded = base64.b64decode(payload, validate=True)
        if base64.b64encode(decoded).decode() != payload:
            raise InvalidValue("malformed Base64: stray bits at the end")
        return decoded.decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidValue(f"malformed Base64: {error}") from None


def text_of(value: Any) -> str | None:
    """The text of a JSON value, before it is encoded; None for a value that is not mirrored.

    Null, arrays and objects are not mirrored: null by the specification, the others because only
    parameters of a primitive type are marked.

    Raises:
        InvalidValue: An integer that not every peer could read exactly.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and abs(value) > _SAFE_INTEGER:
        raise InvalidValue("an integer outside ±(2^53 - 1)")
    return str(value) if isinstance(value, int | float) else None


def equals(text: str, value: Any) -> bool:
    """Whether a decoded header equals a value of the body; numbers are compared as numbers."""
    if isinstance(value, str | bool):
        return text == text_of(value)
    if isinstance(value, int | float) and abs(value) <= _SAFE_INTEGER:
        return _NUMBER.fullmatch(text) is not None and Decimal(text) == Decimal(repr(value))
    return False
