"""What functions of the user's give that is passed on to an authorization server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import AuthorizationFailed
from trimcp.runtime import awaited

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_CHARACTERS", "ask"]

#: The longest token that is passed on.
MOST_CHARACTERS: Final = 64 * 1024

#: What a JWT or another token holds; nothing that could end it early, or be a mistake.
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


async def ask(function: Callable[..., Any], what: str, seconds: float, *args: str) -> str:
    """Call a function that gives a token; it may be async.

    Args:
        function: The user's.
        what: The option by which it was given, for people.
        seconds: How long it may take.
        args: What it is called with.

    Raises:
        AuthorizationFailed: It took too long, gave something else, or raised something: its own
            AuthorizationFailed as it is. Neither what it gave nor what another exception says is
            shown, since a token may stand in that; the exception is the cause.
    """
    value: Any = None
    try:
        # Not `fail_after`, whose error the function may raise too.
        with trio.move_on_after(seconds) as scope:
            value = await awaited(function(*args))
    except AuthorizationFailed:
        raise
    except Exception as error:
        raise AuthorizationFailed(f"{what} raised {type(error).__name__}") from error
    if scope.cancelled_caught:
        raise AuthorizationFailed(f"{what} gave nothing within {seconds:g} s")
    if not isinstance(value, str) or len(value) > MOST_CHARACTERS or not _TOKEN.fullmatch(value):
        raise AuthorizationFailed(
            f"{what} must give a text of 1 to {MOST_CHARACTERS} printable ASCII characters without "
            "spaces"
        )
    return value
