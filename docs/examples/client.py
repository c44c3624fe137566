"""A client of a server in another process."""

from pathlib import Path
from typing import Any

import trio

from trimcp import RequestError, RequestTimeout, client_for, open_client

SERVER = Path(__file__).with_name("tools.py")


async def look_around() -> None:
    async with open_client(SERVER, timeout=10) as client:
        print(client.revision, client.server_info)
        for tool in await client.list_tools():
            print("*", tool.name, list(tool.input_schema["properties"]))


async def call() -> None:
    async with open_client(SERVER, revision="2025-11-25") as client:
        result = await client.call_tool("weather", {"city": "Lima"})
        print(client.revision, result.structured_content)

        result = await client.call_tool("weather", {"city": "Atlantis"})
        print("is_error:", result.is_error)

        try:
            await client.call_tool("wether")
        except RequestError as error:
            print("error:", error)


async def call_many() -> None:
    """Calls are independent of each other: any number of tasks may share a client."""
    async with open_client(SERVER) as client, trio.open_nursery() as nursery:
        for city in ["Bergen", "Lima", "Oulu"]:
            nursery.start_soon(client.call_tool, "weather", {"city": city})


async def give_up() -> None:
    async with open_client(SERVER) as client:
        with trio.move_on_after(0.5) as scope:
            await client.call_tool("digest", {"text": "x" * 1000})
        print("given up:", scope.cancelled_caught)
        try:
            await client.call_tool("digest", {"text": "x" * 1000}, timeout=0.5)
        except RequestTimeout as error:
            print("timeout:", error)


async def in_a_nursery() -> None:
    async with trio.open_nursery() as nursery:
        client = await nursery.start(client_for(SERVER).run)
        await client.ping()
        raw: dict[str, Any] = await client.request(
            "tools/call", {"name": "warmest", "arguments": {"cities": ["Lima", "Oulu"]}}
        )
        print(raw["structuredContent"])
        client.close()


async def main() -> None:
    await look_around()
    await call()
    await call_many()
    await in_a_nursery()


if __name__ == "__main__":
    trio.run(main)
