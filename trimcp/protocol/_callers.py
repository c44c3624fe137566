"""Who may speak to a server over HTTP, as its `Host` and `Origin` headers say.

A web page can make a browser connect to a server on the user's own machine, under a name that
the page's owner controls (DNS rebinding). The browser sends that name in `Host`, and the origin of
the page in `Origin`, so both are checked.

Specification: 2026-07-28, Streamable HTTP, Security & Endpoint.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["LOOPBACK", "WILDCARDS", "Callers", "callers_of"]

#: Names under which only programs on the same machine can reach a server.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

#: Addresses that mean "listen on every address"; they are not the name of any host.
WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})

#: Strict, since a value that two parsers read differently can pass a check by mistake.
_AUTHORITY: Final = re.compile(
    r"(?:(?P<name>[\w.*-]+)|\[(?P<address>[\da-f:.]+)\])(?::(?P<port>\d{1,5}))?", re.I
)

ANY: Final = "*"

#: No name in the DNS is longer.
_LONGEST_NAME: Final = 255

#: The longest value looked at: a scheme, a name, a port, and the marks between them.
_LONGEST_VALUE: Final = _LONGEST_NAME + 64


#: How many characters of a refused value are logged.
_SHOWN: Final = 60

#: How many names are remembered that were found allowed.
_REMEMBERED: Final = 64


@attrs.frozen
class Callers:
    """The names under which a server may be called, and the pages that may call it.

    Attributes:
        hosts: Names for `Host`: `name` with any port, `name:port` with this one,
            `*.example.com` for all below it, `*` for all.
        origins: Origins of pages, such as `https://example.com`, or names as in `hosts` for
            pages from there with any scheme; `*` for all.
    """

    hosts: frozenset[str]
    origins: frozenset[str]

    def refusal(self, host: str, origins: Sequence[str]) -> str | None:
        """Why a request may not be served; None if it may.

        The reason does not repeat what the client sent. Names longer than 255 characters are never
        allowed, even with `*`.

        Args:
            host: Its `Host` header.
            origins: Its `Origin` headers. A browser sends one; other programs send none.
        """
        if not self._knows_host(host):
            return "the name in the Host header is not allowed"
        if not all(map(self._knows_origin, origins)):
            return "the page in the Origin header is not allowed"
        return None

    def explained(self, host: str, origins: Sequence[str]) -> str | None:
        """The same reason for the server's own log, with the beginning of what was sent."""
        reason = self.refusal(host, origins)
        if reason is None:
            return None
        return f"{reason} (Host: {_start_of(host)}; Origin: {_start_of(', '.join(origins))})"

    def _knows_host(self, host: str) -> bool:
        if len(host) > _LONGEST_VALUE:
            return False
        try:
            _approve(host, self.hosts)
        except _Unknown:
            return False
        return True

    def _knows_origin(self, origin: str) -> bool:
        if len(origin) > _LONGEST_VALUE:
            return False
        origin = origin.lower()
        scheme, separator, authority = origin.partition("://")
        if ANY in self.origins or (separator and origin in self.origins):
            return True
        # This refuses `null` too, which every sandboxed page may send.
        return scheme in ("http", "https") and _matches(authority, self.origins)


def _start_of(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


class _Unknown(Exception):
    """The name is not among those that are allowed."""


@functools.lru_cache(_REMEMBERED)
def _approve(host: str, names: frozenset[str]) -> None:
    """Raise `_Unknown` unless a name is allowed. The same name comes with each request.

    What raises is not remembered, so nobody can fill the memory with names that are refused.
    """
    if not _matches(host, names):
        raise _Unknown


def _matches(authority: str, names: frozenset[str]) -> bool:
    name, port = _name_and_port(authority)
    if len(name) > _LONGEST_NAME:
        return False
    if ANY in names or not name:
        return ANY in names
    return name in names or f"{name}:{port}" in names or any(map(names.__contains__, _above(name)))


def _above(name: str) -> Iterator[str]:
    """`*.example.com` and `*.com` for `www.example.com`."""
    _, dot, rest = name.partition(".")
    while dot:
        yield f"*.{rest}"
        _, dot, rest = rest.partition(".")


def callers_of(
    listening: Iterable[str], hosts: Iterable[str] | None, origins: Iterable[str] | None
) -> Callers:
    """Who may call a server.

    Args:
        listening: The names and addresses that it listens on.
        hosts: The names that it may be called by; None for the loopback names and those that it
            listens on. A server that listens on all addresses has to be given its names.
        origins: The origins of pages that may call it; None for pages from the same names as
            the hosts, whatever their port.

    Raises:
        TypeError: A single name is given where a list is expected.
        ValueError: A given host is not a host name: a URL, for example.
    """
    if isinstance(hosts, str) or isinstance(origins, str):
        raise TypeError(f"a list is required, not {hosts if isinstance(hosts, str) else origins!r}")
    if hosts is None:
        hosts = {*LOOPBACK, *listening} - WILDCARDS
    else:
        hosts = tuple(hosts)
        _check_names(hosts)
    names = frozenset(map(_plain, hosts))
    if origins is None:
        return Callers(names, frozenset(each for each in names if each != ANY))
    return Callers(names, frozenset(each.lower().rstrip("/") for each in origins))


def _check_names(hosts: Iterable[str]) -> None:
    for host in hosts:
        if not _name_and_port(host)[0] and not _is_address(host):
            raise ValueError(
                f"{host!r} is not a host name: write `example.com`, `example.com:8000`, "
                "`*.example.com` or `*`"
            )


def _is_address(host: str) -> bool:
    """Whether it is an IPv6 address without brackets."""
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _plain(host: str) -> str:
    """A name in the form in which names are compared: without the brackets of an address."""
    name, port = _name_and_port(host)
    if not name:
        # An IPv6 address without brackets.
        return host.lower()
    return name if port is None else f"{name}:{port}"


def _name_and_port(authority: str) -> tuple[str, str | None]:
    """`name`, `name:port`, `[address]` or `[address]:port`, split; otherwise an empty name."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return "", None
    name = (found["name"] or found["address"]).lower().rstrip(".")
    return name, found["port"]
