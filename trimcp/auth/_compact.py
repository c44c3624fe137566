"""The parts of a signed JSON Web Token, read strictly: each has one right way to be written.

Specification: RFC 7515, section 7.1; RFC 4648, section 3.5.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Final

from ._fetch import read_json

__all__ = ["decoded", "plain_type", "read_object", "read_strict_object"]

_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")


def decoded(segment: str) -> bytes:
    """What is written in base64url without padding.

    Raises:
        ValueError: It is not, or not in the one right way.
    """
    if not _SEGMENT.fullmatch(segment):
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=") != segment.encode():
        raise ValueError("not the one right way to write it")
    return data


def read_object(data: bytes) -> dict[str, Any]:
    """A JSON object; see `read_json`. Raises ValueError."""
    value = read_json(data)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def read_strict_object(data: bytes) -> dict[str, Any]:
    """The same, but an object that says something twice is refused. Raises ValueError."""
    read_object(data)
    value: dict[str, Any] = json.loads(data, object_pairs_hook=_distinct)
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member stands there twice")
    return members


def plain_type(kind: str) -> str:
    """A `typ` as it is compared (RFC 7515, section 4.1.9)."""
    return kind.lower().removeprefix("application/")
