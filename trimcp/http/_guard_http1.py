"""hypercorn's HTTP/1.1, for the handshake of one WebSocket."""

from __future__ import annotations

import h11
import hypercorn.protocol.h11
from hypercorn.protocol.events import Request
from hypercorn.protocol.h11 import STREAM_ID, H11WSConnection

from ._guard_websocket import GuardedWebSocket

__all__ = ["GuardedHandshake"]


class GuardedHandshake(hypercorn.protocol.h11.H11Protocol):
    """HTTP/1.1 of one connection, whose only request is the handshake of a WebSocket."""

    async def _create_stream(self, request: h11.Request) -> None:
        assert isinstance(self.connection, h11.Connection)
        self.connection = H11WSConnection(self.connection)
        self.stream = GuardedWebSocket(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii"),
                raw_path=request.target,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
