"""The options of a server's HTTP applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from trimcp.protocol import Callers, callers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimcp.runtime import EventStore

__all__ = ["Settings"]


def _positive(_: object, attribute: attrs.Attribute[float], value: float) -> None:
    if value <= 0:
        raise ValueError(f"{attribute.name} must be above zero, got {value!r}")


@attrs.frozen(kw_only=True)
class Settings:
    """The options; see `trimcp.server.HttpOptions`."""

    allowed_hosts: Sequence[str] | None = None
    allowed_origins: Sequence[str] | None = None
    listening: Sequence[str] = ()
    sessions: bool = True
    event_store: Callable[[str], EventStore] | None = None
    keepalive: float = attrs.field(default=15.0, validator=_positive)

    @property
    def callers(self) -> Callers:
        """Which clients may call the server. Raises TypeError."""
        return callers_of(self.listening, self.allowed_hosts, self.allowed_origins)

    @property
    def readers(self) -> Callers | None:
        """The pages of other origins that may read the answers, or None."""
        if self.allowed_origins is None:
            return None
        return callers_of((), ("*",), self.allowed_origins)
