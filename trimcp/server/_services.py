"""The interface of the application for the handlers, contexts and sessions that it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.runtime import Hub, Parking, ToolThreads
    from trimcp.transports import Budget

__all__ = ["Services"]


class Services(Protocol):
    """A server while it serves.

    Attributes:
        value: What the lifespan yielded.
        parking: The handlers that may ask, and those that wait for answers.
        threads: The worker threads of synchronous functions.
        hub: The subscribers that are told of changes.
        budget: Counts the bytes that peers make it hold.
    """

    value: Any
    parking: Parking
    threads: ToolThreads
    hub: Hub
    budget: Budget

    @property
    def server(self) -> Any:
        """The `Server`."""

    @property
    def limits(self) -> Limits:
        """Its bounds."""

    def hear(self, session: Any, method: str, params: Raw | None) -> Awaitable[None]:
        """Handle a notification of an extension.

        Args:
            session: The `Session` that it belongs to; None over HTTP without a session.
            method: Its method, for which there is a handler.
            params: Its params.
        """
