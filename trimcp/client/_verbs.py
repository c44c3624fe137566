"""The requests that a client can make."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

import attrs
import trio

from trimcp._groups import unwrapping
from trimcp.errors import ProtocolViolation
from trimcp.functions import convert
from trimcp.protocol import LOGGING_LEVELS
from trimcp.runtime import Chunks
from trimcp.types import (
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    CompletionArgument,
    CompletionContext,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    Prompt,
    PromptReference,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    SetLevelRequestParams,
    Tool,
)

from ._checks import wire_mapping
from ._stream import ToolStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from trimcp.runtime import ProgressCallback
    from trimcp.types import LoggingLevel

    from ._requester import Requester

__all__ = ["Verbs"]

ResultT = TypeVar("ResultT")


class Verbs:
    """The requests of a client. All of them raise these, besides the errors that they document:

    * `RequestError`: the server answered with an error.
    * `RequestTimeout`: no answer came in time (`timeout=`, else the client's default).
    * `ConnectionLost`: the server is gone.
    * `ProtocolViolation`: the answer is not what the protocol requires.
    * `HTTPStatusError`: over HTTP, the answer was a status without a message.

    If a call is left by a cancel scope or an exception, it is cancelled at the server.
    """

    def __init__(self, requester: Requester) -> None:
        self._requester = requester

    async def _page(self, method: str, cursor: str | None, timeout: float | None) -> Any:
        """One page of a list."""
        params = PaginatedRequestParams(cursor)
        return await self._requester.ask_cached(method, params, timeout=timeout)

    # -- tools ----------------------------------------------------------------------------

    async def list_tools(self, *, timeout: float | None = None) -> list[Tool]:
        """All tools, page by page.

        This and the other lists are bounded by `Limits.list_pages` and `Limits.list_bytes`
        (`LimitExceeded`).

        Args:
            timeout: Seconds for the whole list.

        Specification: Tools, Listing Tools.
        """
        return await self._requester.list_tools(timeout)

    async def list_tools_page(
        self, cursor: str | None = None, *, timeout: float | None = None
    ) -> ListToolsResult:
        """One page of tools; `next_cursor` of the result leads to the next.

        Over HTTP, in the stateless era, tools whose definition is invalid are left out, with a
        warning in the log `trimcp.client`.
        """
        return self._requester.learn(await self._page("tools/list", cursor, timeout))

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        progress: ProgressCallback | None = None,
        timeout: float | None = None,
    ) -> CallToolResult:
        """Call a tool.

        Args:
            name: The tool's name.
            arguments: Its arguments: values that JSON can express.
            progress: Called (and awaited) with progress, total and message, one report after
                another. While it runs, only the latest report waits. The call returns after the
                last run has ended.
            timeout: Seconds to wait for the answer. The time spent in answering questions does
                not count, nor the time spent in `progress` while the server is silent.

        Returns:
            The result. A tool that failed also returns a result, with `is_error` set. Structured
            content is checked against the tool's output schema if the tool has been listed.

        Specification: Tools, Calling Tools; 2026-07-28, Multi Round-Trip Requests.
        """
        return await self._call_tool(name, arguments, timeout, progress, None)

    async def _call_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None,
        timeout: float | None,
        progress: ProgressCallback | None,
        chunks: Chunks | None,
    ) -> CallToolResult:
        params = CallToolRequestParams(name, wire_mapping("arguments=", arguments))
        result: CallToolResult = await self._requester.ask(
            "tools/call", params, timeout=timeout, progress=progress, chunks=chunks
        )
        self._requester.known.check(name, result)
        return result

    @asynccontextmanager
    async def stream_tool(
        self,
        name: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        progress: ProgressCallback | None = None,
        timeout: float = math.inf,
        buffer: int = 1024,
    ) -> AsyncIterator[ToolStream]:
        """Call a streaming tool and take its chunks as they arrive::

            async with client.stream_tool("stream_data", {"items": 3}) as stream:
                async for chunk in stream:
                    ...
                print(stream.result)

        Leaving the block early cancels the call. A tool that does not stream has no chunks.

        Args:
            name: The tool's name.
            arguments: Its arguments.
            progress: As for `call_tool`. Each chunk is progress too, without a message.
            timeout: Seconds for the whole stream; no bound by default.
            buffer: How many chunks may wait to be taken. In memory the tool waits when there are as
                many. On a stream that is shared with other calls the reader cannot wait: if there
                are more, the call fails with `LimitExceeded` and is cancelled.
        """
        chunks = Chunks(buffer)
        stream = ToolStream(chunks)

        async def call() -> None:
            try:
                stream.outcome = await self._call_tool(name, arguments, timeout, progress, chunks)
            except Exception as error:
                # It is raised where the chunks are awaited, after those that came before it.
                stream.outcome = error
            finally:
                chunks.end()

        try:
            with unwrapping() as whole:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(call)
                    try:
                        with whole.block():
                            yield stream
                    finally:
                        chunks.leave()
                    nursery.cancel_scope.cancel(reason="the stream was left")
        finally:
            stream.leave()

    # -- resources ------------------------------------------------------------------------

    async def list_resources(self, *, timeout: float | None = None) -> list[Resource]:
        """All resources, page by page. Specification: Resources, Listing Resources."""
        return await self._requester.ask_list(
            "resources/list", lambda page: page.resources, timeout
        )

    async def list_resources_page(
        self, cursor: str | None = None, *, timeout: float | None = None
    ) -> ListResourcesResult:
        """One page of resources."""
        result: ListResourcesResult = await self._page("resources/list", cursor, timeout)
        return result

    async def list_resource_templates(
        self, *, timeout: float | None = None
    ) -> list[ResourceTemplate]:
        """All templates, page by page. Specification: Resources, Resource Templates."""
        return await self._requester.ask_list(
            "resources/templates/list", lambda page: page.resource_templates, timeout
        )

    async def list_resource_templates_page(
        self, cursor: str | None = None, *, timeout: float | None = None
    ) -> ListResourceTemplatesResult:
        """One page of templates."""
        result: ListResourceTemplatesResult = await self._page(
            "resources/templates/list", cursor, timeout
        )
        return result

    async def read_resource(self, uri: str, *, timeout: float | None = None) -> ReadResourceResult:
        """Read a resource.

        An unknown URI is a `RequestError` with code -32602, or -32002 in the handshake era.

        Specification: Resources, Reading Resources.
        """
        params = ReadResourceRequestParams(uri)
        result: ReadResourceResult = await self._requester.ask_cached(
            "resources/read", params, timeout=timeout
        )
        return result

    # -- prompts and completion -----------------------------------------------------------

    async def list_prompts(self, *, timeout: float | None = None) -> list[Prompt]:
        """All prompts, page by page. Specification: Prompts, Listing Prompts."""
        return await self._requester.ask_list("prompts/list", lambda page: page.prompts, timeout)

    async def list_prompts_page(
        self, cursor: str | None = None, *, timeout: float | None = None
    ) -> ListPromptsResult:
        """One page of prompts."""
        result: ListPromptsResult = await self._page("prompts/list", cursor, timeout)
        return result

    async def get_prompt(
        self,
        name: str,
        arguments: Mapping[str, str] | None = None,
        *,
        progress: ProgressCallback | None = None,
        timeout: float | None = None,
    ) -> GetPromptResult:
        """Get the messages of a prompt. Specification: Prompts, Getting a Prompt."""
        params = GetPromptRequestParams(name, wire_mapping("arguments=", arguments))
        result: GetPromptResult = await self._requester.ask(
            "prompts/get", params, timeout=timeout, progress=progress
        )
        return result

    async def complete(
        self,
        argument: str,
        value: str = "",
        *,
        prompt: str | None = None,
        resource: str | None = None,
        arguments: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Completion:
        """Ask for suggestions to complete an argument.

        Args:
            argument: The argument of the prompt, or the variable of the template.
            value: What has been typed so far.
            prompt: The prompt's name.
            resource: The resource template.
            arguments: The values of the other arguments, as far as they are known.
            timeout: Seconds to wait for the answer.

        Raises:
            ValueError: It is not exactly one of `prompt` and `resource`.

        Specification: Completion.
        """
        if (prompt is None) == (resource is None):
            raise ValueError("a completion is asked of a prompt= or of a resource= template")
        known = wire_mapping("arguments=", arguments)
        ref = PromptReference(prompt) if prompt is not None else None
        params = CompleteRequestParams(
            ref or ResourceTemplateReference(resource or ""),
            CompletionArgument(argument, value),
            None if known is None else CompletionContext(known),
        )
        result: CompleteResult = await self._requester.ask(
            "completion/complete", params, timeout=timeout
        )
        return result.completion

    # -- the rest -------------------------------------------------------------------------

    async def ping(self, *, timeout: float | None = None) -> None:
        """Check that the server answers.

        The stateless era has no ping, so `server/discover` is sent there instead.

        Specification: Ping (handshake era).
        """
        method = "server/discover" if self._requester.is_stateless else "ping"
        await self._requester.ask(method, None, timeout=timeout)

    async def set_log_level(self, level: LoggingLevel, *, timeout: float | None = None) -> None:
        """Choose how severe a log message must be for the server to send it.

        In the handshake era the server is asked; in the stateless era every further request carries
        the level.

        Specification: Logging, Setting Log Level.
        """
        if level not in LOGGING_LEVELS:
            raise ValueError(
                f"unknown log level: {level!r}; the levels are {', '.join(LOGGING_LEVELS)}"
            )
        if self._requester.is_stateless:
            self._requester.use_terms(
                attrs.evolve(self._requester.agreement.terms, log_level=level)
            )
        else:
            await self._requester.ask(
                "logging/setLevel", SetLevelRequestParams(level), timeout=timeout
            )

    @overload
    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]: ...

    @overload
    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        result: type[ResultT],
        *,
        timeout: float | None = None,
    ) -> ResultT: ...

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        result: Any = None,
        *,
        timeout: float | None = None,
    ) -> Any:
        """Send any request: a method of an extension, for example.

        Args:
            method: The method.
            params: Its params in wire form, without `_meta`.
            result: The type to which pydantic converts the result; by default the result stays a
                mapping in wire form.
            timeout: Seconds to wait for the answer.
        """
        wire = await self._requester.ask_raw(method, wire_mapping("params=", params), timeout)
        if result is None:
            return wire
        try:
            return convert(wire, result)
        except ValueError as error:
            raise ProtocolViolation(f"the result of {method} does not fit:\n{error}") from None
