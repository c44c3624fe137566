"""What runs around serving: hooks at its start and its end, and background tasks."""

from __future__ import annotations

from typing import Any

from trimcp.functions import check_async

__all__ = ["check_hook"]


def check_hook(hook: Any, label: str) -> None:
    """Raises RegistrationError if it is no async function of at most one parameter.

    Args:
        hook: What a user has given.
        label: What it is to become, for messages.
    """
    check_async(hook, label, (0, 1), "nothing, or what the lifespan yielded")
