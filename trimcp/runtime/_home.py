"""The nursery of handlers that may outlive their requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import trio

__all__ = ["Home", "Parked", "start_in"]


class Parked(Protocol):
    """A handler that waits for its client's next round."""

    def cancel(self, reason: str) -> None:
        """Cancel the handler."""


class Home(Protocol):
    """A nursery that outlasts the requests whose handlers run in it.

    Attributes:
        parked: The handlers here that wait for their client's next round.
        is_ending: Whether their clients can bring no further round.
    """

    parked: set[Parked]

    @property
    def is_ending(self) -> bool: ...

    def try_start(self, function: Callable[..., Awaitable[Any]], *args: Any) -> bool:
        """Start a task there, if it still accepts tasks.

        Returns:
            Whether the task was started.
        """


def start_in(
    nursery: trio.Nursery | None, function: Callable[..., Awaitable[Any]], *args: Any
) -> bool:
    """Start a task in a nursery, if there is one and it still accepts tasks.

    Returns:
        Whether the task was started.
    """
    if nursery is None:
        return False
    try:
        nursery.start_soon(function, *args)
    except RuntimeError:
        # The nursery has just closed, but the task that opened it has not run since.
        return False
    return True
