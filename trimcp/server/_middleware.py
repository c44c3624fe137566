"""Middleware, which wraps every request of a server."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeAlias

from trimcp.functions import check_async

from ._context import Context, enter_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["CallNext", "Middleware", "check_middleware", "through"]

#: Handles the request; returns its result, or raises the handler's exception.
CallNext: TypeAlias = "Callable[[], Awaitable[Any]]"

Middleware: TypeAlias = "Callable[[Context[Any], CallNext], Awaitable[Any]]"


def check_middleware(middleware: Any) -> None:
    """Check that it is an async function of two parameters. Raises RegistrationError."""
    check_async(middleware, "middleware", (2,), "a context and call_next")


async def through(chain: Sequence[Middleware], context: Context[Any], call_next: CallNext) -> Any:
    """Handle a request, wrapped in middleware: the first of the chain is the outermost.

    Args:
        chain: The middleware.
        context: The request.
        call_next: Handles it.
    """
    enter_context(context)
    for middleware in reversed(chain):
        call_next = functools.partial(middleware, context, call_next)
    result = await call_next()
    if result is None:
        raise TypeError("middleware returned None; it must return what call_next() gave")
    return result
