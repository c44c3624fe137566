"""Registers: the tools, prompts or resources of a server, by name, in order, listed in pages.

Specification: Pagination; Tools, Resources and Prompts (the order of a list is deterministic).
"""

from __future__ import annotations

import base64
import itertools
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar

import attrs

from trimcp.errors import INVALID_PARAMS, RegistrationError, RequestError
from trimcp.protocol import EncodeError, encoded_size

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from trimcp.limits import Limits

__all__ = ["Listed", "Named", "Page", "Register", "Room", "room_within"]

KeyT = TypeVar("KeyT", bound="Hashable")
ItemT = TypeVar("ItemT")
ListedT = TypeVar("ListedT", bound="Listed")

#: Items, and the cursor of the next page or None.
Page: TypeAlias = "tuple[tuple[ListedT, ...], str | None]"

#: Bytes of an answer around its payload, without the server's own description.
_AROUND_BYTES: Final = 384
#: Levels of an answer around an item of a list: the answer, its result, the list.
_AROUND_LEVELS: Final = 3


class Listed(Protocol):
    """An item that has a description for lists."""

    @property
    def description(self) -> Any: ...


@attrs.frozen
class Room:
    """How large a payload may be to fit into one answer.

    Attributes:
        size: Bytes of JSON.
        nesting: Levels of arrays and objects.
    """

    size: int
    nesting: int

    def needed(self, label: str, payload: Any) -> int:
        """The number of bytes that a payload needs.

        Args:
            label: What it describes, for messages.
            payload: A payload that can be encoded in every revision.

        Raises:
            RegistrationError: No answer can hold it.
        """
        try:
            size = encoded_size(payload, self.nesting)
        except EncodeError as error:
            raise RegistrationError(
                f"{label}: its definition is nested more deeply than Limits.nesting: {error}"
            ) from None
        if size > self.size:
            raise RegistrationError(
                f"{label}: its definition has {size} bytes, and an answer within "
                f"Limits.message_bytes has room for {self.size}"
            )
        return size


def room_within(limits: Limits, taken: int = 0) -> Room:
    """The room for a payload in an answer.

    Args:
        limits: The server's limits.
        taken: Bytes that every answer needs for something else.
    """
    return Room(
        max(limits.message_bytes - _AROUND_BYTES - taken, 0),
        max(limits.nesting - _AROUND_LEVELS, 0),
    )


class Named(Generic[KeyT, ItemT]):
    """Items by name; any thread may add and remove items while others read.

    Every change makes a new mapping, so a reader's mapping never changes.

    Attributes:
        items: The current items. The mapping is never changed in place.
    """

    def __init__(self) -> None:
        self.items: Mapping[KeyT, ItemT] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.items)

    def add(self, name: KeyT, item: ItemT, label: str) -> None:
        """Add an item. Raises RegistrationError (with the label) if the name is taken."""
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


class Register(Generic[ListedT]):
    """Items by name, in the order of their registration.

    Items may be added and removed at any time, in any thread, also while a client reads the pages:
    a cursor names the registration after which the next page begins, so no item is skipped or
    repeated.

    Args:
        kind: The kind of the items, for messages.
        mark: The beginning of its cursors; it differs for each list, so that a list recognizes its
            cursors.
        changed: Called when an item was added or removed.
        room: What fits on one page; every single item must fit.
    """

    def __init__(self, kind: str, mark: str, changed: Callable[[], None], room: Room) -> None:
        self._kind = kind
        self._mark = mark
        self._changed = changed
        self._room = room
        self._named: Named[str, _Entry[ListedT]] = Named()
        self._serials = itertools.count()
        self._in_order = threading.Lock()
        self._first: _First[ListedT] | None = None

    def __len__(self) -> int:
        return len(self._named)

    def __iter__(self) -> Iterator[ListedT]:
        return (entry.item for entry in self._named.items.values())

    def add(self, name: str, item: ListedT) -> None:
        """Add an item. Raises RegistrationError if the name is taken or the item is too large."""
        label = f"{self._kind} {name!r}"
        size = self._room.needed(label, item.description) + 1  # a comma
        with self._in_order:
            self._named.add(name, _Entry(next(self._serials), size, item), label)
        self._changed()

    def remove(self, name: str) -> ListedT:
        """Raises KeyError if there is none of that name."""
        item = self._named.remove(name).item
        self._changed()
        return item

    def find(self, name: str) -> ListedT | None:
        """The item of that name, or None."""
        found = self._named.items.get(name)
        return None if found is None else found.item

    def page(
        self,
        cursor: str | None,
        size: int | None,
        is_shown: Callable[[ListedT], bool] | None = None,
    ) -> Page[ListedT]:
        """One page, which ends early where an answer has no room for more.

        Args:
            cursor: Where it begins; None for the first page.
            size: Items on it; None for all.
            is_shown: Tells which items may be listed; by default all.

        Returns:
            The items, and the cursor of the next page or None.

        Raises:
            RequestError: The cursor is not one of this list.
        """
        items = self._named.items
        if cursor is None and is_shown is None:
            return self._first_page(items, size)
        after = -1 if cursor is None else _read_cursor(self._mark, cursor)
        rest = [entry for entry in items.values() if entry.serial > after]
        if is_shown is not None:
            rest = [entry for entry in rest if is_shown(entry.item)]
        return self._page(rest, size)

    def _first_page(self, items: Mapping[str, _Entry[ListedT]], size: int | None) -> Page[ListedT]:
        """The page that most clients ask for, kept until the register changes."""
        first = self._first
        if first is None or first.items is not items or first.size != size:
            self._first = first = _First(items, size, self._page(list(items.values()), size))
        return first.page

    def _page(self, rest: list[_Entry[ListedT]], size: int | None) -> Page[ListedT]:
        """The page at the beginning of these entries; the first of them always fits."""
        shown = rest if size is None else rest[:size]
        ends = itertools.accumulate(entry.size for entry in shown)
        fitting = sum(1 for _ in itertools.takewhile(lambda end: end <= self._room.size, ends))
        shown = shown[: max(fitting, 1)]
        following = _cursor(self._mark, shown[-1].serial) if len(shown) < len(rest) else None
        return tuple(entry.item for entry in shown), following


@attrs.frozen(eq=False)
class _Entry(Generic[ListedT]):
    """An item, the number of its registration, and the bytes that it takes on a page."""

    serial: int
    size: int
    item: ListedT


@attrs.frozen(eq=False)
class _First(Generic[ListedT]):
    """The first page of some items, with the size that it was made for."""

    items: Mapping[str, _Entry[ListedT]]
    size: int | None
    page: Page[ListedT]


def _cursor(mark: str, serial: int) -> str:
    return base64.urlsafe_b64encode(f"{mark}{serial}".encode()).decode()


def _read_cursor(mark: str, cursor: str) -> int:
    try:
        text = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
        serial = text.removeprefix(mark)
        if serial != text:
            return int(serial)
    except ValueError:
        pass
    raise RequestError(INVALID_PARAMS, "Invalid cursor: begin again with the first page")
