"""Whom a server answers: the names it may be called by, and the pages that may call it.

A page in a user's browser can make that browser send requests to servers on the user's machine.
It cannot choose the `Origin` that the browser adds, and a DNS name that was pointed here shows in
`Host`.

Specification: 2026-07-28, Streamable HTTP, Security & Endpoint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import attrs

from ._refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["LOOPBACK", "Protection"]

#: How a server on this machine is called.
LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\[\]:/?#@\s]+)(?P<port>:[0-9]{1,5})?", re.I)
_ORIGIN: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[^/?#@\s]+)", re.I)


def _lowered(texts: Iterable[str]) -> frozenset[str]:
    if isinstance(texts, str):
        raise TypeError(f"a list of names is wanted, not {texts!r}")
    return frozenset(text.lower() for text in texts)


@attrs.frozen
class Protection:
    """The names and origins that are accepted.

    Attributes:
        hosts: Names, each with a port or for all ports; `*.example.com` for all below it, `*`
            for any.
        origins: Origins such as `https://app.example.com` of pages that may call and read,
            besides the server's own; `*` for any.
    """

    hosts: frozenset[str] = attrs.field(default=LOOPBACK, converter=_lowered)
    origins: frozenset[str] = attrs.field(default=(), converter=_lowered)

    def check(self, headers: Mapping[str, str]) -> None:
        """Look at a request's `Host` and `Origin`. Raises Refused (403)."""
        host = headers.get("host", "").lower()
        if not self._knows_host(host):
            raise Refused(403, "the Host header names no host of this server (allowed_hosts)")
        origin = headers.get("origin")
        if origin is not None and not self._knows_origin(origin.lower(), host):
            raise Refused(403, "pages of this Origin may not call this server (allowed_origins)")

    def _knows_host(self, host: str) -> bool:
        if "*" in self.hosts:
            return True
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"]
        if name in self.hosts or host in self.hosts:
            return True
        parents = name.split(".")[1:]
        return any(f"*.{'.'.join(parents[start:])}" in self.hosts for start in range(len(parents)))

    def _knows_origin(self, origin: str, host: str) -> bool:
        if "*" in self.origins or origin in self.origins:
            return True
        found = _ORIGIN.fullmatch(origin)
        return found is not None and found["host"] == host

    def readable_by(self, headers: Mapping[str, str]) -> str | None:
        """The foreign origin that may read the answer, as it wrote itself, if there is one."""
        origin = headers.get("origin")
        if origin is None or not ("*" in self.origins or origin.lower() in self.origins):
            return None
        return origin
