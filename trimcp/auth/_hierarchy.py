"""Scopes that include others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ScopeHierarchy"]


class ScopeHierarchy:
    """Which scopes stand for others as well.

    Args:
        implied: For a scope, those that it includes, such as
            `{"admin": {"files:write"}, "files:write": {"files:read"}}`: whoever may do the first
            may do all three.

    Specification: 2026-07-28, Authorization, Scope Challenge Handling.
    """

    def __init__(self, implied: Mapping[str, Iterable[str]] | None = None) -> None:
        given = {scope: _names(scope, names) for scope, names in (implied or {}).items()}
        self._reached = {scope: _reached(scope, given) for scope in given}

    def expand(self, scopes: Iterable[str]) -> frozenset[str]:
        """The scopes, and all that they include."""
        names = frozenset(scopes)
        return names.union(*(self._reached[each] for each in names if each in self._reached))


def _names(scope: str, names: Iterable[str]) -> frozenset[str]:
    if isinstance(names, str):
        raise TypeError(f"the scopes that {scope!r} implies are a set of strings, not one string")
    return frozenset(names)


def _reached(scope: str, given: Mapping[str, frozenset[str]]) -> frozenset[str]:
    found = {scope}
    waiting = [scope]
    while waiting:
        new = given.get(waiting.pop(), frozenset()) - found
        found |= new
        waiting.extend(new)
    return frozenset(found)
