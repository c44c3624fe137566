"""The protocol's methods, as this server handles them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from trimcp.errors import INVALID_PARAMS, RequestError, ResourceNotFound
from trimcp.protocol import (
    META_SERVER_INFO,
    STATELESS_REVISIONS,
    InvalidShape,
    read_call,
)
from trimcp.runtime import method_not_found
from trimcp.types import (
    CompleteRequestParams,
    CompleteResult,
    DiscoverResult,
    EmptyResult,
    GetPromptRequestParams,
    InitializeResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    PromptReference,
    ReadResourceRequestParams,
    SetLevelRequestParams,
)

from ._listening import listen, subscribe, unsubscribe
from ._middleware import through
from ._params import params_as

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimcp.runtime import Frame
    from trimcp.types import CompletionReference

    from ._application import Application
    from ._completion import CompletionKey
    from ._register import Register
    from ._server import Server

__all__ = ["handle"]

ItemT = TypeVar("ItemT")


async def handle(application: Application, frame: Frame) -> Any:
    """Handle one request, middleware around it.

    Raises:
        RequestError: The method does not exist in the request's revision, or its params are
            invalid.
    """
    chain = application.server.middlewares
    if chain:
        return await through(chain, application, frame, _handle)
    return await _handle(application, frame)


async def _handle(application: Application, frame: Frame) -> Any:
    exchange = frame.exchange
    method = exchange.method
    route = _ROUTES.get(method)
    try:
        if route is not None and method in exchange.terms.revision.client_requests:
            return await route(application, frame)
        if application.server.methods.knows(method):
            return await application.server.methods.call(application, frame)
    except InvalidShape as error:
        raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None
    raise method_not_found(method)


async def _call_tool(application: Application, frame: Frame) -> Any:
    shape = read_call(frame.exchange.params)
    tool = application.server.tools.find(shape.name)
    if tool is None:
        raise RequestError(INVALID_PARAMS, f"Unknown tool: {shape.name}")
    return await tool.call(application, frame, shape)


async def _list_tools(application: Application, frame: Frame) -> ListToolsResult:
    server = application.server
    tools, following = _page(server, frame, server.tools)
    listed = [tool.description for tool in tools]
    return ListToolsResult(listed, following, server.list_ttl_ms, server.list_scope)


async def _list_resources(application: Application, frame: Frame) -> ListResourcesResult:
    server = application.server
    readings, following = _page(server, frame, server.resources.fixed)
    listed: Any = [reading.description for reading in readings]
    return ListResourcesResult(listed, following, server.list_ttl_ms, server.list_scope)


async def _list_templates(application: Application, frame: Frame) -> ListResourceTemplatesResult:
    server = application.server
    readings, following = _page(server, frame, server.resources.templates)
    listed: Any = [reading.description for reading in readings]
    return ListResourceTemplatesResult(listed, following, server.list_ttl_ms, server.list_scope)


async def _read_resource(application: Application, frame: Frame) -> Any:
    uri = params_as(frame.exchange, ReadResourceRequestParams).uri
    found = application.server.resources.find(uri)
    if found is None:
        raise ResourceNotFound(uri)
    reading, arguments = found
    return await reading.read(application, frame, uri, arguments)


async def _list_prompts(application: Application, frame: Frame) -> ListPromptsResult:
    server = application.server
    prompts, following = _page(server, frame, server.prompts)
    listed = [prompt.description for prompt in prompts]
    return ListPromptsResult(listed, following, server.list_ttl_ms, server.list_scope)


async def _get_prompt(application: Application, frame: Frame) -> Any:
    params = params_as(frame.exchange, GetPromptRequestParams)
    prompt = application.server.prompts.find(params.name)
    if prompt is None:
        raise RequestError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
    return await prompt.get(application, frame, params.arguments or {})


async def _complete(application: Application, frame: Frame) -> CompleteResult:
    if not application.server.completions:
        raise method_not_found(frame.exchange.method)
    params = params_as(frame.exchange, CompleteRequestParams)
    key = _completed(application.server, params.ref, params.argument.name)
    given = None if params.context is None else params.context.arguments
    completions = application.server.completions
    value = params.argument.value
    return CompleteResult(await completions.complete(application, frame, key, value, given or {}))


def _completed(server: Server[Any], ref: CompletionReference, argument: str) -> CompletionKey:
    """What is to be completed. Raises RequestError if there is no such prompt or template."""
    if isinstance(ref, PromptReference):
        kind, name = "prompt", ref.name
        known = server.prompts.find(name) is not None
    else:
        kind, name = "resource", ref.uri
        known = server.resources.knows(name)
    if not known:
        raise RequestError(INVALID_PARAMS, f"Unknown {kind}: {name}")
    return kind, name, argument


async def _set_level(application: Application, frame: Frame) -> EmptyResult:
    params = params_as(frame.exchange, SetLevelRequestParams)
    connection = frame.peer.connection
    if connection.terms is not None:
        connection.terms = attrs.evolve(connection.terms, log_level=params.level)
    return EmptyResult()


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
    # With its pictures, which other results leave out.
    frame.exchange.stamp_with({META_SERVER_INFO: frame.exchange.encode(server.identity)})
    return DiscoverResult(
        tuple(revision.date for revision in reversed(STATELESS_REVISIONS)),
        server.capabilities,
        server.instructions,
    )


async def _ping(application: Application, frame: Frame) -> EmptyResult:
    return EmptyResult()


def _page(
    server: Server[Any], frame: Frame, register: Register[ItemT]
) -> tuple[list[ItemT], str | None]:
    cursor = params_as(frame.exchange, PaginatedRequestParams).cursor
    return register.page(cursor, server.page_size)


_ROUTES: Final[dict[str, Callable[[Application, Frame], Awaitable[Any]]]] = {
    "tools/call": _call_tool,
    "tools/list": _list_tools,
    "resources/list": _list_resources,
    "resources/templates/list": _list_templates,
    "resources/read": _read_resource,
    "prompts/list": _list_prompts,
    "prompts/get": _get_prompt,
    "completion/complete": _complete,
    "resources/subscribe": subscribe,
    "resources/unsubscribe": unsubscribe,
    "subscriptions/listen": listen,
    "logging/setLevel": _set_level,
    "initialize": _initialize,
    "server/discover": _discover,
    "ping": _ping,
}
