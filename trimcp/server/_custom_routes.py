"""A user's own HTTP endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import RegistrationError
from trimcp.functions import check_async
from trimcp.runtime import CustomRoute

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

__all__ = ["add_route", "check_free"]

_HEALTH: Final = "/healthz"


def add_route(
    routes: dict[str, CustomRoute],
    path: str,
    methods: Sequence[str],
    function: Callable[..., Any],
    scopes: frozenset[str] | None = None,
) -> None:
    """Add an endpoint.

    Args:
        routes: The existing endpoints, by path.
        path: Its exact path.
        methods: The HTTP methods it is for; GET brings HEAD with it.
        function: What answers.
        scopes: What a caller needs beside the server's required scopes; None for no token.

    Raises:
        RegistrationError: The path does not begin with a slash or is taken, or the function is
            not async.
    """
    if not path.startswith("/") or path in routes or path == _HEALTH:
        raise RegistrationError(f"custom route {path!r}: the path is taken, or is none")
    check_async(function, f"custom route {path!r}", (1,), "an HttpRequest")
    upper = tuple(method.upper() for method in methods)
    if "GET" in upper and "HEAD" not in upper:
        upper += ("HEAD",)
    routes[path] = CustomRoute(upper, function, scopes)


def check_free(routes: Iterable[str], claimed: Collection[str]) -> None:
    """Whether custom routes keep off the paths of endpoints. Raises RegistrationError."""
    for path in routes:
        if (path.rstrip("/") or "/") in claimed:
            raise RegistrationError(
                f"custom route {path!r}: an endpoint that asks for access tokens is there"
            )
