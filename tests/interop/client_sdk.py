"""A client made with the official Python SDK, the peer of the server under test.

Usage: ``python client_sdk.py handshake|stateless|auto asyncio|trio -- command [argument …]``, or
an ``http://…`` URL instead of the command.

``auto`` lets the SDK find out the era.

Starts the command, drives it over stdio through a fixed script and prints one JSON object that
says what was seen. A step that raises is recorded as ``{"error": {…}}`` and the script goes on;
the exit status is 1 only when no connection could be made.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp_types import (
    DiscoverResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    Implementation,
)
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.client import ClientRequestContext
    from mcp.client.session import IncomingMessage

STATELESS = "2026-07-28"
MODES = {"handshake": "legacy", "stateless": STATELESS, "auto": "auto"}
CANCEL_AFTER_SECONDS = 0.1
USAGE = "usage: python client_sdk.py handshake|stateless|auto asyncio|trio -- command [argument …]"

Facts = dict[str, Any]


def dump(value: object) -> object:
    """Turn the SDK's models into what they are on the wire."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, list):
        return [dump(item) for item in value]
    return value


def describe_error(error: BaseException) -> Facts:
    """Say what a step raised; a group of one is that one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    described: Facts = {
        "type": type(error).__name__,
        "code": None,
        "message": str(error),
        "data": None,
    }
    if isinstance(error, MCPError):
        described |= {"code": error.code, "data": error.data}
    return described


async def attempt(step: Callable[[], Awaitable[object]]) -> Facts:
    """Run one step and keep either its result or its error."""
    try:
        return {"result": dump(await step())}
    except Exception as error:
        return {"error": describe_error(error)}


def agree(schema: dict[str, Any]) -> dict[str, Any]:
    """Say yes: true for every boolean the form asks for, `confirm` when it names none."""
    properties = schema.get("properties", {})
    booleans = [name for name, kind in properties.items() if kind.get("type") == "boolean"]
    return dict.fromkeys(booleans or ["confirm"], True)


class Script:
    """The fixed sequence of steps, and what it saw."""

    def __init__(self, era: str, command: list[str]) -> None:
        self.facts: Facts = {"sdk": "python", "era": era}
        self.questions: list[object] = []
        self.unexpected: list[str] = []
        self.client = Client(
            command[0]
            if command[0].startswith("http:")
            else StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ)),
            mode=MODES[era],
            client_info=Implementation(name="python-sdk-peer", version="1.0.0"),
            elicitation_callback=self.answer,
            message_handler=self.on_message,
        )

    async def answer(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        """Accept every form."""
        self.questions.append(dump(params))
        schema = params.requested_schema if isinstance(params, ElicitRequestFormParams) else {}
        return ElicitResult(action="accept", content=agree(schema))

    async def on_message(self, message: IncomingMessage) -> None:
        """Keep what the SDK could not make sense of."""
        if isinstance(message, Exception):
            self.unexpected.append(str(message))

    async def call(self, name: str, arguments: Facts | None = None) -> Facts:
        """Call a tool and keep its result or its error."""
        return await attempt(lambda: self.client.call_tool(name, arguments or {}))

    async def list_tools(self) -> list[object]:
        """Walk every page of the list."""
        page = await self.client.list_tools()
        tools = [dump(tool) for tool in page.tools]
        while page.next_cursor is not None:
            page = await self.client.list_tools(cursor=page.next_cursor)
            tools += [dump(tool) for tool in page.tools]
        return tools

    async def countdown(self) -> Facts:
        """Call a tool that reports progress."""
        steps: list[Facts] = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            steps.append({"progress": progress, "total": total, "message": message})

        arguments = {"steps": 3}
        outcome = await attempt(
            lambda: self.client.call_tool("countdown", arguments, progress_callback=on_progress)
        )
        return {**outcome, "progress": steps}

    async def cancel_forever(self) -> Facts:
        """Leave a call that would never end."""
        outcome: Facts = {}
        with anyio.move_on_after(CANCEL_AFTER_SECONDS) as scope:
            outcome = await self.call("forever")
        return {"cancelled": scope.cancelled_caught, **outcome}

    async def discover(self) -> Facts:
        """Ask who the server is; a pinned client has sent no probe and does not know yet."""
        answer = await self.client.session.send_discover(STATELESS)
        self.client.session.adopt(DiscoverResult.model_validate(answer))
        return answer

    async def call_tools(self) -> None:
        """Call every tool, and some that cannot be called."""
        facts = self.facts
        facts["tools"] = await attempt(self.list_tools)
        facts["add"] = await self.call("add", {"a": 2, "b": 3})
        facts["countdown"] = await self.countdown()
        facts["fail"] = await self.call("fail")
        facts["ask"] = {**await self.call("ask"), "questions": self.questions}
        facts["invalid_arguments"] = await self.call("add", {"a": "two", "b": 3})
        facts["unknown_tool"] = await self.call("no-such-tool")
        facts["forever"] = await self.cancel_forever()
        facts["after_cancel"] = await self.call("add", {"a": 20, "b": 22})
        facts["cancelled"] = await self.call("cancelled")

    def identify(self) -> None:
        """Record what the connection settled on."""
        client = self.client
        self.facts["protocol_version"] = client.protocol_version
        self.facts["server_info"] = dump(client.server_info)
        self.facts["capabilities"] = dump(client.server_capabilities)
        self.facts["instructions"] = client.instructions

    async def steps(self) -> None:
        """Everything between connecting and closing."""
        await self.call_tools()
        if self.facts["era"] == "handshake":
            self.facts["ping"] = await attempt(self.client.session.send_ping)
        else:
            self.facts["discover"] = await attempt(self.discover)
        self.identify()

    async def run(self) -> Facts:
        """Connect, run the steps, close; record which of them failed."""
        facts = self.facts
        stage = "connect"
        try:
            async with self.client:
                facts["connect"] = {"result": None}
                stage = "close"
                await self.steps()
                closing = anyio.current_time()
            facts["close"] = {"result": None}
            facts["close_seconds"] = anyio.current_time() - closing
        except Exception as error:
            facts[stage] = {"error": describe_error(error)}
        facts["unexpected_errors"] = self.unexpected
        return facts


def main() -> int:
    """Read the arguments, run the script, print what it saw."""
    match sys.argv[1:]:
        case [
            "handshake" | "stateless" | "auto" as era,
            "asyncio" | "trio" as backend,
            "--",
            *command,
        ]:
            if command:
                facts = anyio.run(Script(era, command).run, backend=backend)
                print(json.dumps(facts, ensure_ascii=False))
                return 1 if "error" in facts["connect"] else 0
    print(USAGE, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
