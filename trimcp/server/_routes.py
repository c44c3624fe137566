"""The protocol's methods, as this server handles them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs

from trimcp._similar import did_you_mean
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
from ._needs import fixed_needs, may_use, require
from ._params import params_as

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trimcp.types import CacheScope, CompletionReference

    from ._completion import CompletionKey
    from ._context import Context
    from ._needs import Scoped
    from ._offer import Offer
    from ._register import Page, Register

__all__ = ["handle"]

ScopedT = TypeVar("ScopedT", bound="Scoped")


def handle(offer: Offer, context: Context[Any]) -> Awaitable[Any]:
    """Handle one request, middleware around it.

    Args:
        offer: What the server offers.
        context: The request.

    Raises:
        RequestError: The method does not exist in the request's revision, or its params are
            invalid.
    """
    if offer.middlewares:
        return through(offer.middlewares, context, functools.partial(_handle, offer, context))
    return _handle(offer, context)


async def _handle(offer: Offer, context: Context[Any]) -> Any:
    exchange = context._handler.exchange
    method = exchange.method
    route = _ROUTES.get(method)
    try:
        if route is not None and method in exchange.terms.revision.client_requests:
            return await route(offer, context)
        if offer.methods.knows(method):
            return await offer.methods.call(context)
    except InvalidShape as error:
        raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None
    raise method_not_found(method)


# The routes that run a user's function are not coroutines: each returns the coroutine that runs the
# function, so that there is no further coroutine between.


def _call_tool(offer: Offer, context: Context[Any]) -> Awaitable[Any]:
    shape = read_call(context._handler.exchange.params)
    tool = offer.tools.find(shape.name)
    if tool is None:
        raise _unknown(context, "tool", shape.name, offer.tools)
    if tool.scopes is not None:
        require(offer, context, lambda caller: tool.needed(caller, shape))
    return tool.call(context, shape)


def _unknown(context: Context[Any], kind: str, name: str, register: Register[Any]) -> RequestError:
    """The error for a name that is not known; it tells no name that scopes hide from the caller."""
    principal = context.principal
    told = (each.description.name for each in register if may_use(principal, each))
    hint = did_you_mean(name, told)
    return RequestError(INVALID_PARAMS, f"Unknown {kind}: {name}{hint}")


def _read_resource(offer: Offer, context: Context[Any]) -> Awaitable[Any]:
    uri = params_as(context._handler.exchange, ReadResourceRequestParams).uri
    found = offer.resources.find(uri)
    if found is None:
        raise ResourceNotFound(uri)
    reading, arguments = found
    if reading.scopes is not None:
        require(offer, context, lambda caller: reading.needed(caller, arguments))
    return reading.read(context, uri, arguments)


def _get_prompt(offer: Offer, context: Context[Any]) -> Awaitable[Any]:
    params = params_as(context._handler.exchange, GetPromptRequestParams)
    prompt = offer.prompts.find(params.name)
    if prompt is None:
        raise _unknown(context, "prompt", params.name, offer.prompts)
    if prompt.scopes is not None:
        require(offer, context, lambda caller: prompt.needed(caller, params.arguments or {}))
    return prompt.get(context, params.arguments or {})


async def _complete(offer: Offer, context: Context[Any]) -> CompleteResult:
    exchange = context._handler.exchange
    if not offer.completions:
        raise method_not_found(exchange.method)
    params = params_as(exchange, CompleteRequestParams)
    key, entry = _completed(offer, params.ref, params.argument.name)
    if entry.scopes is not None:
        require(offer, context, lambda _: fixed_needs(entry))
    given = None if params.context is None else params.context.arguments
    value = params.argument.value
    return CompleteResult(await offer.completions.complete(context, key, value, given or {}))


def _completed(
    offer: Offer, ref: CompletionReference, argument: str
) -> tuple[CompletionKey, Scoped]:
    """What is to be completed. Raises RequestError if there is no such prompt or template."""
    entry: Scoped | None
    if isinstance(ref, PromptReference):
        kind, name = "prompt", ref.name
        entry = offer.prompts.find(name)
    else:
        kind, name = "resource", ref.uri
        entry = offer.resources.entry(name)
    if entry is None:
        raise RequestError(INVALID_PARAMS, f"Unknown {kind}: {name}")
    return (kind, name, argument), entry


async def _list_tools(offer: Offer, context: Context[Any]) -> ListToolsResult:
    page, following = _page(offer, context, offer.tools)
    listed = [tool.description for tool in page]
    return ListToolsResult(listed, following, offer.list_ttl_ms, _scope_of(offer, offer.tools))


async def _list_resources(offer: Offer, context: Context[Any]) -> ListResourcesResult:
    register = offer.resources.fixed
    page, following = _page(offer, context, register)
    listed: Any = [reading.description for reading in page]
    return ListResourcesResult(listed, following, offer.list_ttl_ms, _scope_of(offer, register))


async def _list_templates(offer: Offer, context: Context[Any]) -> ListResourceTemplatesResult:
    register = offer.resources.templates
    page, following = _page(offer, context, register)
    listed: Any = [reading.description for reading in page]
    scope = _scope_of(offer, register)
    return ListResourceTemplatesResult(listed, following, offer.list_ttl_ms, scope)


async def _list_prompts(offer: Offer, context: Context[Any]) -> ListPromptsResult:
    page, following = _page(offer, context, offer.prompts)
    listed = [prompt.description for prompt in page]
    return ListPromptsResult(listed, following, offer.list_ttl_ms, _scope_of(offer, offer.prompts))


def _page(offer: Offer, context: Context[Any], register: Register[ScopedT]) -> Page[ScopedT]:
    """What the caller may use of one page of a list."""
    cursor = params_as(context._handler.exchange, PaginatedRequestParams).cursor
    principal = context.principal
    if principal is None:
        return register.page(cursor, offer.page_size)
    return register.page(cursor, offer.page_size, lambda each: may_use(principal, each))


def _scope_of(offer: Offer, register: Register[ScopedT]) -> CacheScope | None:
    """Who may share a list; nobody where it differs from caller to caller."""
    if offer.authorization is not None and any(each.scopes is not None for each in register):
        return "private"
    return offer.list_scope


async def _set_level(offer: Offer, context: Context[Any]) -> EmptyResult:
    handler = context._handler
    params = params_as(handler.exchange, SetLevelRequestParams)
    connection = handler.peer.connection
    if connection is not None and connection.terms is not None:
        connection.terms = attrs.evolve(connection.terms, log_level=params.level)
    return EmptyResult()


async def _initialize(offer: Offer, context: Context[Any]) -> InitializeResult:
    return InitializeResult(
        context._handler.exchange.terms.revision.date,
        offer.capabilities,
        offer.identity,
        offer.instructions,
    )


async def _discover(offer: Offer, context: Context[Any]) -> DiscoverResult:
    exchange = context._handler.exchange
    # With the icons, which other results leave out.
    exchange.stamp_with({META_SERVER_INFO: exchange.encode(offer.identity)})
    return DiscoverResult(
        tuple(revision.date for revision in reversed(STATELESS_REVISIONS)),
        offer.capabilities,
        offer.instructions,
    )


async def _ping(offer: Offer, context: Context[Any]) -> EmptyResult:
    return EmptyResult()


_ROUTES: Final[dict[str, Callable[[Offer, Context[Any]], Awaitable[Any]]]] = {
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
