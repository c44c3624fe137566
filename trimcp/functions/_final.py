"""How a streaming tool says which of its values is the result."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

__all__ = ["Final"]

ValueT = TypeVar("ValueT")


@attrs.frozen
class Final(Generic[ValueT]):
    """The result of a streaming tool, told apart from its chunks.

    Yield it last: `yield Final(Done(...))`. Without one the last chunk is the result too.

    Attributes:
        value: The result.
    """

    value: ValueT
