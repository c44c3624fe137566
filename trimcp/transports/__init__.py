"""Transports: each connection to a peer is a pair of bounded memory channels."""

from ._accepting import accept_connections
from ._authorized import open_authorized_link
from ._authorizing import Authorizer, Authorizing, Credentials, Refusal
from ._budget import Budget
from ._channel import Incoming, MessageChannel, Outbox, Oversized, write_out
from ._http import (
    HTTPAnswer,
    HTTPClient,
    HTTPLink,
    Unreachable,
    check_url,
    open_http_link,
    origin_of,
    reason_of,
)
from ._lines import open_stream_channel
from ._lingering import linger
from ._memory import open_memory_channels
from ._pace import Pace
from ._parent import wait_parent_gone
from ._partial import HEAD_BYTES, PartialMessage
from ._process import ChildProcess, open_process_channel
from ._sockets import (
    addresses_of,
    encrypted,
    listening_on,
    open_tcp_listeners,
    open_unix_stream,
    unix_listener,
)
from ._stdio import check_standard_streams, open_stdio_channel

__all__ = [
    "HEAD_BYTES",
    "Authorizer",
    "Authorizing",
    "Budget",
    "ChildProcess",
    "Credentials",
    "HTTPAnswer",
    "HTTPClient",
    "HTTPLink",
    "Incoming",
    "MessageChannel",
    "Outbox",
    "Oversized",
    "Pace",
    "PartialMessage",
    "Refusal",
    "Unreachable",
    "accept_connections",
    "addresses_of",
    "check_standard_streams",
    "check_url",
    "encrypted",
    "linger",
    "listening_on",
    "open_authorized_link",
    "open_http_link",
    "open_memory_channels",
    "open_process_channel",
    "open_stdio_channel",
    "open_stream_channel",
    "open_tcp_listeners",
    "open_unix_stream",
    "origin_of",
    "reason_of",
    "unix_listener",
    "wait_parent_gone",
    "write_out",
]
