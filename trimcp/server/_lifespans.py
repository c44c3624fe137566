"""Lifespans: entered before anything is served with them, and left in all cases.

With `contextlib` an error on leaving would replace the error that is being handled; here it is
logged instead.
"""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp._groups import adds_only_cancellations, leaves, logged
from trimcp.errors import NotServing, RegistrationError
from trimcp.functions import check_opened
from trimcp.runtime import NEEDS_TRIO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = [
    "CLEANUP_SECONDS",
    "check_trio",
    "combine_lifespans",
    "entered",
    "grant_cleanup",
]

logger = logging.getLogger("trimcp.server")

#: Seconds for `on_shutdown` hooks and for leaving the lifespans.
CLEANUP_SECONDS: Final = 10.0


def check_trio() -> None:
    """Check that Trio is running. Raises NotServing."""
    if not trio.lowlevel.in_trio_run():
        raise NotServing(NEEDS_TRIO)


def combine_lifespans(
    *lifespans: Callable[[Any], AbstractAsyncContextManager[Any]],
) -> Callable[[Any], AbstractAsyncContextManager[tuple[Any, ...]]]:
    """Combine several lifespans to one. They are entered in this order and left in reverse order.

    Args:
        lifespans: Functions as for `Server(lifespan=…)` or `Server(session_lifespan=…)`.

    Returns:
        A lifespan that yields the tuple of what they yield.

    Raises:
        RegistrationError: One of them certainly returns no async context manager.
    """
    for each in lifespans:
        check_opened(each, "combine_lifespans", "the server or the session")

    @asynccontextmanager
    async def combined(owner: Any) -> AsyncIterator[tuple[Any, ...]]:
        async with AsyncExitStack() as stack:
            yield tuple(
                [await stack.enter_async_context(entered(each(owner))) for each in lifespans]
            )

    return combined


@asynccontextmanager
async def entered(lifespan: AbstractAsyncContextManager[Any]) -> AsyncIterator[Any]:
    """Enter a lifespan. An error on leaving does not hide the reason for leaving."""
    if not hasattr(lifespan, "__aenter__"):
        raise RegistrationError(
            f"a lifespan gave {lifespan!r}, which is not an async context manager; write an async "
            "generator function under @contextlib.asynccontextmanager"
        )
    value = await lifespan.__aenter__()
    try:
        yield value
    except BaseException as reason:
        try:
            swallowed = await lifespan.__aexit__(type(reason), reason, reason.__traceback__)
        except BaseException as error:
            if _is_cancellation(reason) or adds_only_cancellations(reason, error):
                raise
            logger.error("leaving a lifespan failed too", exc_info=logged(error))
            raise reason from None
        if not swallowed:
            raise
    else:
        await lifespan.__aexit__(None, None, None)


def _is_cancellation(reason: BaseException) -> bool:
    return all(isinstance(leaf, trio.Cancelled) for leaf in leaves(reason))


def grant_cleanup(life: trio.CancelScope) -> None:
    """Shield what runs in this scope while it cleans up, with a deadline."""
    life.shield = True
    life.deadline = trio.current_time() + CLEANUP_SECONDS
