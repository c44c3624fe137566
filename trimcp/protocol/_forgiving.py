"""Flaws in received payloads that a reader accepts.

A client reads null in an optional member as absent, and leaves an item that cannot be read out of a
list. Both are decided here, for the converter that clients use; for a server, absent is not null.
Icons whose URI must not be loaded are left out on both sides.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, get_args

import attrs
from cattrs import BaseValidationError

from trimcp import types as t

from ._names import wire_name
from ._strict import Mismatch, expected, is_tuple, problems, tuple_hook

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from cattrs import Converter

    from ._revisions import Revision
    from ._strict import Hook

__all__ = ["null_members", "register_icons", "register_lists"]

logger = logging.getLogger("trimcp.client")

#: Lists from which a program chooses: an invalid item does not make the other items unusable.
_LISTED: Final = (t.Tool, t.Prompt, t.Resource, t.ResourceTemplate)

#: The schemes of icons that may be loaded (Icons, Security Considerations; schema, Icon).
_ICON_SCHEMES: Final = ("https", "http", "data")

_LONGEST_NAME: Final = 60


# -- null for absent ---------------------------------------------------------------------------


def null_members(
    cls: type, revision: Revision, *, forgiving: bool
) -> Callable[[dict[str, Any]], Collection[str]] | None:
    """Find which members of an object may be null instead of absent.

    Args:
        cls: The class of the object.
        revision: The revision of the object.
        forgiving: Whether a client reads it.

    Returns:
        A function from the object to the names; None if no object of this class has such members.
    """
    if forgiving:
        names = _optional_members(cls, revision)
        return lambda _: names
    if cls is t.ElicitResult:
        # An answer that declines has no content, and many clients write that as null.
        return lambda wire: () if wire.get("action") == "accept" else ("content",)
    return None


def _optional_members(cls: type, revision: Revision) -> frozenset[str]:
    """The wire names of the members that may be absent and, by the schema, may not be null."""
    required = revision.required.get(cls, ())
    return frozenset(
        wire_name(field.name)
        for field in attrs.fields(cls)
        if field.default is not attrs.NOTHING
        and field.name not in required
        and not (field.type is Any and revision.structured_any)
    )


# -- lists -------------------------------------------------------------------------------------


def register_lists(converter: Converter) -> None:
    """Leave items that cannot be read out of a list, instead of refusing the whole list."""

    def tuple_of(cls: Any) -> Hook:
        item = get_args(cls)[0]
        return _leaving_out(converter.get_structure_hook(item), item)

    converter.register_structure_hook_factory(_is_list_of(_LISTED), tuple_of)


def register_icons(converter: Converter) -> None:
    """Leave out icons whose URI must not be loaded."""

    def tuple_of(cls: Any) -> Hook:
        read = tuple_hook(converter.get_structure_hook(t.Icon), t.Icon)
        return lambda value, _: _safe_icons(read(value, _))

    converter.register_structure_hook_factory(_is_list_of((t.Icon,)), tuple_of)


def _is_list_of(items: tuple[type, ...]) -> Callable[[Any], bool]:
    return lambda cls: is_tuple(cls) and get_args(cls)[0] in items


def _leaving_out(item: Hook, cls: type) -> Hook:
    def structure_list(value: Any, _: Any) -> tuple[Any, ...]:
        if type(value) is not list:
            raise expected("an array", value)
        kept = []
        flaws = []
        for each in value:
            try:
                kept.append(item(each, cls))
            except (Mismatch, BaseValidationError) as error:
                flaws.append((each, error))
        if flaws:
            _warn(cls, len(flaws), *flaws[0])
        return tuple(kept)

    return structure_list


def _warn(cls: type, count: int, odd: Any, error: Exception) -> None:
    name = odd.get("name") if isinstance(odd, dict) else None
    shown = f"{name[:_LONGEST_NAME]!r}" if isinstance(name, str) else "one without a name"
    message, where = problems(error, "$", wire_name)[0]
    others = f", and {count - 1} more" if count > 1 else ""
    logger.warning(
        "left out of the list, since it cannot be read: %s %s%s: %s @ %s",
        *(cls.__name__, shown, others, message, where),
    )


def _safe_icons(icons: tuple[t.Icon, ...]) -> tuple[t.Icon, ...]:
    safe = tuple(each for each in icons if _is_safe(each.src))
    if len(safe) < len(icons):
        odd = next(each for each in icons if each not in safe)
        logger.warning("left out, since its URI must not be followed: an icon at %.60r", odd.src)
    return safe


def _is_safe(uri: str) -> bool:
    """Whether an icon's URI has a scheme that may be loaded."""
    return uri.partition(":")[0].lower() in _ICON_SCHEMES
