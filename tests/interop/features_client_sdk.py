"""A client made with the official Python SDK that does what it is told, for one of everything.

Usage: ``python features_client_sdk.py handshake|stateless asyncio|trio STEPS -- command …``

STEPS is a JSON object: each label names a step, and what the step saw is printed under that
label, all in one JSON document. The steps are those of `features_client.mjs`.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.subscriptions import ResourceUpdated
from mcp_types import (
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    Implementation,
    LoggingMessageNotificationParams,
    PromptReference,
    Request,
    ResourceTemplateReference,
    ResourceUpdatedNotification,
    ToolListChangedNotification,
)
from pydantic import BaseModel, TypeAdapter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.client import ClientRequestContext
    from mcp.client.session import IncomingMessage

MODES = {"handshake": "legacy", "stateless": "auto"}
LOG_LEVEL = "io.modelcontextprotocol/logLevel"
FILLINGS = {"string": "text", "integer": 3, "number": 1.5, "boolean": True}

Facts = dict[str, Any]


def dump(value: object) -> object:
    """Turn the SDK's models into what they were on the wire."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(value, list):
        return [dump(item) for item in value]
    return value


async def attempt(step: Callable[[], Awaitable[object]]) -> Facts:
    """Run one step and keep either its result or its error."""
    try:
        return {"result": dump(await step())}
    except MCPError as error:
        described = {"code": error.code, "message": error.message, "data": error.data}
        return {"error": {"type": type(error).__name__, **described}}
    except Exception as error:
        return {"error": {"type": type(error).__name__, "message": str(error)}}


def fill(schema: Facts) -> Any:
    """A value for one field of a form."""
    if "enum" in schema:
        return schema["enum"][-1]
    if schema["type"] == "array":
        return schema["items"]["enum"]
    return FILLINGS[schema["type"]]


class Script:
    """The steps, and what they saw."""

    def __init__(self, era: str, command: list[str]) -> None:
        self.seen: Facts = {"logs": [], "questions": [], "unexpected": []}
        self.era = era
        self.told, self.changes = anyio.create_memory_object_stream[str](100)
        self.client = Client(
            StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ)),
            mode=MODES[era],
            client_info=Implementation(name="python-sdk-peer", version="1.0.0"),
            elicitation_callback=self.answer,
            logging_callback=self.on_log,
            message_handler=self.on_message,
        )

    async def answer(
        self, context: ClientRequestContext, params: ElicitRequestParams
    ) -> ElicitResult:
        """Fill in any form; the message may ask for something else."""
        assert isinstance(params, ElicitRequestFormParams)
        self.seen["questions"].append(dump(params))
        if "decline" in params.message:
            return ElicitResult(action="decline")
        if "cancel" in params.message:
            return ElicitResult(action="cancel")
        schema = params.requested_schema
        content = {name: fill(schema["properties"][name]) for name in schema["required"]}
        return ElicitResult(action="accept", content=content)

    async def on_log(self, params: LoggingMessageNotificationParams) -> None:
        """Keep a log message."""
        self.seen["logs"].append(dump(params))

    async def on_message(self, message: IncomingMessage) -> None:
        """Keep what the SDK could not make sense of; pass on changes of the handshake era."""
        if isinstance(message, Exception):
            self.seen["unexpected"].append(str(message))
        elif self.era == "handshake":
            if isinstance(message, ResourceUpdatedNotification):
                self.told.send_nowait(str(message.params.uri))
            elif isinstance(message, ToolListChangedNotification):
                self.told.send_nowait("tools")

    async def call(self, params: Facts) -> Facts:
        """Call a tool, and maybe another one while it runs."""
        steps: list[Facts] = []
        at_total = anyio.Event()

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            steps.append({"progress": progress, "total": total, "message": message})
            if progress == total:
                at_total.set()

        async def follow(name: str) -> None:
            await at_total.wait()
            await self.client.call_tool(name)

        async with anyio.create_task_group() as tasks:
            if "at_total" in params:
                tasks.start_soon(follow, params["at_total"])
            meta: Any = {LOG_LEVEL: params["level"]} if "level" in params else None
            outcome = await attempt(
                lambda: self.client.call_tool(
                    params["name"],
                    params.get("arguments", {}),
                    progress_callback=on_progress,
                    meta=meta,
                )
            )
            tasks.cancel_scope.cancel()
        return {**outcome, "progress": steps}

    async def listen(self, params: Facts) -> list[list[str]]:
        """Subscribe, call tools, and tell what each of them has changed."""
        uris = params["resources"]
        if self.era == "handshake":
            for uri in uris:
                await self.client.subscribe_resource(uri)
            found = await self.collect(params["calls"])
            for uri in uris:
                await self.client.unsubscribe_resource(uri)
            return found
        async with (
            self.client.listen(tools_list_changed=True, resource_subscriptions=uris) as changes,
            anyio.create_task_group() as tasks,
        ):

            async def follow() -> None:
                async for change in changes:
                    is_resource = isinstance(change, ResourceUpdated)
                    self.told.send_nowait(change.uri if is_resource else "tools")

            tasks.start_soon(follow)
            found = await self.collect(params["calls"])
            tasks.cancel_scope.cancel()
        return found

    async def collect(self, calls: list[Facts]) -> list[list[str]]:
        """Call tools one after another; the changes that each of them led to."""
        found = []
        for call in calls:
            await self.client.call_tool(call["name"], call["arguments"])
            with anyio.fail_after(10):
                found.append(sorted([await self.changes.receive() for _ in range(call["changes"])]))
        return found

    async def request(self, params: Facts) -> Facts:
        """A request of an extension."""
        request = Request[Facts, str](method=params["method"], params=params["params"])
        return await self.client.session.send_request(request, TypeAdapter(dict[str, Any]))

    async def page(self, method: str, cursor: str | None = None) -> Any:
        """One page of a list."""
        client = self.client
        lists: dict[str, Callable[..., Awaitable[Any]]] = {
            "tools/list": client.list_tools,
            "prompts/list": client.list_prompts,
            "resources/list": client.list_resources,
            "resources/templates/list": client.list_resource_templates,
        }
        return await lists[method](cursor=cursor)

    async def pages(self, method: str) -> list[Any]:
        """All pages of a list."""
        pages = [await self.page(method)]
        while pages[-1].next_cursor is not None:
            pages.append(await self.page(method, pages[-1].next_cursor))
        return pages

    async def tools(self) -> Facts:
        """All tools; this SDK has no means of its own but turning pages."""
        pages = await self.pages("tools/list")
        return {"tools": [dump(tool) for page in pages for tool in page.tools]}

    async def complete(self, params: Facts) -> Any:
        """Ask how an argument could go on."""
        ref = params["ref"]
        cls = PromptReference if ref["type"] == "ref/prompt" else ResourceTemplateReference
        context = params.get("context", {}).get("arguments")
        return await self.client.complete(cls.model_validate(ref), params["argument"], context)

    async def identify(self) -> Facts:
        """What is known of the server."""
        client = self.client
        return {
            "revision": client.protocol_version,
            "info": dump(client.server_info),
            "capabilities": dump(client.server_capabilities),
            "instructions": client.instructions,
        }

    async def step(self, op: str, params: Facts) -> Facts:
        """Do one step."""
        client = self.client
        match op:
            case "call":
                return await self.call(params)
            case "read":
                return await attempt(lambda: client.read_resource(params["uri"]))
            case "prompt":
                return await attempt(
                    lambda: client.get_prompt(params["name"], params.get("arguments"))
                )
            case "complete":
                return await attempt(lambda: self.complete(params))
            case "pages":
                return await attempt(lambda: self.pages(params["method"]))
            case "page":
                return await attempt(lambda: self.page(params["method"], params["cursor"]))
            case "tools":
                return await attempt(self.tools)
            case "level":
                return await attempt(lambda: client.set_logging_level(params["level"]))
            case "identify":
                return await attempt(self.identify)
            case "listen":
                return await attempt(lambda: self.listen(params))
            case "request":
                return await attempt(lambda: self.request(params))
        raise ValueError(f"no such step: {op}")

    async def run(self, steps: dict[str, Facts]) -> Facts:
        """Connect, do the steps, close."""
        async with self.client:
            for label, step in steps.items():
                params = dict(step)
                self.seen[label] = await self.step(params.pop("op"), params)
        return self.seen


def main() -> int:
    """Read the arguments, run the script, print what it saw."""
    match sys.argv[1:]:
        case [
            "handshake" | "stateless" as era,
            "asyncio" | "trio" as backend,
            steps,
            "--",
            *command,
        ]:
            # Logging and subscribing are deprecated, and tested here nevertheless.
            warnings.simplefilter("ignore", MCPDeprecationWarning)
            seen = anyio.run(Script(era, command).run, json.loads(steps), backend=backend)
            print(json.dumps(seen))
            return 0
    print("usage: features_client_sdk.py ERA BACKEND STEPS -- command …", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
