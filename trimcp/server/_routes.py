"""The protocol's methods, as this server handles them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import INVALID_PARAMS, RequestError
from trimcp.protocol import (
    STATELESS_REVISIONS,
    DecodeError,
    InvalidShape,
    codec_for,
    read_call,
    read_object,
)
from trimcp.runtime import method_not_found
from trimcp.types import (
    DiscoverResult,
    EmptyResult,
    InitializeResult,
    ListToolsResult,
    PaginatedRequestParams,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimcp.protocol import Exchange
    from trimcp.runtime import Frame

    from ._application import Application

__all__ = ["handle"]


async def handle(application: Application, frame: Frame) -> Any:
    """Handle one request.

    Raises:
        RequestError: The method does not exist in the request's revision, or its params are
            invalid.
    """
    exchange = frame.exchange
    route = _ROUTES.get(exchange.method)
    if route is None or exchange.method not in exchange.terms.revision.client_requests:
        raise method_not_found(exchange.method)
    try:
        return await route(application, frame)
    except InvalidShape as error:
        raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None


async def _call_tool(application: Application, frame: Frame) -> Any:
    shape = read_call(frame.exchange.params)
    tool = application.server.tools.get(shape.name)
    return await tool.call(frame, application, shape)


async def _list_tools(application: Application, frame: Frame) -> ListToolsResult:
    params = _decode(frame.exchange, PaginatedRequestParams)
    if params.cursor is not None:
        raise RequestError(INVALID_PARAMS, f"invalid cursor: {params.cursor!r}")
    return ListToolsResult(tuple(tool.description for tool in application.server.tools))


async def _initialize(application: Application, frame: Frame) -> InitializeResult:
    server = application.server
    return InitializeResult(
        frame.exchange.terms.revision.date,
        server.capabilities,
        server.identity,
        server.instructions,
    )


async def _discover(application: Application, frame: Frame) -> DiscoverResult:
    server = application.server
    return DiscoverResult(
        tuple(revision.date for revision in reversed(STATELESS_REVISIONS)),
        server.capabilities,
        server.instructions,
    )


async def _ping(application: Application, frame: Frame) -> EmptyResult:
    return EmptyResult()


def _decode(exchange: Exchange, cls: type[Any]) -> Any:
    """The params of a request. Raises RequestError."""
    try:
        return codec_for(exchange.terms.revision).decode(read_object(exchange.params), cls)
    except DecodeError as error:
        raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None


_ROUTES: Final[dict[str, Callable[[Application, Frame], Awaitable[Any]]]] = {
    "tools/call": _call_tool,
    "tools/list": _list_tools,
    "initialize": _initialize,
    "server/discover": _discover,
    "ping": _ping,
}
