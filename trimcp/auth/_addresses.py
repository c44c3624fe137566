"""To which addresses a URL may lead that a server has named.

A server could otherwise make its client ask for what only the client can reach. So https is
demanded and every address of the host must be public. Where the MCP server itself is on the
loopback, in a private or in a link-local network, addresses of the same kind are allowed too.
"""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Kind", "Reach", "is_loopback_host", "kind_of"]

_Address: TypeAlias = IPv4Address | IPv6Address


class Kind(enum.Enum):
    """Where an address is."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    LINK_LOCAL = "link-local"
    OTHER = "special"


#: Named one by one: what `ipaddress` calls private or global differs between versions of Python.
_KINDS: Final = {
    Kind.LOOPBACK: ("127.0.0.0/8", "::1/128"),
    Kind.PRIVATE: (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("fc00::/7", "fec0::/10"),
    ),
    Kind.LINK_LOCAL: ("169.254.0.0/16", "fe80::/10"),
    Kind.OTHER: (
        *("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
    ),
}
_NETWORKS: Final = [(ip_network(text), kind) for kind, texts in _KINDS.items() for text in texts]

#: The only IPv6 addresses that are public, without those of documentation, tests and tunnels.
_GLOBAL: Final = ip_network("2000::/3")
_NOT_GLOBAL: Final = [
    ip_network(text) for text in ("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16")
]

#: Prefixes of IPv6 addresses that stand for an IPv4 address, and where in them it is (bits from
#: the right): mapped, translated (RFC 6052), 6to4.
_EMBEDDED: Final = [
    (ip_network("::ffff:0:0/96"), 0),
    (ip_network("64:ff9b::/96"), 0),
    (ip_network("2002::/16"), 80),
]


def kind_of(address: _Address) -> Kind:
    """Where an address is; an IPv6 address that stands for one of IPv4 is where that one is."""
    if isinstance(address, IPv6Address):
        for network, shift in _EMBEDDED:
            if address in network:
                return kind_of(IPv4Address((int(address) >> shift) & 0xFFFFFFFF))
    for network, kind in _NETWORKS:
        if address in network:
            return kind
    if isinstance(address, IPv4Address):
        return Kind.PUBLIC
    is_public = address in _GLOBAL and not any(address in each for each in _NOT_GLOBAL)
    return Kind.PUBLIC if is_public else Kind.OTHER


def is_loopback_host(host: str | None) -> bool:
    """Whether a host of a URL names the loopback, without asking anybody."""
    if host is None:
        return False
    if host.lower() == "localhost":
        return True
    try:
        address = IPv6Address(host) if ":" in host else IPv4Address(host)
    except ValueError:
        return False
    return kind_of(address) is Kind.LOOPBACK


@attrs.frozen
class Reach:
    """What URLs that an MCP server has named may lead to.

    Attributes:
        url: The MCP server's endpoint, which the user has chosen.
        kinds: The kinds of addresses that are allowed.
    """

    url: str
    kinds: frozenset[Kind] = frozenset({Kind.PUBLIC})

    @classmethod
    def of(cls, url: str, addresses: Iterable[_Address]) -> Reach:
        """As far as an MCP server with these addresses may send its clients."""
        own = {kind_of(each) for each in addresses} - {Kind.OTHER}
        return cls(url, frozenset({Kind.PUBLIC, *own}))

    def allows(self, address: _Address) -> bool:
        """Whether a connection to an address may be made."""
        return kind_of(address) in self.kinds

    def flaw(self, url: str) -> str | None:
        """Why a URL must not be used, in words that follow its name; None if it may be."""
        try:
            parts = urlsplit(url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            return "is no URL"
        if not host or not url.isascii() or not url.isprintable() or " " in url:
            return "is no URL"
        if "@" in parts.netloc:
            return "holds credentials"
        if "#" in url:
            return "has a fragment"
        if parts.scheme == "https":
            return None
        if parts.scheme != "http":
            return "is not one of https"
        if is_loopback_host(host) and is_loopback_host(urlsplit(self.url).hostname):
            return None
        return "is one of http, which is for the loopback only"
