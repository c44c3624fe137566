"""What a server offers of one kind: named, ordered, listed in pages.

Specification: Pagination; Tools, Resources and Prompts (the order of a list is deterministic).
"""

from __future__ import annotations

import base64
import itertools
from typing import TYPE_CHECKING, Generic, TypeVar

from trimcp.errors import INVALID_PARAMS, RegistrationError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Register"]

ItemT = TypeVar("ItemT")

_CURSOR = "after:"


class Register(Generic[ItemT]):
    """Items by name, in the order of their registration.

    Items may be added and removed at any time, also while a client is turning pages: a cursor
    says after which registration to go on, so nothing is skipped or repeated.

    Args:
        kind: What the items are, for messages.
        changed: Called when an item was added or removed.
    """

    def __init__(self, kind: str, changed: Callable[[], None]) -> None:
        self._kind = kind
        self._changed = changed
        self._items: dict[str, tuple[int, ItemT]] = {}
        self._serials = itertools.count()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[ItemT]:
        return (item for _, item in self._items.values())

    def add(self, name: str, item: ItemT) -> None:
        """Raises RegistrationError if the name is taken."""
        if name in self._items:
            raise RegistrationError(f"{self._kind} {name!r} is already registered")
        self._items[name] = (next(self._serials), item)
        self._changed()

    def remove(self, name: str) -> ItemT:
        """Raises KeyError if there is none of that name."""
        item = self._items.pop(name)[1]
        self._changed()
        return item

    def find(self, name: str) -> ItemT | None:
        """The item of that name, or None."""
        found = self._items.get(name)
        return None if found is None else found[1]

    def page(self, cursor: str | None, size: int | None) -> tuple[list[ItemT], str | None]:
        """One page.

        Args:
            cursor: Where it begins; None for the first page.
            size: Items on it; None for all.

        Returns:
            The items, and the cursor of the next page or None.

        Raises:
            RequestError: The cursor is not one of ours.
        """
        after = -1 if cursor is None else _read_cursor(cursor)
        rest = [entry for entry in self._items.values() if entry[0] > after]
        shown = rest if size is None else rest[:size]
        following = _cursor(shown[-1][0]) if len(shown) < len(rest) else None
        return [item for _, item in shown], following


def _cursor(serial: int) -> str:
    return base64.urlsafe_b64encode(f"{_CURSOR}{serial}".encode()).decode()


def _read_cursor(cursor: str) -> int:
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
        if text.startswith(_CURSOR):
            return int(text.removeprefix(_CURSOR))
    except ValueError:
        pass
    raise RequestError(INVALID_PARAMS, "Invalid cursor: begin again with the first page")
