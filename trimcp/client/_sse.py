"""HTTP with SSE: one event stream for all messages of the server, including answers.

Specification: 2024-11-05, Transports, HTTP with SSE.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp._groups import unwrapping
from trimcp.errors import ConnectionLost, HTTPStatusError, MCPError, ProtocolViolation

from ._http import HTTPPeer, message_of, status_error

if TYPE_CHECKING:
    from msgspec import Raw

    from trimcp.protocol import Call
    from trimcp.runtime import ProgressCallback

__all__ = ["SSEPeer"]

#: The first event, which names the URL for messages.
_ENDPOINT: Final = "endpoint"


class SSEPeer(HTTPPeer):
    """A server that speaks HTTP with SSE. When its stream ends, the connection is lost."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._decided = trio.Event()
        self._refusal: MCPError | None = None

    async def wait_ready(self, seconds: float) -> None:
        """Wait until the server has named the URL for messages.

        Raises:
            HTTPStatusError, ProtocolViolation: It does not speak HTTP with SSE.
            ConnectionLost: The connection broke, or the server said nothing in time.
        """
        with trio.move_on_after(seconds):
            await self._decided.wait()
        if self._refusal is not None:
            raise self._refusal
        if not self._decided.is_set():
            raise ConnectionLost("the server's stream of events does not begin")

    async def _read(self) -> None:
        try:
            async with self._link.get(self._headers(), may_wait=True) as answer:
                if not answer.is_stream:
                    raise status_error(answer, await answer.read())
                while events := await answer.take():
                    for event in events:
                        if event.event == _ENDPOINT and not self._decided.is_set():
                            self._link.turn_to(event.data.decode(errors="replace"), answer.url)
                            self._decided.set()
                        else:
                            self._receive(message_of(event))
                if not self._decided.is_set():
                    raise ProtocolViolation("the stream ended without naming an endpoint")
        except (ConnectionLost, HTTPStatusError, ProtocolViolation) as error:
            self._failure = error.__cause__ or error
            if not self._decided.is_set():
                self._refusal = error
        finally:
            self._decided.set()

    def break_off(self, reason: str) -> None:
        self._failure = TimeoutError(reason)
        self.life.reading.cancel(reason=reason)

    async def _carry(
        self, call: Call, data: bytes, timeout: float, on_progress: ProgressCallback | None
    ) -> Raw:
        pending = call.owner
        pending.sent = True
        with unwrapping():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(functools.partial(self._post, call, data))
                raw: Raw = await pending.wait(timeout, on_progress)
                nursery.cancel_scope.cancel(reason="answered")
        return raw

    async def _post(self, call: Call, data: bytes) -> None:
        """Send a request. Only an error is an outcome, since the answer comes on the stream."""
        try:
            async with self._slot(call), self._link.post(data, self._headers()) as answer:
                if answer.is_success:
                    await answer.read()
                else:
                    await self._refused(call, answer)
        except MCPError as error:
            call.owner.settle(error)
