"""The four kinds of change that a server tells its subscribers.

Specification: 2026-07-28, Subscriptions; to 2025-11-25, Tools, Prompts and Resources (List
Changed Notification, Subscriptions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from trimcp.types import ResourceUpdatedNotificationParams, SubscriptionFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "Change",
    "PromptsListChanged",
    "ResourceUpdated",
    "ResourcesListChanged",
    "ToolsListChanged",
    "change_of",
    "filter_of",
    "kinds_of",
    "method_of",
    "params_of",
]


@attrs.frozen
class ToolsListChanged:
    """Tools were added or removed."""


@attrs.frozen
class PromptsListChanged:
    """Prompts were added or removed."""


@attrs.frozen
class ResourcesListChanged:
    """Resources or templates were added or removed."""


@attrs.frozen
class ResourceUpdated:
    """A resource has changed and may be read again.

    Attributes:
        uri: The resource.
    """

    uri: str


Change: TypeAlias = ToolsListChanged | PromptsListChanged | ResourcesListChanged | ResourceUpdated

_METHODS: Final[dict[type[Change], str]] = {
    ToolsListChanged: "notifications/tools/list_changed",
    PromptsListChanged: "notifications/prompts/list_changed",
    ResourcesListChanged: "notifications/resources/list_changed",
    ResourceUpdated: "notifications/resources/updated",
}
_LISTS: Final[dict[str, Change]] = {
    _METHODS[cls]: cls() for cls in (ToolsListChanged, PromptsListChanged, ResourcesListChanged)
}


def method_of(change: Change) -> str:
    """The notification that tells of a change."""
    return _METHODS[type(change)]


def params_of(change: Change) -> ResourceUpdatedNotificationParams | None:
    """The params of that notification; None if it has none."""
    if isinstance(change, ResourceUpdated):
        return ResourceUpdatedNotificationParams(change.uri)
    return None


def change_of(method: str, wire: Mapping[str, Any]) -> Change | None:
    """The change that a notification tells of; None if it is about something else."""
    if method in _LISTS:
        return _LISTS[method]
    uri = wire.get("uri")
    if method == _METHODS[ResourceUpdated] and isinstance(uri, str):
        return ResourceUpdated(uri)
    return None


def kinds_of(wanted: SubscriptionFilter) -> frozenset[type[Change]]:
    """The changes of lists that a filter lets through."""
    asked: dict[type[Change], bool | None] = {
        ToolsListChanged: wanted.tools_list_changed,
        PromptsListChanged: wanted.prompts_list_changed,
        ResourcesListChanged: wanted.resources_list_changed,
    }
    return frozenset(kind for kind, is_wanted in asked.items() if is_wanted)


def filter_of(kinds: Iterable[type[Change]], uris: Iterable[str]) -> SubscriptionFilter:
    """The filter that lets these changes through; the members for other changes are absent."""
    kinds = frozenset(kinds)
    return SubscriptionFilter(
        tools_list_changed=True if ToolsListChanged in kinds else None,
        prompts_list_changed=True if PromptsListChanged in kinds else None,
        resources_list_changed=True if ResourcesListChanged in kinds else None,
        resource_subscriptions=tuple(uris) or None,
    )
