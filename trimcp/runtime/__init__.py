"""The driver of a connection, which turns events into tasks, and what handlers run with."""

from ._authorization import WELL_KNOWN, Authorization, Denied
from ._awaiting import awaited
from ._boundary import Failed, ProtocolError, attempted, captured, contained, method_not_found
from ._bus import Bus, LocalBus
from ._calls import Listener, ProgressCallback
from ._channels import READS_NOTHING, ChannelPeer, OutboxPeer
from ._chunks import Chunks
from ._connected import ConnectedPeer
from ._conversations import flaw_of_conversation
from ._handler import Asker, Handler, Retried
from ._held import holding
from ._home import Home, Parked, start_in
from ._http import CustomRoute, EventStore, HttpRequest, HttpResponse, path_in, quoted_path, root_of
from ._hub import Hub, Subscriber
from ._life import Life
from ._nonces import MemoryNonceStore, MissingNonceStore, NonceStore
from ._parking import Parking
from ._peer import Peer
from ._presenting import Presentation, ProofRefused, ProofVerifier, Proven
from ._principal import Principal, TokenVerifier
from ._round import Responder, Round
from ._seal import Seal
from ._served import NEEDS_TRIO, NETWORK_GRACE, Guest, Served, Serving
from ._signals import told_of_signals
from ._streams import drain, in_threads
from ._threads import ToolThreads
from ._watchdog import watching_for_blocks
from ._workers import MOST_IDLE, Workers, is_innermost

__all__ = [
    "MOST_IDLE",
    "NEEDS_TRIO",
    "NETWORK_GRACE",
    "READS_NOTHING",
    "WELL_KNOWN",
    "Asker",
    "Authorization",
    "Bus",
    "ChannelPeer",
    "Chunks",
    "ConnectedPeer",
    "CustomRoute",
    "Denied",
    "EventStore",
    "Failed",
    "Guest",
    "Handler",
    "Home",
    "HttpRequest",
    "HttpResponse",
    "Hub",
    "Life",
    "Listener",
    "LocalBus",
    "MemoryNonceStore",
    "MissingNonceStore",
    "NonceStore",
    "OutboxPeer",
    "Parked",
    "Parking",
    "Peer",
    "Presentation",
    "Principal",
    "ProgressCallback",
    "ProofRefused",
    "ProofVerifier",
    "ProtocolError",
    "Proven",
    "Responder",
    "Retried",
    "Round",
    "Seal",
    "Served",
    "Serving",
    "Subscriber",
    "TokenVerifier",
    "ToolThreads",
    "Workers",
    "attempted",
    "awaited",
    "captured",
    "contained",
    "drain",
    "flaw_of_conversation",
    "holding",
    "in_threads",
    "is_innermost",
    "method_not_found",
    "path_in",
    "quoted_path",
    "root_of",
    "start_in",
    "told_of_signals",
    "watching_for_blocks",
]
