"""Which scopes a client asks for.

Specification: 2026-07-28, Authorization, Scope Selection Strategy; Step-Up Authorization Flow;
Refresh Tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["OFFLINE_ACCESS", "scopes_to_register", "scopes_to_request"]

#: The scope for refresh tokens.
OFFLINE_ACCESS: Final = "offline_access"

#: Scopes of all challenges together that one login asks for.
_MOST_SCOPES: Final = 500


def scopes_to_request(
    challenged: Sequence[str] | None,
    resource: Sequence[str] | None,
    *,
    requested: Iterable[str] = (),
    wanted: Iterable[str] = (),
    server: Sequence[str] = (),
) -> tuple[str, ...] | None:
    """The scopes of an authorization request, each once; None for a request that names none.

    Args:
        challenged: Those that the server's challenge names; None if it names none.
        resource: Those that the server's metadata name; None if they name none.
        requested: Those that this client has asked for before.
        wanted: Those that the user of this library wants besides.
        server: Those that the authorization server knows, as far as it says so.
    """
    first = challenged if challenged is not None else resource
    scopes = dict.fromkeys([*requested, *(first or ()), *wanted])
    if not scopes:
        return None
    if OFFLINE_ACCESS in server:
        scopes[OFFLINE_ACCESS] = None
    return tuple(scopes)[:_MOST_SCOPES]


def scopes_to_register(
    requested: Sequence[str] | None, resource: Sequence[str] | None
) -> tuple[str, ...]:
    """The scopes that a client registers for: also those that it may need later.

    A server may hold a client to what it has registered for.
    """
    return tuple(dict.fromkeys([*(requested or ()), *(resource or ())]))[:_MOST_SCOPES]
