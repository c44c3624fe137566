"""Descriptions of a server and of its tools and so on, which are checked at registration."""

from __future__ import annotations

from typing import Any, TypeVar

from trimcp.errors import RegistrationError
from trimcp.protocol import EncodeError, settle, settle_value

__all__ = ["described", "option"]

T = TypeVar("T")


def described(label: str, cls: type[T], **fields: Any) -> T:
    """Make the payload that describes something in lists.

    Args:
        label: What it describes, for messages.
        cls: Its class.
        fields: Its fields.

    Raises:
        RegistrationError: A field cannot be expressed in some revision; the message names it.
    """
    try:
        return settle(cls, fields)
    except EncodeError as error:
        raise RegistrationError(f"{label}: {error}") from error.__cause__


def option(label: str, name: str, value: Any, hint: Any) -> Any:
    """One plain value, such as a number of seconds; None stays None. Raises RegistrationError."""
    try:
        return settle_value(name, value, hint)
    except EncodeError as error:
        raise RegistrationError(f"{label}: {error}") from None
