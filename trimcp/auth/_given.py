"""Options of the wrong kind are refused where they are given; errors say what they are to be."""

from __future__ import annotations

import inspect
import ssl

from trimcp.errors import OptionError

__all__ = ["check_function", "check_ssl_context", "check_text"]


def check_text(name: str, value: object) -> None:
    """Raises OptionError for what is neither None nor a text that can be sent. It is not shown.

    Args:
        name: The option.
        value: What it was given.
    """
    if value is None:
        return
    if not isinstance(value, str):
        raise OptionError(f"{name}= is a text, not {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise OptionError(f"{name}= holds characters that cannot be sent (surrogates)") from None


def check_function(name: str, function: object, what: str, *args: object) -> None:
    """Raises OptionError for what cannot be called in this way. It is not shown.

    Args:
        name: The option.
        function: What it was given.
        what: What the function must be, for people.
        args: What it is called with.
    """
    if not callable(function):
        raise OptionError(f"{name}= is {what}")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some functions that are not written in Python have none.
        return
    try:
        signature.bind(*args)
    except TypeError as error:
        raise OptionError(
            f"{name}= is {what}; this function cannot be called so: {error}"
        ) from None


def check_ssl_context(value: object) -> None:
    """Raises OptionError for what is neither None nor an `ssl.SSLContext`."""
    if value is not None and not isinstance(value, ssl.SSLContext):
        raise OptionError(f"ssl_context= is an ssl.SSLContext, not {type(value).__name__}")
