"""Hooks that run before and after serving, and background tasks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from trimcp._groups import logged
from trimcp.functions import check_async, takes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["call_hook", "check_hook", "log_failure"]

logger = logging.getLogger("trimcp.server")


def check_hook(hook: Any, label: str) -> None:
    """Check that a hook is an async function of at most one parameter. Raises RegistrationError.

    Args:
        hook: The hook that a user has given.
        label: Its name in messages.
    """
    check_async(hook, label, (0, 1), "nothing, or what the lifespan yielded")


def call_hook(function: Callable[..., Awaitable[Any]], value: Any) -> Awaitable[Any]:
    """Call a hook, with the lifespan's value if the hook takes an argument."""
    return function(value) if takes(function, 1) else function()


def log_failure(text: str, hook: object, error: BaseException) -> None:
    """Log that a hook or background task has failed.

    Args:
        text: What happened, with `%r` for the hook's name.
        hook: The function.
        error: What it raised.
    """
    logger.error(text, getattr(hook, "__qualname__", repr(hook)), exc_info=logged(error))
