"""The formats of texts in a form.

Specification: Elicitation, Requested Schema (Supported Schema Types).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

__all__ = ["has_format"]

_FORMATS: Final = ("email", "uri", "date", "date-time")


def has_format(text: str, name: object) -> bool:
    """Whether a text has a format; formats that the specification does not list are ignored."""
    return name not in _FORMATS or _validator(str(name)).is_valid(text)


@functools.lru_cache(maxsize=len(_FORMATS))
def _validator(name: str) -> Draft202012Validator:
    # Loaded here, since most programs never answer a form.
    import jsonschema_rs

    return jsonschema_rs.Draft202012Validator({"format": name}, validate_formats=True)
