"""What a user may choose about the HTTP applications of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from ._protection import LOOPBACK, Protection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimcp.runtime import EventStore

__all__ = ["Settings"]


def _positive(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name} must be above zero, got {value!r}")


@attrs.frozen(kw_only=True)
class Settings:
    """See `trimcp.server.HttpOptions`, which is how users write it."""

    allowed_hosts: Sequence[str] = LOOPBACK
    allowed_origins: Sequence[str] = ()
    event_store: Callable[[str], EventStore] | None = None
    keepalive: float = attrs.field(default=15.0, validator=_positive)

    @property
    def protection(self) -> Protection:
        """Whom the server answers."""
        return Protection(self.allowed_hosts, self.allowed_origins)
