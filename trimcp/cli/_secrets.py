"""Secrets, which are never words of the command line, where every user of the machine sees them."""

from __future__ import annotations

import os
from typing import Final

from ._errors import UsageError

__all__ = ["secret_in", "secret_of"]

#: The largest secret or key, in bytes.
_MOST_BYTES: Final = 64 * 1024


def secret_of(variable: str) -> str:
    """What a variable of the environment holds. Raises UsageError if it holds nothing."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise UsageError(f"the environment has no {variable}, or it is empty")
    return value


def secret_in(path: str) -> str:
    """What a file holds, without the end of its last line. Raises UsageError."""
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
        value = data.decode().strip("\r\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no text") from None
    if not value or len(data) > _MOST_BYTES:
        raise UsageError(f"{path} is empty, or too large for a secret")
    return value
