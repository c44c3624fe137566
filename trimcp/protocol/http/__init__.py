"""The HTTP binding as pure functions: headers and their check, statuses, server-sent events."""

from ._annotations import HEADER_KEY, HeaderParam, InvalidAnnotation, header_params
from ._check import check_arguments, check_request, check_version, is_stateless, status_of
from ._headers import (
    ACCEPT_BOTH,
    EVENT_STREAM,
    JSON,
    LAST_EVENT_ID,
    METHOD,
    NAME,
    PROTOCOL_VERSION,
    SESSION_ID,
    Headers,
    accepts,
    argument_headers,
    fold_headers,
    media_type,
    mirror_headers,
    source_of_name,
)
from ._sse import ServerSentEvent, SSEDecoder, encode_comment, encode_event
from ._values import InvalidValue, decode_value, encode_value, equals, text_of

__all__ = [
    "ACCEPT_BOTH",
    "EVENT_STREAM",
    "HEADER_KEY",
    "JSON",
    "LAST_EVENT_ID",
    "METHOD",
    "NAME",
    "PROTOCOL_VERSION",
    "SESSION_ID",
    "HeaderParam",
    "Headers",
    "InvalidAnnotation",
    "InvalidValue",
    "SSEDecoder",
    "ServerSentEvent",
    "accepts",
    "argument_headers",
    "check_arguments",
    "check_request",
    "check_version",
    "decode_value",
    "encode_comment",
    "encode_event",
    "encode_value",
    "equals",
    "fold_headers",
    "header_params",
    "is_stateless",
    "media_type",
    "mirror_headers",
    "source_of_name",
    "status_of",
    "text_of",
]
