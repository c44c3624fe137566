"""Marking which value of a streaming tool is its result."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

__all__ = ["Final"]

ValueT = TypeVar("ValueT")


@attrs.frozen
class Final(Generic[ValueT]):
    """The result of a streaming tool, as opposed to its chunks.

    Yield it last: `yield Final(Done(...))`. Without a `Final` the last chunk is also the result.

    Attributes:
        value: The result.
    """

    value: ValueT
