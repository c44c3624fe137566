"""Which scopes a request needs: asked before it is answered, and again where its function runs.

Over HTTP a status can be told only before the answer begins, so the requests of a POST are looked
at before. Other doors, and whoever comes past this one, are stopped by the route.

Specification: 2026-07-28, Authorization, Runtime Insufficient Scope Errors.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from trimcp.errors import FORBIDDEN, INTERNAL_ERROR, Forbidden, RequestError
from trimcp.protocol import read_call, read_name, read_object
from trimcp.runtime import Denied, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from msgspec import Raw

    from trimcp.protocol import Request
    from trimcp.runtime import HttpRequest, Principal

    from ._context import Context
    from ._offer import Offer
    from ._scopes import ScopeRule

__all__ = ["Scoped", "check_scopes", "fixed_needs", "may_use", "permits", "require"]

logger = logging.getLogger("trimcp.server")

_NOTHING: Final[frozenset[str]] = frozenset()


class Scoped(Protocol):
    """What is registered, and may need scopes."""

    @property
    def description(self) -> Any: ...
    @property
    def scopes(self) -> ScopeRule: ...

    def needed(self, principal: Principal, given: Any) -> frozenset[str]:
        """The scopes that one use of it needs.

        Args:
            principal: Who uses it.
            given: As its route has read it.
        """


def check_scopes(offer: Offer, http: HttpRequest, requests: Iterable[Request]) -> None:
    """Whether the caller's token allows what an HTTP request asks for.

    Args:
        offer: What the server offers.
        http: The HTTP request, with its principal.
        requests: Those in its body.

    Raises:
        Denied: It lacks scopes; all that are needed are named at once. Or a function of the user's
            that was asked for them has refused. If one fails, that is told by the route.
    """
    principal, authorization = http.principal, offer.authorization
    if principal is None or authorization is None:
        return
    try:
        needed = _NOTHING.union(*(_needed(offer, principal, each) for each in requests))
    except Forbidden as error:
        raise Denied(403, error.message, {}, error.data) from None
    if not needed <= principal.scopes:
        raise authorization.insufficient(http, authorization.required | needed)


def _needed(offer: Offer, principal: Principal, request: Request) -> frozenset[str]:
    """What one request needs; nothing where it is refused further on."""
    rule = _RULES.get(request.method)
    if rule is None:
        return _NOTHING
    try:
        return rule(offer, principal, request.params)
    except (Forbidden, KeyboardInterrupt, trio.Cancelled):
        raise
    except BaseException:
        # Malformed, or a function of the user's has failed: the route finds the same, and answers
        # with the request's id.
        return _NOTHING


def _to_call(offer: Offer, principal: Principal, params: Raw | None) -> frozenset[str]:
    shape = read_call(params)
    tool = offer.tools.find(shape.name)
    return _NOTHING if tool is None else tool.needed(principal, shape)


def _to_read(offer: Offer, principal: Principal, params: Raw | None) -> frozenset[str]:
    uri = read_name(params, "uri")
    found = None if uri is None else offer.resources.find(uri)
    return _NOTHING if found is None else found[0].needed(principal, found[1])


def _to_get(offer: Offer, principal: Principal, params: Raw | None) -> frozenset[str]:
    wire = read_object(params)
    name = wire.get("name")
    prompt = offer.prompts.find(name) if isinstance(name, str) else None
    return _NOTHING if prompt is None else prompt.needed(principal, wire.get("arguments") or {})


def _to_complete(offer: Offer, principal: Principal, params: Raw | None) -> frozenset[str]:
    ref = read_object(params).get("ref")
    if not isinstance(ref, dict):
        return _NOTHING
    name, uri = ref.get("name"), ref.get("uri")
    prompt = offer.prompts.find(name) if isinstance(name, str) else None
    template = offer.resources.entry(uri) if isinstance(uri, str) else None
    return fixed_needs(prompt) | fixed_needs(template)


def fixed_needs(entry: Scoped | None) -> frozenset[str]:
    """The scopes that every use needs; what a function says of arguments is not known here."""
    rule = None if entry is None else entry.scopes
    return rule if isinstance(rule, frozenset) else _NOTHING


_RULES: Final[dict[str, Callable[[Offer, Principal, Raw | None], frozenset[str]]]] = {
    "tools/call": _to_call,
    "resources/read": _to_read,
    "resources/subscribe": _to_read,
    "prompts/get": _to_get,
    "completion/complete": _to_complete,
}


# -- at the routes ----------------------------------------------------------------------------


def require(
    offer: Offer, context: Context[Any], needed: Callable[[Principal], frozenset[str]]
) -> None:
    """Refuse a request whose caller lacks scopes; who has no principal is trusted.

    Args:
        offer: What the server offers.
        context: The request.
        needed: Says what it needs.

    Raises:
        ProtocolError: It may not (-31003), or a function of the user's that was asked for the
            scopes has failed (-32603).
        RequestError: Such a function has raised it.
    """
    principal, authorization = context.principal, offer.authorization
    if principal is None or authorization is None:
        return
    try:
        scopes = authorization.required | needed(principal)
    except (RequestError, KeyboardInterrupt, trio.Cancelled):
        raise
    except BaseException:
        logger.exception("%s: a scopes= function has failed", context.method)
        raise ProtocolError(INTERNAL_ERROR, "Internal error") from None
    if not scopes <= principal.scopes:
        told = " ".join(sorted(scopes))
        flaw = f"the access token lacks scopes: needed are {told}"
        raise ProtocolError(FORBIDDEN, flaw, {"scope": told})


def permits(principal: Principal | None, entry: Scoped, given: Any) -> bool:
    """Whether a caller may use something; who has no principal is trusted.

    Args:
        principal: Who it is.
        entry: What is used.
        given: As its route has read it.
    """
    if principal is None or entry.scopes is None:
        return True
    try:
        return entry.needed(principal, given) <= principal.scopes
    except Forbidden:
        return False


def may_use(principal: Principal | None, entry: Scoped) -> bool:
    """Whether a caller has the scopes that every use of something needs."""
    return principal is None or fixed_needs(entry) <= principal.scopes
