"""A user's own methods and notifications.

Specification: Lifecycle, Capability Negotiation (`experimental`); 2026-07-28, `extensions`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import INVALID_PARAMS, RegistrationError, RequestError
from trimcp.functions import BadArguments, MessageFunction, compile_message
from trimcp.protocol import META, REVISIONS, InvalidShape, read_object
from trimcp.runtime import awaited

from ._context import Context, enter_context
from ._register import Named
from ._session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Raw

    from ._services import Services

__all__ = ["MethodRegister"]

logger = logging.getLogger("trimcp.server")

_REQUESTS: Final = frozenset(
    name
    for revision in REVISIONS
    for methods in (revision.client_requests, revision.server_requests)
    for name in methods
)

#: Notifications that this runtime handles itself, in either direction.
_NOTIFICATIONS: Final = frozenset(
    name
    for revision in REVISIONS
    for methods in (revision.client_notifications, revision.server_notifications)
    for name in methods
) - {"notifications/roots/list_changed"}


class MethodRegister:
    """The methods and notifications that a user added."""

    def __init__(self) -> None:
        self._methods: Named[str, MessageFunction] = Named()
        self._notifications: Named[str, MessageFunction] = Named()

    def add_method(self, name: str, function: Callable[..., Any]) -> None:
        """Raises RegistrationError."""
        label = f"method {name!r}"
        if name in _REQUESTS or not name or name.startswith(("notifications/", "rpc.")):
            raise RegistrationError(f"{label}: the name belongs to the protocol")
        self._methods.add(name, compile_message(function, label, (Context, Session)), label)

    def add_notification(self, name: str, function: Callable[..., Any]) -> None:
        """Raises RegistrationError."""
        label = f"notification {name!r}"
        if name in _NOTIFICATIONS or name in _REQUESTS or not name:
            raise RegistrationError(f"{label}: the name belongs to the protocol")
        compiled = compile_message(function, label, (Context, Session))
        if Context in compiled.given:
            raise RegistrationError(
                f"{label}: a notification is no request and has no Context; take a Session"
            )
        self._notifications.add(name, compiled, label)

    def knows(self, name: str) -> bool:
        """Whether there is a method of that name."""
        return self._methods.find(name) is not None

    def hears(self, name: str) -> bool:
        """Whether there is a notification of that name."""
        return self._notifications.find(name) is not None

    async def call(self, context: Context[Any]) -> dict[str, Any]:
        """Handle a request for one of the methods. Raises RequestError."""
        exchange = context._handler.exchange
        function = self._methods.items[exchange.method]
        try:
            bound = _bind(function, exchange.params)
        except BadArguments as error:
            flaws = str(error).replace("\n", "; ")
            raise RequestError(INVALID_PARAMS, f"invalid params: {flaws}") from None
        enter_context(context)
        if Context in function.given:
            bound[function.given[Context]] = context
        if Session in function.given:
            bound[function.given[Session]] = context.session
        return function.result(await _run(context._application, function, bound))

    async def hear(
        self, application: Services, session: Session[Any] | None, name: str, params: Raw | None
    ) -> None:
        """Handle a notification; a malformed one is logged and dropped."""
        function = self._notifications.items[name]
        try:
            bound = _bind(function, params)
        except (BadArguments, InvalidShape) as error:
            logger.warning("malformed %s: %s", name, error)
            return
        if Session in function.given:
            bound[function.given[Session]] = session
        await _run(application, function, bound)


def _bind(function: MessageFunction, params: Raw | None) -> dict[str, Any]:
    wire = read_object(params)
    wire.pop(META, None)
    return function.bind(wire)


async def _run(application: Services, function: MessageFunction, bound: dict[str, Any]) -> Any:
    if function.is_async:
        return await function.call(**bound)
    return await awaited(await application.threads.run(function.call, bound))
