"""The few parts of messages that are decoded directly from bytes, before the codec is used.

These are read for every request, so each is decoded in one pass. The codec decodes everything else
of a payload.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from ._messages import RequestId, ShortId


class InvalidShape(ValueError):
    """The input does not have the shape; the message says where (`… - at $.name`)."""


class Meta(msgspec.Struct, gc=False):
    """The members of a request's `_meta` that the protocol itself reads.

    Specification: 2026-07-28, Overview, `_meta`.
    """

    progress_token: ShortId | UnsetType = msgspec.field(default=UNSET, name="progressToken")
    revision: str | UnsetType = msgspec.field(
        default=UNSET, name="io.modelcontextprotocol/protocolVersion"
    )
    client_info: Raw | UnsetType = msgspec.field(
        default=UNSET, name="io.modelcontextprotocol/clientInfo"
    )
    capabilities: Raw | UnsetType = msgspec.field(
        default=UNSET, name="io.modelcontextprotocol/clientCapabilities"
    )
    log_level: str | UnsetType = msgspec.field(
        default=UNSET, name="io.modelcontextprotocol/logLevel"
    )

    @property
    def is_stateless(self) -> bool:
        """Whether the request carries its own terms, even if incomplete."""
        return self.revision is not UNSET or self.capabilities is not UNSET


class _Params(msgspec.Struct, gc=False):
    meta: Meta | UnsetType = msgspec.field(default=UNSET, name="_meta")


class _RawMeta(msgspec.Struct, gc=False):
    meta: Raw = msgspec.field(default=Raw(), name="_meta")


class _Named(msgspec.Struct, gc=False):
    name: Raw | UnsetType = UNSET
    uri: Raw | UnsetType = UNSET


class Mirrored(msgspec.Struct, gc=False):
    """The members of a request's params that its HTTP headers repeat.

    The name and the URI are raw, since only one of them is read; see `name_in`.

    Specification: 2026-07-28, Streamable HTTP, Request Metadata.
    """

    meta: Meta = msgspec.field(default_factory=Meta, name="_meta")
    name: Raw | UnsetType = UNSET
    uri: Raw | UnsetType = UNSET


class _Trace(msgspec.Struct, gc=False):
    traceparent: Any = None


class _TracedParams(msgspec.Struct, gc=False):
    meta: _Trace | UnsetType = msgspec.field(default=UNSET, name="_meta")


class ToolCall(msgspec.Struct, gc=False):
    """`tools/call`, its arguments still raw, so that they are validated once, from bytes."""

    name: str
    arguments: Raw | UnsetType = UNSET
    request_state: Raw | UnsetType = msgspec.field(default=UNSET, name="requestState")
    responses: Raw | UnsetType = msgspec.field(default=UNSET, name="inputResponses")

    @property
    def is_retry(self) -> bool:
        """Whether it carries answers or a state from an earlier round."""
        return self.request_state is not UNSET or self.responses is not UNSET


class RetryParams(msgspec.Struct, gc=False):
    """What a retry adds to the request that was answered with `input_required`.

    Specification: 2026-07-28, Multi Round-Trip Requests.
    """

    request_state: str | UnsetType = msgspec.field(default=UNSET, name="requestState")
    responses: dict[str, dict[str, Any]] | UnsetType = msgspec.field(
        default=UNSET, name="inputResponses"
    )

    @property
    def is_present(self) -> bool:
        """Whether the request belongs to an earlier round."""
        return self.request_state is not UNSET or self.responses is not UNSET


class Cancelled(msgspec.Struct, gc=False):
    """`notifications/cancelled`."""

    request_id: RequestId | UnsetType = msgspec.field(default=UNSET, name="requestId")
    reason: str | None = None


class ChunkMeta(msgspec.Struct, gc=False):
    """The `_meta` of a progress notification that carries a chunk of a streaming tool."""

    chunk: Raw | UnsetType = msgspec.field(default=UNSET, name="io.trimcp/chunk")


class Progress(msgspec.Struct, gc=False):
    """`notifications/progress`."""

    token: RequestId = msgspec.field(name="progressToken")
    progress: float
    total: float | None = None
    message: str | None = None
    meta: ChunkMeta | None = msgspec.field(default=None, name="_meta")


class _Subscription(msgspec.Struct, gc=False):
    """The `_meta` of a notification that belongs to a subscription."""

    id: RequestId | UnsetType = msgspec.field(
        default=UNSET, name="io.modelcontextprotocol/subscriptionId"
    )


class _Subscribed(msgspec.Struct, gc=False):
    meta: _Subscription | UnsetType = msgspec.field(default=UNSET, name="_meta")


_T = TypeVar("_T")

_UNREADABLE: Final = (msgspec.DecodeError, RecursionError)

NO_META: Final = Meta()
_params_decoder: Final = msgspec.json.Decoder(_Params)
_raw_meta_decoder: Final = msgspec.json.Decoder(_RawMeta)
_named_decoder: Final = msgspec.json.Decoder(_Named)
_mirrored_decoder: Final = msgspec.json.Decoder(Mirrored)
_text_decoder: Final = msgspec.json.Decoder(str)
_trace_decoder: Final = msgspec.json.Decoder(_TracedParams)
_call_decoder: Final = msgspec.json.Decoder(ToolCall)
_retry_decoder: Final = msgspec.json.Decoder(RetryParams)
_cancelled_decoder: Final = msgspec.json.Decoder(Cancelled)
_progress_decoder: Final = msgspec.json.Decoder(Progress)
_subscribed_decoder: Final = msgspec.json.Decoder(_Subscribed)
_object_decoder: Final = msgspec.json.Decoder(dict[str, Any])


def read_meta(params: Raw | None) -> Meta:
    """The `_meta` of a request's params.

    Raises:
        InvalidShape: `params` is not an object, or a member of `_meta` has the wrong type.
    """
    if params is None:
        return NO_META
    try:
        meta = _params_decoder.decode(params).meta
    except _UNREADABLE as error:
        raise InvalidShape(str(error)) from None
    return NO_META if meta is UNSET else meta


def meta_bytes(params: Raw | None) -> bytes:
    """The bytes of a request's `_meta`; empty where there are none. Raises InvalidShape."""
    return b"" if params is None else bytes(_read(_raw_meta_decoder, params).meta)


def read_name(params: Raw | None, member: Literal["name", "uri"]) -> str | None:
    """The name or URI in a request's params; None where it is missing or not a string.

    The other params are not checked.

    Raises:
        InvalidShape: `params` is not an object, or the text is not Unicode.
    """
    return None if params is None else name_in(_read(_named_decoder, params), member)


def name_in(shape: Mirrored | _Named, member: Literal["name", "uri"]) -> str | None:
    """See `read_name`. Raises InvalidShape if the text is not Unicode."""
    found = shape.name if member == "name" else shape.uri
    if isinstance(found, UnsetType) or not bytes(found).startswith(b'"'):
        return None
    return _read(_text_decoder, found)


def read_mirrored(params: Raw | None) -> Mirrored:
    """What the HTTP headers of a request repeat of its params. Raises InvalidShape."""
    return Mirrored() if params is None else _read(_mirrored_decoder, params)


def read_traceparent(params: Raw | None) -> str | None:
    """The `traceparent` in a request's `_meta`, or None."""
    if params is None:
        return None
    try:
        meta = _read(_trace_decoder, params).meta
    except InvalidShape:
        return None
    found = None if isinstance(meta, UnsetType) else meta.traceparent
    return found if isinstance(found, str) else None


def read_call(params: Raw | None) -> ToolCall:
    """The shape of `tools/call`. Raises InvalidShape."""
    try:
        return _call_decoder.decode(b"{}" if params is None else params)
    except _UNREADABLE as error:
        raise InvalidShape(str(error)) from None


def read_retry(params: Raw | None) -> RetryParams:
    """The members of a retry, each unset when absent. Raises InvalidShape."""
    return _read(_retry_decoder, Raw(b"{}") if params is None else params)


def read_cancelled(params: Raw | None) -> Cancelled:
    """The params of `notifications/cancelled`. Raises InvalidShape."""
    return _read(_cancelled_decoder, Raw(b"{}") if params is None else params)


def read_progress(params: Raw | None) -> Progress:
    """The params of `notifications/progress`. Raises InvalidShape."""
    return _read(_progress_decoder, Raw(b"{}") if params is None else params)


def read_subscription(params: Raw | None) -> RequestId | None:
    """The subscription that a notification belongs to, or None. Raises InvalidShape."""
    if params is None:
        return None
    meta = _read(_subscribed_decoder, params).meta
    return None if isinstance(meta, UnsetType) or isinstance(meta.id, UnsetType) else meta.id


def read_object(raw: Raw | None) -> dict[str, Any]:
    """Any JSON object; empty when absent. Raises InvalidShape."""
    return {} if raw is None else _read(_object_decoder, raw)


def _read(decoder: msgspec.json.Decoder[_T], raw: Raw) -> _T:
    try:
        return decoder.decode(raw)
    except _UNREADABLE as error:
        raise InvalidShape(str(error)) from None


def subject_of(params: Raw | None) -> dict[str, Any]:
    """The params of a request without the members that differ in each round."""
    subject = read_object(params)
    for key in ("_meta", "requestState", "inputResponses"):
        subject.pop(key, None)
    return subject
