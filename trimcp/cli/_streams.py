"""Standard streams that were closed before the command began."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["open_missing"]

_NAMES = ("stdin", "stdout", "stderr")


@contextmanager
def open_missing() -> Iterator[list[str]]:
    """Open the null device in place of standard streams that were closed at the start.

    Otherwise the next file or socket that is opened would get the stream's number.

    Yields:
        The names of those streams: `stdin`, `stdout`, `stderr`.
    """
    missing = [name for name in _NAMES if getattr(sys, name) is None]
    for name in missing:
        _open_null(_NAMES.index(name))
        is_input = name == "stdin"
        setattr(sys, name, open(os.devnull, "r" if is_input else "w"))  # noqa: SIM115
    try:
        yield missing
    finally:
        for name in missing:
            getattr(sys, name).close()
            setattr(sys, name, None)


def _open_null(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
