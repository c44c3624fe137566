"""The two eras of the protocol: the code whose two bodies really differ.

An era answers four questions. Two of them are answered here, since they need no task: where a
request's terms come from, and what is added to each result. The other two, how a handler asks the
client and who is told of changes, are answered where the tasks for it are. Everything else that
differs between revisions is a column of the revision's row.

Specification: 2026-07-28, Versioning and Compatibility; 2025-11-25, Lifecycle.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, get_args

import attrs
import msgspec
from msgspec import UNSET, Raw

from trimcp.errors import INVALID_PARAMS, UNSUPPORTED_PROTOCOL_VERSION
from trimcp.types import (
    ClientCapabilities,
    Implementation,
    InitializeRequestParams,
    LoggingLevel,
)

from ._codec import (
    CACHE_SCOPE,
    COMPLETE,
    CONNECTION_META,
    META,
    META_CLIENT_CAPABILITIES,
    META_CLIENT_INFO,
    META_LOG_LEVEL,
    META_PROTOCOL_VERSION,
    META_SERVER_INFO,
    RESULT_TYPE,
    TTL_MS,
    DecodeError,
    codec_for,
)
from ._revisions import (
    LATEST,
    LATEST_HANDSHAKE,
    STATELESS_REVISIONS,
    Era,
    Revision,
    find_revision,
)
from ._shapes import meta_bytes, read_meta, read_object

if TYPE_CHECKING:
    from ._shapes import Meta

#: How many characters of an unknown revision's name an error repeats.
_LONGEST_DATE: Final = 100

LOGGING_LEVELS: Final = get_args(LoggingLevel)

Wire: TypeAlias = dict[str, Any]


class Rejected(Exception):
    """A request that is answered with an error before any handler sees it."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


@attrs.frozen
class Terms:
    """What the two sides agreed on for one request.

    Attributes:
        revision: The revision that the request is written in.
        client_info: The name and version that the client gives; for display only.
        capabilities: What the client declared it can do.
        log_level: The lowest level of log messages that the client wants; None for none (stateless
            era) or for the server's choice (handshake era).
    """

    revision: Revision
    client_info: Implementation | None = None
    capabilities: ClientCapabilities = attrs.field(factory=ClientCapabilities)
    log_level: LoggingLevel | None = None


class EraRules(Protocol):
    """What differs between the two eras in this package."""

    def request_meta(self, terms: Terms) -> Wire:
        """What a client puts into every request's `_meta`."""

    def dress(self, result: Wire, exchange: ResultContext) -> Wire:
        """Add to a result what the era wants on every result."""

    def dress_written(self, members: bytes, exchange: ResultContext) -> bytes:
        """The same for a tool's result that is written already, without `_meta`."""


class ResultContext(Protocol):
    """What `EraRules.dress` needs to know about the exchange that is answered."""

    @property
    def method(self) -> str: ...

    @property
    def terms(self) -> Terms: ...

    @property
    def stamp(self) -> Raw: ...

    @property
    def is_retry(self) -> bool: ...


class HandshakeEra:
    """`initialize` has set the terms; nothing is added to requests and results."""

    def request_meta(self, terms: Terms) -> Wire:
        return {}

    def dress(self, result: Wire, exchange: ResultContext) -> Wire:
        if META in result:
            result[META] = _without_connection(result[META])
        return result

    def dress_written(self, members: bytes, exchange: ResultContext) -> bytes:
        return members


class StatelessEra:
    """Each request carries its terms; each result carries its type and the server's identity."""

    def request_meta(self, terms: Terms) -> Wire:
        codec = codec_for(terms.revision)
        meta: Wire = {META_PROTOCOL_VERSION: terms.revision.date}
        if terms.client_info is not None:
            meta[META_CLIENT_INFO] = codec.encode(terms.client_info)
        meta[META_CLIENT_CAPABILITIES] = codec.encode(terms.capabilities)
        if terms.log_level is not None:
            meta[META_LOG_LEVEL] = terms.log_level
        return meta

    def dress(self, result: Wire, exchange: ResultContext) -> Wire:
        result.setdefault(RESULT_TYPE, COMPLETE)
        if result[RESULT_TYPE] == COMPLETE and exchange.method in exchange.terms.revision.cacheable:
            # By default a result may not be cached, and is for this user only.
            result[TTL_MS] = max(0, result.get(TTL_MS, 0))
            result.setdefault(CACHE_SCOPE, "private")
            if result[CACHE_SCOPE] != "private" and exchange.is_retry:
                # A result that was made from one user's answers is for this user only.
                result[CACHE_SCOPE] = "private"
        own = result.get(META)
        if own is None:
            result[META] = exchange.stamp
        else:
            result[META] = _without_connection(own) | msgspec.json.decode(exchange.stamp)
        return result

    def dress_written(self, members: bytes, exchange: ResultContext) -> bytes:
        return b'%b,"resultType":"complete","_meta":%b' % (members, exchange.stamp)


def _without_connection(meta: Mapping[str, Any]) -> Wire:
    """A handler's `_meta`, possibly another server's, without the members of the connection."""
    return {key: value for key, value in meta.items() if key not in CONNECTION_META}


ERAS: Final[dict[Era, EraRules]] = {
    Era.HANDSHAKE: HandshakeEra(),
    Era.STATELESS: StatelessEra(),
}


@functools.lru_cache(maxsize=64)
def stamp_of(identity: Implementation) -> Raw:
    """The `_meta` that names the server, encoded once; only `server/discover` has the icons."""
    wire = codec_for(LATEST).encode(attrs.evolve(identity, icons=None))
    return Raw(msgspec.json.encode({META_SERVER_INFO: wire}))


def session_terms(params: Raw | None) -> Terms:
    """The terms that `initialize` proposes; the last handshake revision if theirs is unknown.

    Raises:
        Rejected: The params are malformed (-32602).
        InvalidShape: The params are not an object.
    """
    try:
        given = codec_for(LATEST_HANDSHAKE).decode(read_object(params), InitializeRequestParams)
    except DecodeError as error:
        raise Rejected(INVALID_PARAMS, f"invalid params: {error}") from None
    asked = find_revision(given.protocol_version)
    if asked is None or asked.era is not Era.HANDSHAKE:
        asked = LATEST_HANDSHAKE
    return Terms(asked, given.client_info, given.capabilities)


def unsupported(date: str) -> Rejected:
    """The error for a revision that is not supported without a handshake (-32022).

    Specification: 2026-07-28, Versioning, Protocol Version Negotiation.
    """
    supported = [known.date for known in reversed(STATELESS_REVISIONS)]
    return Rejected(
        UNSUPPORTED_PROTOCOL_VERSION,
        "Unsupported protocol version",
        {"supported": supported, "requested": date[:_LONGEST_DATE]},
    )


def stateless_terms(meta: Meta) -> Terms:
    """The terms that a request carries itself.

    Raises:
        Rejected: A required member is missing or malformed (-32602), or the revision is not
            supported without a handshake (-32022).
    """
    if meta.revision is UNSET:
        raise Rejected(INVALID_PARAMS, f"_meta lacks {META_PROTOCOL_VERSION}")
    if meta.capabilities is UNSET:
        raise Rejected(INVALID_PARAMS, f"_meta lacks {META_CLIENT_CAPABILITIES}")
    info = None if meta.client_info is UNSET else bytes(meta.client_info)
    level = None if meta.log_level is UNSET else meta.log_level
    capabilities = bytes(meta.capabilities)
    is_short = len(capabilities) + len(info or b"") <= _REMEMBERED_BYTES
    parse = _remembered_terms if is_short else _parse_terms
    return parse(meta.revision, info, capabilities, level)


class LatestMeta:
    """The latest `_meta` of one client, and its terms: most send the same with each request."""

    __slots__ = ("_meta", "_raw", "_terms")

    def __init__(self) -> None:
        self._raw = b""
        self._meta: Meta | None = None
        self._terms: Terms | None = None

    def read(self, params: Raw | None) -> Meta:
        """The `_meta` of a request. Raises InvalidShape."""
        if self._meta is not None and meta_bytes(params) == self._raw:
            return self._meta
        return read_meta(params)

    def terms(self, meta: Meta, params: Raw | None) -> Terms:
        """The terms that a request carries itself. Raises Rejected.

        Args:
            meta: What `read` has returned.
            params: The params of the request.
        """
        if self._terms is not None and meta is self._meta:
            return self._terms
        terms = stateless_terms(meta)
        if meta.progress_token is UNSET:
            raw = meta_bytes(params)
            if len(raw) <= _REMEMBERED_BYTES:
                self._raw, self._meta, self._terms = raw, meta, terms
        return terms


def _parse_terms(date: str, info: bytes | None, capabilities: bytes, level: Any) -> Terms:
    """Parse terms. Raises Rejected."""
    revision = find_revision(date)
    if revision is None or revision.era is not Era.STATELESS:
        raise unsupported(date)
    if level is not None and level not in LOGGING_LEVELS:
        raise Rejected(INVALID_PARAMS, f"_meta: {level!r} is no log level")
    codec = codec_for(revision)
    try:
        return Terms(
            revision,
            None if info is None else codec.decode(msgspec.json.decode(info), Implementation),
            codec.decode(msgspec.json.decode(capabilities), ClientCapabilities),
            level,
        )
    except (DecodeError, msgspec.DecodeError, RecursionError) as error:
        raise Rejected(INVALID_PARAMS, f"_meta is malformed: {error}") from None


#: A client sends the same bytes with every request, so parsed terms are cached. The cache is
#: bounded in number and bytes, for the whole process; refusals are not cached.
_REMEMBERED_BYTES: Final = 1024
_remembered_terms: Final = functools.lru_cache(maxsize=128)(_parse_terms)


def with_meta(wire: Wire | None, meta: Wire) -> Wire:
    """Params whose `_meta` has the connection's members beside those of the caller.

    Raises:
        TypeError: The caller's `_meta` is not a mapping.
    """
    given = (wire or {}).get(META) or {}
    if not isinstance(given, Mapping):
        raise TypeError(f"{META} is a mapping, not {given!r:.80}")
    return {**(wire or {}), META: {**given, **meta}}
