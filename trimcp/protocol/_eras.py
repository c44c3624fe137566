"""The two eras of the protocol: the code whose two bodies really differ.

An era answers four questions. Two of them are answered here, since they need no task: where a
request's terms come from, and how a result is dressed. The other two, how a handler asks the
client and who hears of changes, live with the tasks that do it. Whatever else differs between
revisions is a column of the revision's row.

Specification: 2026-07-28, Versioning and Compatibility; 2025-11-25, Lifecycle.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, get_args

import attrs
import msgspec
from msgspec import Raw, UnsetType

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
from ._shapes import read_object

if TYPE_CHECKING:
    from ._shapes import Meta

#: Characters of an unknown revision's name that are repeated.
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
        client_info: How the client calls itself; for display only.
        capabilities: What the client declared it can do.
        log_level: The least level of log messages that the client wants; None for none
            (stateless era) or for the server's choice (handshake era).
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


class ResultContext(Protocol):
    """What dressing needs to know about the exchange being answered."""

    @property
    def method(self) -> str: ...

    @property
    def terms(self) -> Terms: ...

    @property
    def stamp(self) -> Raw: ...

    @property
    def is_retry(self) -> bool: ...


class HandshakeEra:
    """Terms were set by `initialize`; requests and results are bare."""

    def request_meta(self, terms: Terms) -> Wire:
        return {}

    def dress(self, result: Wire, exchange: ResultContext) -> Wire:
        if META in result:
            result[META] = _without_connection(result[META])
        return result


class StatelessEra:
    """Each request carries its terms; each result says its type and who answers."""

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
            # Without a word from the server a result is stale at once and nobody else's.
            result[TTL_MS] = max(0, result.get(TTL_MS, 0))
            result.setdefault(CACHE_SCOPE, "private")
            if result[CACHE_SCOPE] != "private" and exchange.is_retry:
                # What was made of one user's answers is nobody else's.
                result[CACHE_SCOPE] = "private"
        own = result.get(META)
        if own is None:
            result[META] = exchange.stamp
        else:
            result[META] = _without_connection(own) | msgspec.json.decode(exchange.stamp)
        return result


def _without_connection(meta: Mapping[str, Any]) -> Wire:
    """A handler's `_meta`, which may come from another server, without what is the connection's."""
    return {key: value for key, value in meta.items() if key not in CONNECTION_META}


ERAS: Final[dict[Era, EraRules]] = {
    Era.HANDSHAKE: HandshakeEra(),
    Era.STATELESS: StatelessEra(),
}


@functools.lru_cache(maxsize=64)
def stamp_of(identity: Implementation) -> Raw:
    """The `_meta` that names the server, encoded once; pictures stand in `server/discover` only."""
    wire = codec_for(LATEST).encode(attrs.evolve(identity, icons=None))
    return Raw(msgspec.json.encode({META_SERVER_INFO: wire}))


def session_terms(params: Raw | None) -> Terms:
    """The terms that `initialize` proposes, in the last handshake revision if theirs is unknown.

    Raises:
        Rejected: The params are malformed (-32602).
        InvalidShape: They are no object.
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
    """A revision is not one that is spoken without a handshake (-32022).

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
            one that is spoken without a handshake (-32022).
    """
    if isinstance(meta.revision, UnsetType):
        raise Rejected(INVALID_PARAMS, f"_meta lacks {META_PROTOCOL_VERSION}")
    if isinstance(meta.capabilities, UnsetType):
        raise Rejected(INVALID_PARAMS, f"_meta lacks {META_CLIENT_CAPABILITIES}")
    info = None if isinstance(meta.client_info, UnsetType) else bytes(meta.client_info)
    level = None if isinstance(meta.log_level, UnsetType) else meta.log_level
    capabilities = bytes(meta.capabilities)
    is_short = len(capabilities) + len(info or b"") <= _REMEMBERED_BYTES
    parse = _remembered_terms if is_short else _parse_terms
    return parse(meta.revision, info, capabilities, level)


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


#: A client sends the same bytes with every request. What is remembered is bounded for the whole
#: process, in number and bytes, and outlives the client; refusals are not remembered.
_REMEMBERED_BYTES: Final = 1024
_remembered_terms: Final = functools.lru_cache(maxsize=128)(_parse_terms)


def with_meta(wire: Wire | None, meta: Wire) -> Wire:
    """Params with the connection's own members of `_meta` beside those of the caller.

    Raises:
        TypeError: The caller's `_meta` is no mapping.
    """
    given = (wire or {}).get(META) or {}
    if not isinstance(given, Mapping):
        raise TypeError(f"{META} is a mapping, not {given!r:.80}")
    return {**(wire or {}), META: {**given, **meta}}
