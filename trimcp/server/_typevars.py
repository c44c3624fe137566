"""The type variables of `Context` and `Session`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    LifespanT = TypeVar("LifespanT", default=Any)
    SessionT = TypeVar("SessionT", default=Any)
else:
    # Defaults of type variables came with Python 3.13; only type checkers need this one.
    from typing import TypeVar

    LifespanT = TypeVar("LifespanT")
    SessionT = TypeVar("SessionT")

__all__ = ["LifespanT", "SessionT"]
