"""Reading a whole list, page by page: bounded in pages, in bytes and in time.

Specification: Pagination.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from trimcp.errors import INVALID_PARAMS, LimitExceeded, RequestError, RequestTimeout
from trimcp.types import PaginatedRequestParams

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from trimcp.limits import Limits

    from ._cache import Answered, Kept

__all__ = ["Pauses", "whole_list"]

ItemT = TypeVar("ItemT")


class Pauses:
    """The time spent in answering questions of the server, which no deadline counts."""

    def __init__(self) -> None:
        self._open = 0
        self._began = 0.0
        self._over = 0.0

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Count the time of the block, in which a question is answered."""
        if not self._open:
            self._began = trio.current_time()
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._over += trio.current_time() - self._began

    @property
    def seconds(self) -> float:
        """The total of all pauses, until now, in seconds."""
        return self._over + (trio.current_time() - self._began if self._open else 0.0)


async def whole_list(
    method: str,
    ask: Callable[[str, Any, float], Awaitable[Answered | Kept]],
    items_of: Callable[[Any], tuple[ItemT, ...]],
    *,
    limits: Limits,
    timeout: float,
    pauses: Pauses,
) -> list[ItemT]:
    """Read all pages; begin again, once, if a cursor becomes invalid meanwhile.

    A cursor is opaque, so a repeated cursor may still lead to another page.

    Args:
        method: The list, for messages.
        ask: Makes a request: method, params, and seconds.
        items_of: The items of a page.
        limits: `list_pages` and `list_bytes` are used.
        timeout: Seconds for the whole list.
        pauses: The time that does not count.

    Raises:
        LimitExceeded: There are more pages, or more bytes, than the bounds allow.
        RequestTimeout: It did not end in time.
    """
    deadline = trio.current_time() + timeout - pauses.seconds
    items: list[ItemT] = []
    cursor: str | None = None
    size = 0
    again = True
    for _ in range(limits.list_pages):
        left = deadline + pauses.seconds - trio.current_time()
        if left <= 0:
            raise RequestTimeout(f"{method} did not come to its end within the deadline")
        try:
            page = await ask(method, PaginatedRequestParams(cursor), left)
        except RequestError as error:
            if cursor is None or error.code != INVALID_PARAMS or not again:
                raise
            again = False
            items, cursor = [], None
            continue
        size += page.size
        if size > limits.list_bytes:
            raise LimitExceeded(
                f"{method} is longer than Limits.list_bytes, {limits.list_bytes} bytes"
            )
        items += items_of(page.result)
        cursor = page.result.next_cursor
        if cursor is None:
            return items
    raise LimitExceeded(f"{method} has more pages than Limits.list_pages, {limits.list_pages}")
