"""The client: its life, and the verbs."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from trimcp._groups import unwrapping
from trimcp.errors import ConnectionLost, ProcessDied, ProtocolViolation
from trimcp.protocol import Connection, Era, InvalidShape, Role, read_object
from trimcp.runtime import Peer
from trimcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ClientCapabilities,
    ElicitationCapability,
    Implementation,
    InputRequiredResult,
    ListToolsResult,
    PaginatedRequestParams,
    Tool,
)

from ._answers import Answerer
from ._negotiation import Agreement, Offer, agree, decode_result, known_revision

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from msgspec import Raw

    from trimcp.limits import Limits
    from trimcp.runtime import Frame, ProgressCallback
    from trimcp.transports import ChildProcess, MessageChannel
    from trimcp.types import ServerCapabilities

    from ._answers import ElicitationCallback

__all__ = ["Client", "Way"]

logger = logging.getLogger("trimcp.client")

Way: TypeAlias = "AbstractAsyncContextManager[tuple[MessageChannel, ChildProcess | None]]"

#: Seconds for what still waits to be written when a client is left.
_FLUSH_SECONDS: Final = 1.0

#: Rounds of questions that one call may take.
MAX_ROUNDS: Final = 20


class Client:
    """A connection to one MCP server, as `open_client` and its kin yield it.

    Attributes:
        revision: The protocol revision in use, such as `2026-07-28`.
        server_info: How the server calls itself, if it does; for display only.
        capabilities: What the server offers.
        instructions: How the server wants to be used, or None.
    """

    def __init__(
        self,
        way: Way,
        limits: Limits,
        *,
        name: str,
        version: str,
        revision: str | None,
        timeout: float,
        probe_timeout: float,
        elicitation: ElicitationCallback | None,
    ) -> None:
        self._way = way
        self._limits = limits
        self._pinned = None if revision is None else known_revision(revision)
        self._timeout = timeout
        self._answerer = Answerer(elicitation)
        capabilities = ClientCapabilities(
            elicitation=None if elicitation is None else ElicitationCapability(form={})
        )
        identity = Implementation(name=name, version=version)
        self._offer = Offer(identity, capabilities, probe_timeout, timeout)
        self._closing = trio.Event()
        self._peer: Peer
        self._agreement: Agreement

    # -- its life -------------------------------------------------------------------------

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Client]:
        """Connect, find the era, and disconnect at the end. Used once."""
        with unwrapping():
            async with self._way as (channel, child), trio.open_nursery() as nursery:
                connection = Connection(Role.CLIENT, self._offer.identity, self._limits)
                self._peer = Peer(connection, channel, self, self._limits)
                self._peer.explain_loss = lambda reason: _loss(reason, child)
                nursery.start_soon(self._peer.run)
                self._agreement = await agree(self._peer, self._offer, self._pinned)
                connection.terms = self._agreement.terms
                try:
                    yield self
                finally:
                    # A call that was just given up has a cancellation waiting to be written.
                    with trio.CancelScope(shield=True, relative_deadline=_FLUSH_SECONDS):
                        await channel.flush()
                    nursery.cancel_scope.cancel(reason="the client was closed")

    async def run(self, *, task_status: trio.TaskStatus[Client] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the connection open until `close()`: for `await nursery.start(client.run)`."""
        async with self.opened():
            task_status.started(self)
            await self._closing.wait()

    def close(self) -> None:
        """End `run()`. Harmless when repeated."""
        self._closing.set()

    # -- what it found --------------------------------------------------------------------

    @property
    def revision(self) -> str:
        """The protocol revision in use."""
        return self._agreement.terms.revision.date

    @property
    def server_info(self) -> Implementation | None:
        """How the server calls itself, if it does."""
        return self._agreement.server_info

    @property
    def capabilities(self) -> ServerCapabilities:
        """What the server offers."""
        return self._agreement.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used."""
        return self._agreement.instructions

    # -- verbs ----------------------------------------------------------------------------

    async def ping(self, *, timeout: float | None = None) -> None:
        """Ask the server for a sign of life.

        The stateless era has no ping, so there `server/discover` is asked instead.

        Raises:
            RequestError, RequestTimeout, ConnectionLost, ProtocolViolation: As every verb.
        """
        era = self._agreement.terms.revision.era
        method = "ping" if era is Era.HANDSHAKE else "server/discover"
        await self._peer.request(method, None, timeout=self._seconds(timeout))

    async def list_tools(self, *, timeout: float | None = None) -> list[Tool]:
        """All tools of the server, page by page.

        Args:
            timeout: Seconds for each page, instead of the client's default.

        Raises:
            RequestError, RequestTimeout, ConnectionLost, ProtocolViolation: As every verb.
        """
        tools: list[Tool] = []
        cursor: str | None = None
        seen: set[str] = set()
        while True:
            page = await self.list_tools_page(cursor, timeout=timeout)
            tools += page.tools
            cursor = page.next_cursor
            if cursor is None:
                return tools
            if cursor in seen:
                raise ProtocolViolation(f"tools/list repeats the cursor {cursor!r}")
            seen.add(cursor)

    async def list_tools_page(
        self, cursor: str | None = None, *, timeout: float | None = None
    ) -> ListToolsResult:
        """One page of `tools/list`; `next_cursor` of the result leads to the next."""
        params = PaginatedRequestParams(cursor)
        call, raw = await self._peer.request("tools/list", params, timeout=self._seconds(timeout))
        result: ListToolsResult = decode_result(call, _object(call.method, raw), ListToolsResult)
        return result

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        progress: ProgressCallback | None = None,
        timeout: float | None = None,
    ) -> CallToolResult:
        """Call a tool; leaving the call (a cancel scope, an exception) cancels it.

        Args:
            name: The tool's name.
            arguments: Its arguments: values that JSON can express.
            progress: Awaited with progress, total and message, one report after another. All
                that ran are done when the call returns; while one runs, only the latest report
                waits.
            timeout: Seconds to wait for the answer, instead of the client's default. The time
                spent in `progress` and in answering questions does not count.

        Returns:
            The result. A tool that failed returns one too, with `is_error` set.

        Raises:
            RequestError: The server answered with an error: an unknown tool, for example.
            RequestTimeout: No answer came in time.
            ConnectionLost: The server is gone.
            ProtocolViolation: The answer is malformed, or asks for more rounds than allowed.

        Specification: Tools, Calling Tools; 2026-07-28, Multi Round-Trip Requests.
        """
        params = CallToolRequestParams(name, None if arguments is None else dict(arguments))
        for _ in range(MAX_ROUNDS):
            call, raw = await self._peer.request(
                "tools/call", params, timeout=self._seconds(timeout), on_progress=progress
            )
            method = call.terms.revision.client_requests[call.method]
            result = decode_result(call, _object(call.method, raw), method.result)
            if not isinstance(result, InputRequiredResult):
                answer: CallToolResult = result
                return answer
            responses = await self._answerer.answer_all(result, call.terms.revision)
            params = CallToolRequestParams(
                name,
                params.arguments,
                input_responses=responses,
                request_state=result.request_state,
            )
        raise ProtocolViolation(f"the server asked more than {MAX_ROUNDS} times")

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else timeout

    # -- requests of the server -----------------------------------------------------------

    async def handle(self, frame: Frame) -> Any:
        """Handle one request of the server (handshake era)."""
        return await self._answerer.handle(frame)

    def ended(self, frame: Frame) -> None:
        """Clients ask the server nothing while they answer it."""

    def notified(self, peer: Peer, method: str, params: Raw | None) -> None:
        """A notification that concerns no single call."""
        logger.debug("notification %s", method)


def _object(method: str, raw: Raw) -> dict[str, Any]:
    try:
        return read_object(raw)
    except InvalidShape as error:
        raise ProtocolViolation(f"the result of {method} is malformed: {error}") from None


def _loss(reason: str, child: ChildProcess | None) -> ConnectionLost:
    """The error for a connection that is gone; a child's end is named as such."""
    if child is None:
        return ConnectionLost(reason)
    status = child.returncode
    ended = "closed its output" if status is None else f"ended with status {status}"
    tail = "".join(f"\n  {line}" for line in child.stderr_tail[-5:])
    said = f"; it last wrote to standard error:{tail}" if tail else ""
    return ProcessDied(f"the server process {ended}{said}", status)
