"""The server's checks before a handler sees a request; the first that fails decides the error.

Between `check_request` and `check_arguments` a server checks whether the caller is allowed to make
this request. Only the handler knows which capabilities a client must have.

Specification: 2026-07-28, Streamable HTTP, Server Validation; Overview, `_meta`; Versioning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UnsetType

from trimcp.errors import (
    FORBIDDEN,
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_CLIENT_CAPABILITY,
    PARSE_ERROR,
    SHUTTING_DOWN,
    UNSUPPORTED_PROTOCOL_VERSION,
)

from .._eras import Rejected, Terms, stateless_terms, unsupported
from .._revisions import Era, find_revision
from .._shapes import InvalidShape, Mirrored, name_in, read_meta, read_mirrored
from ._headers import METHOD, NAME, PROTOCOL_VERSION, source_of_name
from ._values import InvalidValue, decode_value, equals

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from .._messages import Request, RequestId
    from .._shapes import Meta
    from ._annotations import HeaderParam
    from ._headers import Headers

__all__ = ["check_arguments", "check_request", "check_version", "is_stateless", "status_of"]

_STATUSES: Final = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CLIENT_CAPABILITY: 400,
    UNSUPPORTED_PROTOCOL_VERSION: 400,
    FORBIDDEN: 403,
    METHOD_NOT_FOUND: 404,
    SHUTTING_DOWN: 503,
}


#: Codes about the endpoint, which only the server itself can use, never a handler.
_OF_THE_ENDPOINT: Final = frozenset({PARSE_ERROR, METHOD_NOT_FOUND, SHUTTING_DOWN})


def status_of(code: int, *, by_handler: bool = False) -> int:
    """The HTTP status of an error answer, as long as no stream has begun (stateless era).

    An error without an HTTP status of its own is an answer like any other: 200.

    Args:
        code: The error code.
        by_handler: Whether a user's handler chose it, perhaps from another server's error.
    """
    if by_handler and code in _OF_THE_ENDPOINT:
        return 200
    return _STATUSES.get(code, 200)


def is_stateless(headers: Headers, request: Request) -> bool:
    """Whether a request is of the stateless era, even if it is malformed.

    It is if it carries its own terms in `_meta`, or names such a revision in its version header; a
    version that is not known can only be of this era.
    """
    version = headers.get(PROTOCOL_VERSION)
    if version is not None:
        revision = find_revision(version)
        if revision is None or revision.era is Era.STATELESS:
            return True
    try:
        return read_meta(request.params).is_stateless
    except InvalidShape:
        return False


def check_version(headers: Headers) -> None:
    """Check that the version header, if present, names a revision. Raises Rejected (-32022)."""
    version = headers.get(PROTOCOL_VERSION)
    if version is not None and find_revision(version) is None:
        raise unsupported(version)


def check_request(
    headers: Headers, request: Request, methods: Container[str] | None = None
) -> tuple[Terms, RequestId | None]:
    """Check everything about a request that does not depend on a tool.

    Args:
        headers: As `fold_headers` gives them.
        request: The body.
        methods: The methods that the server implements; None where its handlers decide.

    Returns:
        The terms that the request carries, and the token under which it wants progress.

    Raises:
        Rejected: In this order: the header names an unknown revision and the body names none
            (-32022); `_meta` is missing or malformed (-32602), a header contradicts the body
            (-32020), the revision is not supported (-32022), the method is unknown (-32601).
    """
    mirrored = _read(headers, request)
    meta = mirrored.meta
    _check_presence(meta)
    try:
        _check_headers(headers, request.method, mirrored)
    except InvalidShape as error:
        raise Rejected(INVALID_PARAMS, f"invalid params: {error}") from None
    terms = stateless_terms(meta)
    if methods is not None and request.method not in methods:
        raise Rejected(METHOD_NOT_FOUND, f"Method not found: {request.method}")
    return terms, None if isinstance(meta.progress_token, UnsetType) else meta.progress_token


def _read(headers: Headers, request: Request) -> Mirrored:
    try:
        mirrored = read_mirrored(request.params)
    except InvalidShape as error:
        check_version(headers)
        raise Rejected(INVALID_PARAMS, f"invalid params: {error}") from None
    if isinstance(mirrored.meta.revision, UnsetType):
        check_version(headers)
    return mirrored


def _check_presence(meta: Meta) -> None:
    if isinstance(meta.revision, UnsetType) or isinstance(meta.capabilities, UnsetType):
        stateless_terms(meta)  # says which of the two is missing
    elif not bytes(meta.capabilities).startswith(b"{"):
        raise Rejected(INVALID_PARAMS, "_meta is malformed: the capabilities are no object")


def _check_headers(headers: Headers, method: str, mirrored: Mirrored) -> None:
    _compare(headers, PROTOCOL_VERSION, mirrored.meta.revision)
    _compare(headers, METHOD, method)
    source = source_of_name(method)
    if source is None:
        return
    name = name_in(mirrored, source)
    if name is not None:
        _compare(headers, NAME, name, encoded=True)
    elif NAME in headers:
        raise Rejected(HEADER_MISMATCH, f"Header mismatch: {NAME}: the body has no {source}")


def check_arguments(
    headers: Headers, arguments: Mapping[str, Any], params: Iterable[HeaderParam]
) -> None:
    """Check the headers that repeat arguments of a call.

    Args:
        headers: As `fold_headers` gives them.
        arguments: The call's arguments.
        params: The tool's mirrored parameters.

    Raises:
        Rejected: One is missing, malformed, or has another value (-32020).
    """
    for param in params:
        name = param.header.lower()
        value = param.find(arguments)
        if isinstance(value, str | bool | int | float):
            _compare(headers, name, value, encoded=True)
        elif name in headers:
            raise Rejected(HEADER_MISMATCH, f"Header mismatch: {name}: no such value in the body")


def _compare(headers: Headers, name: str, expected: Any, *, encoded: bool = False) -> None:
    value = headers.get(name)
    if value is None:
        raise Rejected(HEADER_MISMATCH, f"Header mismatch: {name} is missing")
    if not encoded and value == expected:
        return
    try:
        text = decode_value(value) if encoded else value
    except InvalidValue as error:
        raise Rejected(HEADER_MISMATCH, f"Header mismatch: {name}: {error}") from None
    if not equals(text, expected):
        # The value is not repeated: it may be long, and it may be secret.
        raise Rejected(HEADER_MISMATCH, f"Header mismatch: {name} does not match the body")
