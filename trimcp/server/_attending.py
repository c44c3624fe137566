"""Serving a client that has no connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from trimcp.errors import NotServing

if TYPE_CHECKING:
    from trimcp.runtime import Guest

__all__ = ["Attending"]


class _Host(Protocol):
    """The application, as far as it is needed here."""

    guests: dict[Guest, float]

    @property
    def is_closing(self) -> bool: ...


class Attending:
    """A block in which a guest is served: see `Serving.attending`.

    A class, since a generator's context manager costs as much as a small handler's arguments.
    """

    __slots__ = ("_grace", "_guest", "_host")

    def __init__(self, host: _Host, guest: Guest, grace: float) -> None:
        self._host = host
        self._guest = guest
        self._grace = grace

    def __enter__(self) -> None:
        if self._host.is_closing:
            raise NotServing("the server is shutting down")
        self._host.guests[self._guest] = self._grace

    def __exit__(self, *_: object) -> None:
        del self._host.guests[self._guest]
