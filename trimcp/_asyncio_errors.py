"""Errors of code for asyncio that runs under Trio: what they mean, and the page that helps."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["PAGE", "explain_asyncio_error"]

#: The page that says what to do.
PAGE: Final = '"Libraries made for asyncio" (docs/asyncio.md)'

_ADVICE: Final = (
    f"This code is made for asyncio, and trimcp runs on Trio: the page {PAGE} says how to use it."
)

#: What asyncio, Trio, trio-asyncio, anyio and sniffio say then.
_TEXTS: Final = re.compile(
    r"no running event loop"
    r"|trio\.run received unrecognized yield message"
    r"|There is no current event loop in thread"
    r"|'NoneType' object has no attribute '(?:create_future|create_task|call_\w+)'"
    r"|'NoneType' object has no attribute 'run_aio_coroutine'"
    r"|Not currently running on any asynchronous event loop"
    r"|Not running inside an AnyIO worker thread"
    r"|unknown async library, or not in async context"
)

#: How much of a text is looked at.
_LONGEST: Final = 500


def explain_asyncio_error(error: BaseException) -> None:
    """Add a note to the error if it comes from code for asyncio; once, however often it is called.

    Only the log and tracebacks show it: what a peer hears does not change.
    """
    if not isinstance(error, RuntimeError | TypeError | AttributeError) or not error.args:
        return
    text = error.args[0]
    if not isinstance(text, str) or not _TEXTS.search(text[:_LONGEST]):
        return
    if _ADVICE not in getattr(error, "__notes__", ()):
        error.add_note(_ADVICE)
