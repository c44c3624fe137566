"""The server that is sent anything at all, and what a client of it needs to be answered."""

from __future__ import annotations

import json
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from tests.wire_fuzz import MESSAGE_BYTES, NESTING
from trimcp import Context, Limits, Server, ToolError
from trimcp.protocol import LATEST, META_PREFIX, Revision

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITS = Limits(nesting=NESTING, message_bytes=MESSAGE_BYTES, parked_seconds=60)


@attrs.frozen
class Point:
    x: float
    y: float = 0


@attrs.frozen
class Sure:
    yes: bool


def make_server(*, threads: bool) -> Server[None]:
    server: Server[None] = Server("fuzzed", limits=LIMITS)

    @server.tool
    async def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    @server.tool
    async def point(x: float, ctx: Context) -> Point:
        await ctx.report_progress(1, 2, "half")
        await ctx.info({"x": x})
        return Point(x)

    @server.tool
    async def listing() -> list[str]:
        return ["a", "b"]

    @server.tool
    async def everything() -> dict[str, Any]:
        return {"a": [1, {"b": None}]}

    @server.tool
    async def refuse() -> str:
        raise ToolError("no")

    @server.tool
    async def slow(seconds: float) -> str:
        with trio.move_on_after(100):
            await trio.sleep(max(seconds, 0))
        return "done"

    @server.tool
    async def forever() -> None:
        await trio.sleep_forever()

    @server.tool
    async def change() -> None:
        await server.notify_resource_updated("memo://of/{number}")
        await server.notify_tools_changed()

    @server.tool
    async def ask(ctx: Context) -> str:
        return str(await ctx.elicit("Sure?", Sure, key="sure"))

    @server.resource("memo://one")
    async def memo() -> str:
        return "one"

    @server.resource("memo://of/{number}")
    async def memo_of(number: int) -> str:
        return str(number)

    @server.prompt
    async def greet(who: str) -> str:
        return f"Hello, {who}"

    @server.completion("who", prompt="greet")
    async def names(value: str) -> list[str]:
        return ["you"]

    if threads:

        @server.tool
        def blocking(text: str) -> str:
            return text

    return server


def handshake(revision: Revision) -> bytes:
    params = {
        "protocolVersion": revision.date,
        "capabilities": {},
        "clientInfo": {"name": "fuzzer", "version": "1"},
    }
    opening = {"jsonrpc": "2.0", "id": "opening", "method": "initialize", "params": params}
    initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    return f"{json.dumps(opening)}\n{json.dumps(initialized)}\n".encode()


def last_request(session: Revision | None) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": "last", "method": "tools/list"}
    if session is None:
        meta = {
            META_PREFIX + "protocolVersion": LATEST.date,
            META_PREFIX + "clientCapabilities": {},
        }
        message["params"] = {"_meta": meta}
    # After whatever stands there unfinished.
    return b"\n" + json.dumps(message).encode() + b"\n"


class Errors(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(self.format(record))


@contextmanager
def no_errors_logged() -> Iterator[None]:
    handler = Errors()
    logger = logging.getLogger("trimcp")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert not handler.records
