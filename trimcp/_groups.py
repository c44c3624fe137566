"""One exception comes out of a context manager, and into a log, bare: not in a group of one."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["leaves", "logged", "single_leaf", "unwrapping"]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a (nested) group, in order; the exception itself if it is not a group."""
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if isinstance(each, BaseExceptionGroup):
            waiting.extend(reversed(each.exceptions))
        else:
            yield each


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
        if error is None:
            return
        leaf = single_leaf(error)
        if leaf is not None:
            _explain(leaf)
        if leaf is None or leaf is error:
            return
        cause, context = leaf.__cause__, leaf.__context__
        try:
            raise leaf
        finally:
            # Raising it here would make the group its context, and a cycle.
            leaf.__cause__, leaf.__context__ = cause, context
            del leaf, cause, context, error, traceback


def logged(
    error: BaseException,
) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """An error as `exc_info=` for a log: the only exception of a group, with the frames of both.

    Those that come from code for asyncio get a note that says so.
    """
    _explain(error)
    traceback = error.__traceback__
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
        traceback = _joined(traceback, error.__traceback__)
    return type(error), error, traceback


def _joined(outer: TracebackType | None, inner: TracebackType | None) -> TracebackType | None:
    """The frames of a group, then those of what is in it; `except*` makes both begin alike."""
    if outer is None or inner is None or outer.tb_frame is inner.tb_frame:
        return inner or outer
    above = []
    each: TracebackType | None = outer
    while each is not None:
        above.append(each)
        each = each.tb_next
    for each in reversed(above):
        inner = TracebackType(inner, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return inner


def _explain(error: BaseException) -> None:
    """Add notes to what comes from code for asyncio."""
    # Loaded late: only errors need it.
    from ._asyncio_errors import explain_asyncio_error

    for leaf in leaves(error):
        explain_asyncio_error(leaf)
