"""The one exception boundary: what stands between a handler and everybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._frame import Frame

__all__ = ["Failed", "contained"]


@attrs.frozen(eq=False)
class Failed:
    """What a handler raised, in a group or bare."""

    error: BaseException


async def contained(frame: Frame, handler: Callable[[Frame], Awaitable[Any]]) -> Any:
    """Run a handler in the scope of its frame. Nothing but Cancelled leaves.

    Returns:
        What it returned, a `Failed`, or None if the scope was cancelled.
    """
    try:
        with frame.scope:
            return await handler(frame)
    except* (trio.Cancelled, KeyboardInterrupt, GeneratorExit):
        raise
    except* BaseException as group:
        # Also what is no `Exception`: SystemExit, a panic in a Rust library.
        failed = Failed(group)
    else:
        return None
    return failed
