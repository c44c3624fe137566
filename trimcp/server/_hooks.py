"""Hooks that run before and after serving, and background tasks."""

from __future__ import annotations

from typing import Any

from trimcp.functions import check_async

__all__ = ["check_hook"]


def check_hook(hook: Any, label: str) -> None:
    """Check that a hook is an async function of at most one parameter. Raises RegistrationError.

    Args:
        hook: The hook that a user has given.
        label: Its name in messages.
    """
    check_async(hook, label, (0, 1), "nothing, or what the lifespan yielded")
