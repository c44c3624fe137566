"""The yardstick: the least that a Trio server of `add` can do and still be checked and fair.

One task per request, parsed and validated arguments, a bounded channel to the one task that
writes. No protocol beyond that: no envelope check, no errors, no cancellation, no schema, no
notifications. What a runtime adds on top of this is what its users pay for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import orjson
import trio
from pydantic import TypeAdapter
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OUTBOX_LENGTH = 128
"""Answers that may wait for the writer before the tasks that made them have to."""

READ_SIZE = 65536


class AddArguments(TypedDict):
    """The arguments of `add(a: int, b: int)`."""

    a: int
    b: int


ARGUMENTS = TypeAdapter(AddArguments)

DISCOVERY = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "ttlMs": 0,
    "cacheScope": "private",
}


async def lines(stream: trio.lowlevel.FdStream) -> AsyncIterator[bytes]:
    """Yield what `stream` holds, one line at a time, until it ends."""
    rest = b""
    while chunk := await stream.receive_some(READ_SIZE):
        *complete, rest = (rest + chunk).split(b"\n")
        for line in complete:
            yield line


def add(params: dict[str, Any]) -> dict[str, Any]:
    """Call the one tool there is and dress its answer."""
    arguments = ARGUMENTS.validate_python(params["arguments"])
    total = arguments["a"] + arguments["b"]
    return {
        "resultType": "complete",
        "content": [{"type": "text", "text": str(total)}],
        "structuredContent": {"result": total},
        "isError": False,
    }


async def answer(line: bytes, outbox: trio.MemorySendChannel[bytes]) -> None:
    """Handle one request; anything that is not discovery is a call of `add`."""
    request = orjson.loads(line)
    result = DISCOVERY if request["method"] == "server/discover" else add(request["params"])
    response = {"jsonrpc": "2.0", "id": request["id"], "result": result}
    await outbox.send(orjson.dumps(response, option=orjson.OPT_APPEND_NEWLINE))


async def write(outbox: trio.MemoryReceiveChannel[bytes], stream: trio.lowlevel.FdStream) -> None:
    """Write whatever waits in one go, so that busy times need fewer system calls."""
    async for first in outbox:
        batch = [first]
        try:
            while True:
                batch.append(outbox.receive_nowait())
        except (trio.WouldBlock, trio.EndOfChannel):
            pass
        await stream.send_all(b"".join(batch))


async def main() -> None:
    """Serve standard input and output until the input ends."""
    send, receive = trio.open_memory_channel[bytes](OUTBOX_LENGTH)
    stdin = trio.lowlevel.FdStream(os.dup(0))
    stdout = trio.lowlevel.FdStream(os.dup(1))
    async with stdin, stdout, trio.open_nursery() as connection:
        connection.start_soon(write, receive, stdout)
        async with send, trio.open_nursery() as requests:
            async for line in lines(stdin):
                requests.start_soon(answer, line, send)


if __name__ == "__main__":
    trio.run(main)
