"""One exception comes out of a context manager bare, not wrapped in a group of one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def single_leaf(error: BaseException) -> BaseException | None:
    """The only exception in a (nested) group, or None if there are several."""
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error


@contextmanager
def unwrapping() -> Iterator[None]:
    """Raise the single leaf of a group instead of the group; several stay a group."""
    try:
        yield
    except BaseExceptionGroup as group:
        leaf = single_leaf(group)
        if leaf is None:
            raise
        cause, context = leaf.__cause__, leaf.__context__
        try:
            raise leaf
        finally:
            # Raising it here would make the group its context, and a cycle.
            leaf.__cause__, leaf.__context__ = cause, context
            del leaf, cause, context
