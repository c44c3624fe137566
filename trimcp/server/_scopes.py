"""Which scopes a request needs: the one place where that is decided.

Specification: 2026-07-28, Authorization, Scope Challenge Handling.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from trimcp.errors import RegistrationError
from trimcp.functions import BadArguments, is_async, takes

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from trimcp.runtime import Authorization, Principal

__all__ = [
    "OFFLINE",
    "ScopeRule",
    "Scopes",
    "check_asked",
    "checked_scopes",
    "needed_under",
    "scope_rule",
]

#: What a user writes: scopes, or a function that says which ones a call needs.
Scopes: TypeAlias = "Collection[str] | Callable[[Principal, Mapping[str, Any]], Collection[str]]"

#: What is kept of it.
ScopeRule: TypeAlias = "frozenset[str] | Callable[[Principal, Mapping[str, Any]], Any] | None"

#: The scope of refresh tokens, which is no business of a resource.
OFFLINE: Final = "offline_access"

#: RFC 6749, section 3.3.
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def checked_scopes(scopes: Any, label: str) -> frozenset[str]:
    """Raises RegistrationError if they are no scopes."""
    if isinstance(scopes, (list, tuple, set, frozenset)) and all(
        isinstance(each, str) and _SCOPE.fullmatch(each) for each in scopes
    ):
        return frozenset(scopes)
    raise RegistrationError(f'{label} is a set of scopes, such as {{"files:read"}}; not {scopes!r}')


def check_asked(authorization: Authorization | None, label: str) -> None:
    """Raises RegistrationError where nobody would ask for scopes: they would protect nothing."""
    if authorization is None:
        raise RegistrationError(f"{label} needs a verifier: Server(auth=...)")


def scope_rule(scopes: Any, label: str, authorization: Authorization | None) -> ScopeRule:
    """What is kept of the `scopes=` of a tool, resource or prompt; None stays None.

    Raises:
        RegistrationError: They are neither scopes nor a function that can be asked for them, or
            there is no verifier.
    """
    if scopes is None:
        return None
    check_asked(authorization, label)
    if not callable(scopes):
        return checked_scopes(scopes, label)
    if is_async(scopes) or not takes(scopes, 2):
        raise RegistrationError(
            f"{label} is a set of scopes, or a function, not async, of a principal and arguments"
        )
    rule: ScopeRule = scopes
    return rule


def needed_under(
    rule: ScopeRule, principal: Principal, bind: Callable[[], Mapping[str, Any]]
) -> frozenset[str]:
    """The scopes that one call needs.

    Args:
        rule: What was registered.
        principal: Who calls.
        bind: Gives the call's arguments, validated. Where it raises BadArguments nothing is
            needed: the call is refused before its function runs.

    Raises:
        Exception: Whatever a user's function raises.
    """
    if rule is None or isinstance(rule, frozenset):
        return rule or frozenset()
    try:
        arguments = bind()
    except BadArguments:
        return frozenset()
    return checked_scopes(rule(principal, arguments), "what a scopes= function gives")
