"""Which scopes a request needs: the one place where that is decided.

Specification: 2026-07-28, Authorization, Scope Challenge Handling.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from trimcp.errors import RegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from trimcp.runtime import Authorization, Principal

__all__ = ["ScopeRule", "Scopes", "check_asked", "checked_scopes"]

#: What a user writes: scopes, or a function that says which ones a call needs.
Scopes: TypeAlias = "Collection[str] | Callable[[Principal, Mapping[str, Any]], Collection[str]]"

#: What is kept of it.
ScopeRule: TypeAlias = "frozenset[str] | Callable[[Principal, Mapping[str, Any]], Any] | None"

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
