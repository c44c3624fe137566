"""What an exception means to the peer.

`ToolError` and `RequestError` are meant for the peer, also when they come out of a nursery of
the handler's own. Everything else is logged whole and leaves without a word of its text.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from trimcp.errors import (
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    RequestError,
    ResourceNotFound,
    ToolError,
)
from trimcp.protocol import InvalidShape, read_object
from trimcp.types import CallToolResult, TextContent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimcp.protocol import Exchange

__all__ = ["failure_of", "leaves", "method_not_found"]

#: Exceptions that are meant for the peer.
_MEANT: Final = (RequestError, ResourceNotFound, ToolError)

logger = logging.getLogger("trimcp.server")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a (nested) group, in order; the exception itself if it is no group."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def failure_of(exchange: Exchange, error: BaseException) -> RequestError | CallToolResult:
    """Decide the answer to a request whose handler failed, and log what must be logged.

    A `RequestError` wins over `ToolError`s, whose texts are joined; either wins over unexpected
    exceptions beside it, which are logged all the same.
    """
    found = list(leaves(error))
    if any(not isinstance(leaf, _MEANT) for leaf in found):
        logger.error("%s failed", _label(exchange), exc_info=error)
    for leaf in found:
        if isinstance(leaf, RequestError):
            return leaf
        if isinstance(leaf, ResourceNotFound):
            code = exchange.terms.revision.resource_not_found
            return RequestError(code, str(leaf), {"uri": leaf.uri})
    texts = [leaf.text for leaf in found if isinstance(leaf, ToolError)]
    if exchange.method == "tools/call":
        text = "\n".join(texts) or "The tool failed unexpectedly."
        return CallToolResult((TextContent(text),), is_error=True)
    return RequestError(INTERNAL_ERROR, "\n".join(texts) or "Internal error")


def _label(exchange: Exchange) -> str:
    """The request's method and what it is about, for logs."""
    try:
        subject = read_object(exchange.params)
    except InvalidShape:
        return exchange.method
    named = subject.get("name", subject.get("uri"))
    return f"{exchange.method} {named!r}" if isinstance(named, str) else exchange.method


def method_not_found(method: str) -> RequestError:
    """The error for a method that this side does not have."""
    return RequestError(METHOD_NOT_FOUND, f"Method not found: {method}")
