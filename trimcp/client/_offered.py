"""Checking that a server has declared what a request needs.

Specification: to 2025-11-25, Lifecycle (Operation; Capability Negotiation).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trimcp.errors import NotOffered
from trimcp.protocol import Era
from trimcp.types import ServerCapabilities

if TYPE_CHECKING:
    from trimcp.protocol import Revision

__all__ = ["check_offered"]

#: The capability for a method, by the first part of the method.
_CAPABILITIES: Final = {
    "tools": "tools",
    "resources": "resources",
    "prompts": "prompts",
    "completion": "completions",
    "logging": "logging",
}


def check_offered(method: str, offered: ServerCapabilities, revision: Revision) -> None:
    """Refuse to send a request for which the server declared no capability.

    Only in the handshake era, whose specification requires it; in the stateless era the server
    itself refuses such a request. Methods of extensions are not checked.

    Raises:
        NotOffered: The capability is missing.
    """
    if revision.era is not Era.HANDSHAKE or method not in revision.client_requests:
        return
    name = _CAPABILITIES.get(method.partition("/")[0])
    # In some revisions servers do not declare whether they complete arguments.
    if name is None or name in revision.hidden.get(ServerCapabilities, ()):
        return
    if getattr(offered, name) is None:
        raise NotOffered(f"{method}: the server did not declare {name!r}")
    if method in ("resources/subscribe", "resources/unsubscribe") and (
        offered.resources is None or not offered.resources.subscribe
    ):
        raise NotOffered(f"{method}: the server did not declare that resources may be subscribed")
