"""Counting what something costs: bytes and calls, never seconds."""

from __future__ import annotations

import sys
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Taken", "assert_linear", "bytes_taken", "calls_of"]


@attrs.define
class Taken:
    """Memory.

    Attributes:
        peak: The most bytes that were held at once, beyond those held before.
        kept: The bytes that are still held.
    """

    peak: int = 0
    kept: int = 0


@contextmanager
def bytes_taken() -> Iterator[Taken]:
    """Count the bytes that Python objects take in a block."""
    taken = Taken()
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        yield taken
    finally:
        now, peak = tracemalloc.get_traced_memory()
        taken.peak, taken.kept = peak - before, now - before
        if not was_tracing:
            tracemalloc.stop()


def calls_of(function: Callable[[], Any]) -> int:
    """Count the calls, of Python and of C functions, that a call makes in this thread."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def assert_linear(sizes: list[int], costs: list[int], *, slack: int = 2_000) -> None:
    """Costs must not grow faster than sizes, with some slack for what does not depend on them."""
    for (size, cost), (larger, dearer) in zip(
        zip(sizes, costs, strict=True), zip(sizes[1:], costs[1:], strict=False), strict=False
    ):
        allowed = 1.25 * cost * larger / size + slack
        assert dearer <= allowed, dict(zip(sizes, costs, strict=True))
