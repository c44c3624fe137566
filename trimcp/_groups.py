"""One exception comes out of a context manager bare, not wrapped in a group of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["single_leaf", "unwrapping"]


def single_leaf(error: BaseException) -> BaseException | None:
    """The only exception in a (nested) group, or None if there are several."""
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error


class unwrapping:
    """Raise the single leaf of a group instead of the group; several stay a group.

    A class, since a generator's context manager would keep the group in a frame that its leaf
    came through: a cycle.
    """

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leaf = single_leaf(error) if isinstance(error, BaseExceptionGroup) else None
        if leaf is None:
            return
        cause, context = leaf.__cause__, leaf.__context__
        try:
            raise leaf
        finally:
            # Raising it here would make the group its context, and a cycle.
            leaf.__cause__, leaf.__context__ = cause, context
            del leaf, cause, context, error, traceback
