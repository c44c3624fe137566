"""What comes out of a context manager: one exception bare, and what its block raises unchanged."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["adds_only_cancellations", "leaves", "logged", "single_leaf", "unwrapping"]


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

    What the block of a context manager raises comes out as it is, even if that is a group of its
    own, and even if cleaning up after it was cancelled::

        with unwrapping() as whole:
            async with trio.open_nursery() as nursery:
                with whole.block():
                    yield

    A class, since a generator's context manager would keep the group in a frame that its leaf
    came through: a cycle.
    """

    def __init__(self) -> None:
        self._raised: BaseException | None = None

    def __enter__(self) -> unwrapping:
        return self

    def block(self) -> _Block:
        """What the user of the context manager does."""
        return _Block(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        raised, self._raised = self._raised, None
        if error is None:
            return
        if raised is not None:
            raised = _without_cancellations(raised)
        if raised is None or not adds_only_cancellations(error, raised):
            raised = single_leaf(error)
        if raised is not None:
            _explain(raised)
        if raised is None or raised is error:
            return
        try:
            _raise_unchanged(raised)
        finally:
            del raised, error, traceback


class _Block:
    """See `unwrapping.block`."""

    __slots__ = ("_whole",)

    def __init__(self, whole: unwrapping) -> None:
        self._whole = whole

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._whole._raised = error
        del error, traceback


def _without_cancellations(error: BaseException) -> BaseException | None:
    """An exception without `Cancelled`, which whoever cancels knows of; None if nothing is left."""
    if not any(map(_is_cancelled, leaves(error))):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    rest = error.split(_is_cancelled)[1]
    return None if rest is None else single_leaf(rest) or rest


def adds_only_cancellations(error: BaseException, other: BaseException) -> bool:
    """Whether an error holds nothing that another one does not hold, except cancellations."""
    known = {id(leaf) for leaf in leaves(other)}
    others = (leaf for leaf in leaves(error) if id(leaf) not in known)
    return all(map(_is_cancelled, others))


def _is_cancelled(error: BaseException) -> bool:
    # Loaded late: the command's help needs no Trio.
    import trio

    return isinstance(error, trio.Cancelled)


def _raise_unchanged(error: BaseException) -> NoReturn:
    """Raise an exception again; what is handled here becomes no part of its history."""
    cause, context = error.__cause__, error.__context__
    try:
        raise error
    finally:
        # Its context would be a group that it is in: a cycle.
        error.__cause__, error.__context__ = cause, context
        del error, cause, context


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
