"""What a client has found out about its server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.protocol import Era

if TYPE_CHECKING:
    from trimcp.types import Implementation, ServerCapabilities

    from ._negotiation import Agreement

__all__ = ["Found"]


class Found:
    """What client and server agreed about, once they have."""

    _agreement: Agreement

    @property
    def _is_stateless(self) -> bool:
        return self._agreement.terms.revision.era is Era.STATELESS

    @property
    def revision(self) -> str:
        """The protocol revision in use, such as `2026-07-28`."""
        return self._agreement.terms.revision.date

    @property
    def server_info(self) -> Implementation | None:
        """How the server calls itself, if it does; for display only."""
        return self._agreement.server_info

    @property
    def capabilities(self) -> ServerCapabilities:
        """What the server offers."""
        return self._agreement.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used."""
        return self._agreement.instructions
