"""Checks of the arguments that a user gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from trimcp.errors import OptionError

__all__ = ["check_callback", "check_seconds", "check_texts", "wire_mapping"]


def check_callback(label: str, value: Any, *, is_optional: bool = True) -> None:
    """Check that it is a function, or None if that is allowed. Raises OptionError."""
    if not callable(value) and not (value is None and is_optional):
        raise OptionError(f"{label} is a function, not {value!r:.100}")


def check_seconds(label: str, value: Any) -> None:
    """Check that it is a number of seconds; `math.inf` is allowed. Raises OptionError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise OptionError(f"{label} is a number of seconds, not {value!r:.100}")
    if math.isnan(value) or value < 0:
        raise OptionError(f"{label} is a number of seconds from 0 on, not {value!r}")


def check_texts(label: str, value: Any) -> None:
    """Check that it is a mapping of texts to texts, or None. Raises OptionError."""
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise OptionError(f"{label} is a mapping of names to texts, not {value!r:.100}")
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str):
            raise OptionError(
                f"{label}: names and values are texts, not {name!r:.50}: {text!r:.50}"
            )


def wire_mapping(label: str, value: Any) -> dict[str, Any] | None:
    """A copy of a mapping that is to be sent; None for None. Raises OptionError for others."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise OptionError(f"{label} is a mapping of names to values, not {value!r:.100}")
    return dict(value)
