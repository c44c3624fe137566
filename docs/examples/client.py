"""A client of a server in another process."""

from pathlib import Path
from typing import Any

import trio

from trimcp import Client, RequestError, RequestTimeout, client_for, open_client

SERVER = Path(__file__).with_name("tools.py")


async def look_around(client: Client) -> None:
    print(client.revision, client.server_info)
    for tool in await client.list_tools():
        print("*", tool.name, list(tool.input_schema["properties"]))


async def call(client: Client) -> None:
    result = await client.call_tool("weather", {"city": "Lima"})
    print(result.structured_content)

    result = await client.call_tool("weather", {"city": "Atlantis"})
    print("is_error:", result.is_error)

    try:
        await client.call_tool("wether")
    except RequestError as error:
        print("error:", error)


async def call_many(client: Client) -> None:
    """Any number of tasks may share a client; its calls do not wait for each other."""
    found: dict[str, Any] = {}

    async def ask(city: str) -> None:
        found[city] = (await client.call_tool("weather", {"city": city})).structured_content

    async with trio.open_nursery() as nursery:
        for city in ["Bergen", "Lima", "Oulu"]:
            nursery.start_soon(ask, city)
    print(sorted(found))


async def give_up(client: Client) -> None:
    """Leaving a call cancels it, also at the server."""
    endless = {"text": "x", "rounds": 10**9}
    with trio.move_on_after(0.5) as scope:
        await client.call_tool("digest", endless)
    print("cancelled:", scope.cancelled_caught)

    try:
        await client.call_tool("digest", endless, timeout=0.5)
    except RequestTimeout as error:
        print("timeout:", error)


async def ask_anything() -> None:
    """An older revision, a nursery of one's own, a method without a verb of its own."""
    async with trio.open_nursery() as nursery:
        client = await nursery.start(client_for(SERVER, revision="2025-11-25").run)
        params = {"name": "warmest", "arguments": {"cities": ["Lima", "Oulu"]}}
        raw = await client.request("tools/call", params)
        print(client.revision, raw["structuredContent"])
        client.close()


async def main() -> None:
    async with open_client(SERVER, timeout=10) as client:
        await look_around(client)
        await call(client)
        await call_many(client)
        await give_up(client)
    await ask_anything()


if __name__ == "__main__":
    trio.run(main)
