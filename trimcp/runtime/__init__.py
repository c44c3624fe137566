"""Events to tasks: the driver of a connection, and what handlers are run with."""

from ._awaiting import awaited
from ._boundary import Failed, ProtocolError, contained, leaves, method_not_found
from ._bus import Bus, LocalBus
from ._calls import Listener, ProgressCallback
from ._chunks import Chunks
from ._conversations import flaw_of_conversation
from ._frame import Frame, Handlers, Home, Retried
from ._held import holding
from ._http import EventStore, HttpRequest, HttpResponse
from ._hub import Hub, Subscriber
from ._nonces import MemoryNonceStore, MissingNonceStore, NonceStore
from ._parking import Job, Parking
from ._peer import Peer
from ._seal import Seal
from ._side import SidePeer
from ._streams import drain, in_threads
from ._threads import ToolThreads

__all__ = [
    "Bus",
    "Chunks",
    "EventStore",
    "Failed",
    "Frame",
    "Handlers",
    "Home",
    "HttpRequest",
    "HttpResponse",
    "Hub",
    "Job",
    "Listener",
    "LocalBus",
    "MemoryNonceStore",
    "MissingNonceStore",
    "NonceStore",
    "Parking",
    "Peer",
    "ProgressCallback",
    "ProtocolError",
    "Retried",
    "Seal",
    "SidePeer",
    "Subscriber",
    "ToolThreads",
    "awaited",
    "contained",
    "drain",
    "flaw_of_conversation",
    "holding",
    "in_threads",
    "leaves",
    "method_not_found",
]
