"""The URL that a DPoP proof names, and whether it is that of a request.

Specification: RFC 9449, section 4.3; RFC 3986, sections 6.2.2 and 6.2.3.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_same_target"]

_URL: Final = re.compile(r"(?P<scheme>[A-Za-z]+)://(?P<place>[^/?#]*)(?P<path>[^?#]*)(?:[?#].*)?")
_PLACE: Final = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=-]+|\[[0-9A-Fa-f:.]+\])(?::(\d{0,5}))?")

#: What may stand in a URL (RFC 3986, section 2), with a percent sign only before two digits.
_CHARACTERS: Final = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_ENCODED: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]")

#: The handshake of a WebSocket is an HTTP request (RFC 6455, section 4.1).
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_PORTS: Final = {"http": 80, "https": 443}


def is_same_target(one: str, other: str) -> bool:
    """Whether two URLs name the same target, their queries and fragments left out.

    What cannot be the URL of an HTTP request is the same as nothing.
    """
    first = _normal(one)
    return first is not None and first == _normal(other)


def _normal(url: str) -> tuple[str, str, int, str] | None:
    """Scheme, host, port and path in their normal form."""
    parts = _URL.fullmatch(url)
    if parts is None or not _CHARACTERS.fullmatch(url):
        return None
    scheme = _SCHEMES.get(parts["scheme"].lower())
    place = _PLACE.fullmatch(parts["place"])
    if scheme is None or place is None:
        return None
    host, port = place.groups()
    path = _ENCODED.sub(_decoded_if_plain, parts["path"])
    return scheme, host.lower(), int(port) if port else _PORTS[scheme], _without_dots(path)


def _decoded_if_plain(encoded: re.Match[str]) -> str:
    character = chr(int(encoded[0][1:], 16))
    return character if _UNRESERVED.fullmatch(character) else encoded[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4, for a path that is empty or begins with a slash."""
    kept: list[str] = []
    for segment in path.split("/")[1:]:
        is_end = segment in (".", "..")
        if segment == ".." and kept:
            kept.pop()
        elif not is_end:
            kept.append(segment)
    # What ends in a segment of dots names a directory.
    return "/" + "/".join([*kept, ""] if path.endswith(("/.", "/..")) else kept)
