"""Where handlers live that may outlive their requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Home", "Parked"]


class Parked(Protocol):
    """A handler that waits for its client's next round."""

    def cancel(self, reason: str) -> None:
        """Cancel the handler."""


class Home(Protocol):
    """A nursery that outlasts the requests whose handlers run in it.

    Attributes:
        parked: The handlers here that wait for their client's next round.
    """

    parked: set[Parked]

    def start_soon(self, function: Callable[..., Awaitable[Any]], *args: Any) -> object:
        """Start a task there. Raises NotServing where that is not possible any more."""
