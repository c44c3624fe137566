"""Whether what a user gives can be what it is given as."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["check_callback", "check_seconds"]


def check_callback(label: str, value: Any, *, is_optional: bool = True) -> None:
    """Raises TypeError for what is no function, nor None where there may be none."""
    if not callable(value) and not (value is None and is_optional):
        raise TypeError(f"{label} is a function, not {value!r:.100}")


def check_seconds(label: str, value: Any) -> None:
    """Raises TypeError or ValueError for what is no number of seconds; `math.inf` is one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{label} is a number of seconds, not {value!r:.100}")
    if math.isnan(value) or value < 0:
        raise ValueError(f"{label} is a number of seconds from 0 on, not {value!r}")
