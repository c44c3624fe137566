"""WebSocket: one JSON-RPC message in each text frame, subprotocol `mcp`.

Not part of `trimcp.transports` itself, so that only programs that use it load trio-websocket.

Specification: 2026-07-28, Custom Transports. The contract for peers is in docs/transports.md.
"""

from ._accepting import Refusal, Upgrade, accept_websocket, answer_websocket
from ._address import WebSocketAddress, header_list
from ._authorized import connect_authorized
from ._connecting import connect_websocket
from ._connection import SUBPROTOCOL

__all__ = [
    "SUBPROTOCOL",
    "Refusal",
    "Upgrade",
    "WebSocketAddress",
    "accept_websocket",
    "answer_websocket",
    "connect_authorized",
    "connect_websocket",
    "header_list",
]
