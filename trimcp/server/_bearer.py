"""Access tokens in requests, and the challenges that ask for them: pure functions.

Specification: RFC 6750; RFC 9449, section 7; RFC 9728, sections 3.1 and 5.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from trimcp.protocol.http import fold_headers
from trimcp.runtime import WELL_KNOWN, quoted_path, root_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "MalformedCredentials",
    "challenge",
    "credentials_in",
    "described",
    "has_bound_token",
    "has_token_in_query",
    "metadata_url",
    "origin_of",
    "proofs_in",
    "url_of",
    "without_token",
]

#: Visible ASCII. A comma would be the mark of two header lines that somebody has joined.
_TOKEN: Final = re.compile(r"[\x21-\x2b\x2d-\x7e]+")

#: How a browser's WebSocket, which cannot set headers, offers its token.
_SUBPROTOCOL: Final = "bearer."

#: What an `error_description` may hold (RFC 6750, section 3).
_NOT_DESCRIBING: Final = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_LONGEST_DESCRIPTION: Final = 200

_AUTHORITY: Final = re.compile(r"[A-Za-z0-9._-]+(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?")
_SECURE: Final = ("https", "wss")

_REDACTED: Final = b"Bearer [redacted]"
_REDACTED_BOUND: Final = b"DPoP [redacted]"
_REDACTED_PROOF: Final = b"[redacted]"

_SPELLING: Final = {"bearer": "Bearer", "dpop": "DPoP"}


class MalformedCredentials(Exception):
    """The request names its token in a way that cannot be read, or more than one."""


def credentials_in(
    scope: Mapping[str, Any], schemes: Collection[str] = ("bearer",)
) -> tuple[str, str] | None:
    """The scheme and the token of a request; None if it brings none in a place where it may stand.

    Args:
        scope: Its ASGI scope.
        schemes: Those that are looked at, in lower case.

    Raises:
        MalformedCredentials: There are several, or what there is cannot be a token.
    """
    values = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    offered = [each for each in _subprotocols(scope) if _is_token(each)]
    if len(values) + len(offered) > 1:
        raise MalformedCredentials("there is more than one Authorization")
    if offered:
        scheme, token = "bearer", offered[0][len(_SUBPROTOCOL) :]
    elif values:
        told, _, rest = values[0].decode("latin-1").strip(" \t").partition(" ")
        scheme, token = told.lower(), rest.strip(" ")
        if "," not in scheme and scheme not in schemes:
            return None
    else:
        return None
    if scheme not in schemes or not _TOKEN.fullmatch(token):
        named = " or ".join(_SPELLING[each] for each in schemes)
        flaw = f"the Authorization header must be: {named}, a space, one token"
        raise MalformedCredentials(flaw)
    return scheme, token


def has_bound_token(scope: Mapping[str, Any]) -> bool:
    """Whether a request brings a token as one that is bound to a key."""
    return any(
        name.lower() == b"authorization" and value[:5].lower() == b"dpop "
        for name, value in scope["headers"]
    )


def proofs_in(scope: Mapping[str, Any]) -> list[str]:
    """The values of the `DPoP` headers of a request."""
    values = (value for name, value in scope["headers"] if name.lower() == b"dpop")
    return [value.decode("latin-1") for value in values]


def _subprotocols(scope: Mapping[str, Any]) -> list[str]:
    return list(scope.get("subprotocols") or ()) if scope["type"] == "websocket" else []


def _is_token(subprotocol: str) -> bool:
    return subprotocol.lower().startswith(_SUBPROTOCOL)


def has_token_in_query(scope: Mapping[str, Any]) -> bool:
    """Whether a token stands in the URL, which is written to logs and histories."""
    query: bytes = scope.get("query_string", b"")
    return query.startswith(b"access_token=") or b"&access_token=" in query


def without_token(scope: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """The headers, folded, and the scope of a request without its token and its proof."""
    pairs = []
    for name, value in scope["headers"]:
        shown, known = value, name.lower()
        if known == b"authorization":
            shown = _REDACTED_BOUND if value[:5].lower() == b"dpop " else _REDACTED
        elif known == b"dpop":
            shown = _REDACTED_PROOF
        elif known == b"sec-websocket-protocol":
            offered = (each.strip() for each in value.decode("latin-1").split(","))
            shown = ", ".join(each for each in offered if not _is_token(each)).encode("latin-1")
        pairs.append((name, shown))
    bare = {**scope, "headers": pairs}
    if "subprotocols" in scope:
        bare["subprotocols"] = [each for each in scope["subprotocols"] if not _is_token(each)]
    return fold_headers(pairs), bare


def challenge(scheme: str, parameters: Mapping[str, str | None]) -> str:
    """One challenge of `WWW-Authenticate`; parameters that are None or empty are left out."""
    told = [f'{name}="{_quotable(value)}"' for name, value in parameters.items() if value]
    return " ".join([_SPELLING[scheme], ", ".join(told)]) if told else _SPELLING[scheme]


def _quotable(text: str) -> str:
    return _NOT_DESCRIBING.sub("?", text)


def described(text: str) -> str:
    """A sentence for `error_description`."""
    return _quotable(text[:_LONGEST_DESCRIPTION])


# -- URLs -------------------------------------------------------------------------------------


def url_of(scope: Mapping[str, Any], headers: Mapping[str, str], path: str) -> str:
    """The URL by which a client calls a path of the application; none ends in a bare slash.

    Args:
        scope: A request's ASGI scope.
        headers: Its headers; the name in `Host` was checked.
        path: The path below the application's root.
    """
    return f"{origin_of(scope, headers)}{quoted_path(root_of(scope) + path)}".rstrip("/")


def origin_of(scope: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """The origin that a request was sent to; see `url_of`."""
    scheme = "https" if scope.get("scheme") in _SECURE else "http"
    host = headers.get("host", "")
    if not _AUTHORITY.fullmatch(host):
        name, port = scope.get("server") or ("localhost", None)
        host = name if port is None else f"{name}:{port}"
    return f"{scheme}://{host}"


def metadata_url(resource: str, scope: Mapping[str, Any], path: str) -> str:
    """Where the metadata of a resource stands.

    That is between host and path of its URL (RFC 9728, 3.1); or, where the application is mounted
    below a path and nothing above it is its own, there.

    Args:
        resource: The resource's URL.
        scope: The request's ASGI scope.
        path: The path of the request below the application's root.
    """
    parts = urlsplit(resource)
    origin = f"{parts.scheme}://{parts.netloc}"
    root = root_of(scope)
    if root:
        return f"{origin}{quoted_path(root)}{WELL_KNOWN}{quoted_path(path.rstrip('/'))}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{origin}{WELL_KNOWN}{'' if parts.path == '/' else parts.path}{query}"
