"""The part that needs joserfc, which is slow to load."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["signing_keys"]


def signing_keys(who: str) -> ModuleType:
    """`trimcp.auth._keys`, loaded when it is first needed.

    Args:
        who: What needs it, for the message.

    Raises:
        ModuleNotFoundError: joserfc is missing.
    """
    try:
        from . import _keys
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("joserfc"):
            raise
        raise ModuleNotFoundError(
            f"{who} needs joserfc: pip install 'trimcp[auth]'", name=error.name
        ) from None
    return _keys
