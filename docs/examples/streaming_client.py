"""Takes the chunks of a streaming tool as they come."""

from __future__ import annotations

from pathlib import Path

import trio

from trimcp import open_client

SERVER = Path(__file__).with_name("streaming.py")


async def main() -> None:
    async with open_client(SERVER) as client:
        async with client.stream_tool("stream_data", {"items": 3, "delay": 0.1}) as stream:
            async for chunk in stream:
                print(chunk["data"])
        print(stream.result.text)


trio.run(main)
