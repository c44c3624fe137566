"""What a server offers of one kind: named, ordered, listed in pages.

Specification: Pagination; Tools, Resources and Prompts (the order of a list is deterministic).
"""

from __future__ import annotations

import base64
import itertools
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

from trimcp.errors import INVALID_PARAMS, RegistrationError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

__all__ = ["Named", "Register"]

KeyT = TypeVar("KeyT", bound="Hashable")
ItemT = TypeVar("ItemT")

_CURSOR = "after:"


class Named(Generic[KeyT, ItemT]):
    """Items by name, which any thread may add and remove while others read.

    Every change makes a new mapping, so whoever reads one is not disturbed.

    Attributes:
        items: What is there now. Never changed in place.
    """

    def __init__(self) -> None:
        self.items: Mapping[KeyT, ItemT] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.items)

    def add(self, name: KeyT, item: ItemT, label: str) -> None:
        """Raises RegistrationError, which begins with the label, if the name is taken."""
        with self._lock:
            if name in self.items:
                raise RegistrationError(f"{label} is already registered")
            self.items = {**self.items, name: item}

    def remove(self, name: KeyT) -> ItemT:
        """Raises KeyError if there is none of that name."""
        with self._lock:
            items = dict(self.items)
            item = items.pop(name)
            self.items = items
        return item

    def find(self, name: KeyT) -> ItemT | None:
        """The item of that name, or None."""
        return self.items.get(name)


class Register(Generic[ItemT]):
    """Items by name, in the order of their registration.

    Items may be added and removed at any time, in any thread, also while a client is turning
    pages: a cursor says after which registration to go on, so nothing is skipped or repeated.

    Args:
        kind: What the items are, for messages.
        changed: Called when an item was added or removed.
    """

    def __init__(self, kind: str, changed: Callable[[], None]) -> None:
        self._kind = kind
        self._changed = changed
        self._named: Named[str, tuple[int, ItemT]] = Named()
        self._serials = itertools.count()
        self._in_order = threading.Lock()

    def __len__(self) -> int:
        return len(self._named)

    def __iter__(self) -> Iterator[ItemT]:
        return (item for _, item in self._named.items.values())

    def add(self, name: str, item: ItemT) -> None:
        """Raises RegistrationError if the name is taken."""
        with self._in_order:
            self._named.add(name, (next(self._serials), item), f"{self._kind} {name!r}")
        self._changed()

    def remove(self, name: str) -> ItemT:
        """Raises KeyError if there is none of that name."""
        item = self._named.remove(name)[1]
        self._changed()
        return item

    def find(self, name: str) -> ItemT | None:
        """The item of that name, or None."""
        found = self._named.find(name)
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
        after = -1 if cursor is None else _read_cursor(self._kind, cursor)
        rest = [entry for entry in self._named.items.values() if entry[0] > after]
        shown = rest if size is None else rest[:size]
        following = _cursor(self._kind, shown[-1][0]) if len(shown) < len(rest) else None
        return [item for _, item in shown], following


def _cursor(kind: str, serial: int) -> str:
    return base64.urlsafe_b64encode(f"{kind} {_CURSOR}{serial}".encode()).decode()


def _read_cursor(kind: str, cursor: str) -> int:
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
        serial = text.removeprefix(f"{kind} {_CURSOR}")
        if serial != text:
            return int(serial)
    except ValueError:
        pass
    raise RequestError(INVALID_PARAMS, "Invalid cursor: begin again with the first page")
