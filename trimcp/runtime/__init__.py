"""Events to tasks: the driver of a connection, and what handlers are run with."""

from ._boundary import Failed, ProtocolError, contained, leaves, method_not_found
from ._bus import Bus, LocalBus
from ._calls import Listener, ProgressCallback
from ._channels import ChannelPeer, OutboxPeer
from ._chunks import Chunks
from ._connected import ConnectedPeer
from ._contents import prompt_result, read_result
from ._conversations import flaw_of_conversation
from ._formats import has_format
from ._functions import (
    BadArguments,
    Function,
    Header,
    MessageFunction,
    awaited,
    check_async,
    check_opened,
    compile_form,
    compile_function,
    compile_message,
    convert,
    flaw_of_form,
    has_choice_lists,
    is_async,
    is_generator,
    is_marked,
    signature_of,
    takes,
    to_json,
)
from ._handler import Asker, Handler, Retried
from ._held import holding
from ._home import Home, Parked
from ._http import CustomRoute, EventStore, HttpRequest, HttpResponse
from ._hub import Hub, Subscriber
from ._input_required import InputRequired
from ._life import Life
from ._nonces import MemoryNonceStore, MissingNonceStore, NonceStore
from ._parking import Parking
from ._peer import Peer
from ._round import Responder, Round
from ._schemas import InvalidSchema, SchemaChecker
from ._seal import Seal
from ._served import NEEDS_TRIO, NETWORK_GRACE, Guest, Served, Serving
from ._signals import told_of_signals
from ._streams import Final, drain, in_threads
from ._templates import InvalidTemplate, UriTemplate, compile_template
from ._threads import ToolThreads

__all__ = [
    "NEEDS_TRIO",
    "NETWORK_GRACE",
    "Asker",
    "BadArguments",
    "Bus",
    "ChannelPeer",
    "Chunks",
    "ConnectedPeer",
    "CustomRoute",
    "EventStore",
    "Failed",
    "Final",
    "Function",
    "Guest",
    "Handler",
    "Header",
    "Home",
    "HttpRequest",
    "HttpResponse",
    "Hub",
    "InputRequired",
    "InvalidSchema",
    "InvalidTemplate",
    "Life",
    "Listener",
    "LocalBus",
    "MemoryNonceStore",
    "MessageFunction",
    "MissingNonceStore",
    "NonceStore",
    "OutboxPeer",
    "Parked",
    "Parking",
    "Peer",
    "ProgressCallback",
    "ProtocolError",
    "Responder",
    "Retried",
    "Round",
    "SchemaChecker",
    "Seal",
    "Served",
    "Serving",
    "Subscriber",
    "ToolThreads",
    "UriTemplate",
    "awaited",
    "check_async",
    "check_opened",
    "compile_form",
    "compile_function",
    "compile_message",
    "compile_template",
    "contained",
    "convert",
    "drain",
    "flaw_of_conversation",
    "flaw_of_form",
    "has_choice_lists",
    "has_format",
    "holding",
    "in_threads",
    "is_async",
    "is_generator",
    "is_marked",
    "leaves",
    "method_not_found",
    "prompt_result",
    "read_result",
    "signature_of",
    "takes",
    "to_json",
    "told_of_signals",
]
