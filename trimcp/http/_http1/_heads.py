"""The head of a request: what it says, and what is refused whatever parser has read it.

Specification: RFC 9110; RFC 9112.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["BadRequest", "RequestHead", "check_lines", "origin_form", "read_head", "too_large"]

Headers = list[tuple[bytes, bytes]]

#: The methods that can be served; both parsers know them.
_METHODS: Final = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS PATCH TRACE "
    b"ACL BIND CHECKOUT COPY LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE M-SEARCH NOTIFY "
    b"PROPFIND PROPPATCH PURGE QUERY REBIND REPORT SEARCH SUBSCRIBE UNBIND UNLINK UNLOCK "
    b"UNSUBSCRIBE".split()
)

_HOST: Final = b"host"
_LENGTH: Final = b"content-length"
_CODING: Final = b"transfer-encoding"
_CONNECTION: Final = b"connection"
_UPGRADE: Final = b"upgrade"
_EXPECT: Final = b"expect"

#: The headers that decide how a connection goes on.
_DECISIVE: Final = frozenset((_HOST, _LENGTH, _CODING, _CONNECTION, _UPGRADE, _EXPECT))

#: The most digits of a declared length, which both parsers can count to.
_MOST_DIGITS: Final = 18

_SCHEMES: Final = (b"http", b"https")

#: What no head may hold: control characters, a line feed or carriage return alone, a folded line.
_BAD_LINES: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)|\r\n[ \t]")


class BadRequest(Exception):
    """Something that is refused, after which the connection cannot be used any more.

    Args:
        status: The HTTP status.
        reason: One sentence for the client.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def too_large(limit: int) -> BadRequest:
    """The refusal of a head, or of what is said between the pieces of a body, that is too long."""
    return BadRequest(431, f"the head of the request is longer than {limit} bytes")


class RequestHead:
    """The head of a request.

    Attributes:
        method: The method, in upper case.
        target: The path with the query, without scheme and authority.
        headers: The headers, their names in lower case, no white space around the values.
        version: `"1.0"` or `"1.1"`.
        length: The declared length of the body; None if it comes in chunks.
        is_last: Whether the client wants the connection to be closed after the answer.
        expects: Whether the client waits for `100 Continue` before it sends the body.
        is_websocket: Whether the client wants to go on with the WebSocket protocol.
        size: About how many bytes it had.
    """

    __slots__ = (
        "expects",
        "headers",
        "is_last",
        "is_websocket",
        "length",
        "method",
        "size",
        "target",
        "version",
    )

    def __init__(self, method: str, target: bytes, headers: Headers, version: str) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.version = version
        self.length: int | None = 0
        self.is_last = False
        self.expects = False
        self.is_websocket = False
        self.size = 0


def read_head(
    method: bytes, target: bytes, version: str, headers: Headers, limit: int
) -> RequestHead:
    """What a head says.

    Args:
        method: As the client has sent it, like the rest.
        target: The target of the request.
        version: The version, without `HTTP/`.
        headers: The headers, their names in lower case, no white space around the values.
        limit: The most bytes that it may have.

    Raises:
        BadRequest: It is refused.
    """
    decisive: dict[bytes, list[bytes]] = {}
    size = len(target) + len(method) + len("  HTTP/1.1\r\n\r\n")
    for name, value in headers:
        size += len(name) + len(value) + 4
        if name in _DECISIVE:
            decisive.setdefault(name, []).append(value)
    if size > limit:
        raise too_large(limit)
    _check_line(method, target, version)
    hosts = decisive.get(_HOST, [])
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise BadRequest(400, "one Host header is needed")
    target, headers = origin_form(target, headers)
    head = RequestHead(method.decode(), target, headers, version)
    head.size = size
    head.length = _length(decisive, version)
    options = _tokens(decisive.get(_CONNECTION, []))
    head.is_last = b"close" in options or (version == "1.0" and b"keep-alive" not in options)
    if version == "1.1":
        head.expects = b"100-continue" in _tokens(decisive.get(_EXPECT, []))
        if b"upgrade" in options and method == b"GET":
            head.is_websocket = _tokens(decisive.get(_UPGRADE, [])) == {b"websocket"}
    if head.is_websocket and head.length != 0:
        raise BadRequest(400, "the handshake of a WebSocket has no body")
    return head


def _check_line(method: bytes, target: bytes, version: str) -> None:
    if method == b"PRI":
        raise BadRequest(400, "HTTP/2 in cleartext is not supported")
    if method not in _METHODS:
        raise BadRequest(501, "there is no such method")
    if version not in ("1.1", "1.0"):
        raise BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    is_known = target.startswith(b"/") or target == b"*" or b"://" in target
    if not is_known or b"#" in target:
        raise BadRequest(400, "the target is neither a path nor a URI")


def _length(decisive: dict[bytes, list[bytes]], version: str) -> int | None:
    """How long the body is; None if it comes in chunks.

    Two statements about it are refused even if they agree: a proxy before us may have believed
    another one (RFC 9112, 6.3 and 11.2).
    """
    lengths, codings = decisive.get(_LENGTH, []), decisive.get(_CODING, [])
    if not codings and not lengths:
        return 0
    if codings and lengths:
        raise BadRequest(400, "Content-Length and Transfer-Encoding exclude each other")
    if len(lengths) > 1 or len(codings) > 1:
        raise BadRequest(400, "the length of the body is given twice")
    if codings:
        if version != "1.1":
            raise BadRequest(400, "HTTP/1.0 has no Transfer-Encoding")
        if codings[0].lower() != b"chunked":
            raise BadRequest(501, "the only Transfer-Encoding is chunked")
        return None
    length = lengths[0]
    if not length.isdigit() or len(length) > _MOST_DIGITS:
        raise BadRequest(400, "Content-Length is not a number of bytes")
    return int(length)


def _tokens(values: list[bytes]) -> set[bytes]:
    """The members of a list in a header, in lower case."""
    return {each.strip(b" \t") for value in values for each in value.lower().split(b",")}


def origin_form(target: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """A request's target as a path, and its headers.

    A target may be a whole URI; then its authority replaces the `Host` header.

    Args:
        target: The request's target.
        headers: Its headers, their names in lower case.

    Specification: RFC 9112, 3.2.2.
    """
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in _SCHEMES:
        return target, headers
    end = min((at for at in map(rest.find, (b"/", b"?")) if at >= 0), default=len(rest))
    authority, path = rest[:end], rest[end:]
    others = [pair for pair in headers if pair[0] != _HOST]
    return path if path.startswith(b"/") else b"/" + path, [(_HOST, authority), *others]


def check_lines(data: bytearray, start: int, end: int) -> None:
    """Check a part of a head, where the parser does not.

    Args:
        data: The beginning of a head, or all of it.
        start: Where the part begins.
        end: Where it ends, which need not be the end of a line.

    Raises:
        BadRequest: It has a control character, an incomplete end of a line, or a folded line.
    """
    if _BAD_LINES.search(data, start, end):
        raise BadRequest(400, "the head of the request is malformed")
