"""The protocol without IO: messages, revisions, eras, exchanges, and `Connection`."""

from ._codec import META_CHUNK, META_PREFIX, META_SERVER_INFO, DecodeError, codec_for
from ._connection import Connection, Role
from ._eras import LOGGING_LEVELS, Rejected, Terms
from ._events import (
    AnswerUnusable,
    Event,
    ExchangeCancelled,
    FailureReceived,
    Ignored,
    NotificationReceived,
    ProgressReceived,
    Reply,
    RequestReceived,
    ResultReceived,
)
from ._exchange import Call, Exchange, TooLarge
from ._revisions import (
    HANDSHAKE_REVISIONS,
    LATEST,
    LATEST_HANDSHAKE,
    REVISIONS,
    STATELESS_REVISIONS,
    Era,
    Revision,
    find_revision,
)
from ._shapes import (
    InvalidShape,
    Progress,
    ToolCall,
    read_call,
    read_object,
    read_retry,
    subject_of,
)

__all__ = [
    "HANDSHAKE_REVISIONS",
    "LATEST",
    "LATEST_HANDSHAKE",
    "LOGGING_LEVELS",
    "META_CHUNK",
    "META_PREFIX",
    "META_SERVER_INFO",
    "REVISIONS",
    "STATELESS_REVISIONS",
    "AnswerUnusable",
    "Call",
    "Connection",
    "DecodeError",
    "Era",
    "Event",
    "Exchange",
    "ExchangeCancelled",
    "FailureReceived",
    "Ignored",
    "InvalidShape",
    "NotificationReceived",
    "Progress",
    "ProgressReceived",
    "Rejected",
    "Reply",
    "RequestReceived",
    "ResultReceived",
    "Revision",
    "Role",
    "Terms",
    "TooLarge",
    "ToolCall",
    "codec_for",
    "find_revision",
    "read_call",
    "read_object",
    "read_retry",
    "subject_of",
]
