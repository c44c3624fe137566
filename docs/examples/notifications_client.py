"""A client that hears of changes."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from trimcp import ConnectionLost, ResourceUpdated, ToolsListChanged, open_client
from trimcp.types import ReadResourceResult

SERVER = Path(__file__).with_name("notifications.py")


async def main() -> None:
    async with (
        open_client(SERVER) as client,
        client.listen(resources=["messages://all"], tools_list_changed=True) as changes,
    ):
        await client.call_tool("add_message", {"content": "Hello!"})
        await client.call_tool("learn", {"word": "moo"})
        async for change in changes:
            match change:
                case ResourceUpdated(uri):
                    print(uri, (await client.read_resource(uri)).contents[0])
                case ToolsListChanged():
                    print("tools:", [tool.name for tool in await client.list_tools()])
                    break


async def follow(
    target: str, uri: str, show: Callable[[ReadResourceResult], Awaitable[None]]
) -> None:
    """Show a resource whenever it changes, over as many connections as it takes."""
    while True:
        try:
            async with open_client(target) as client, client.listen(resources=[uri]) as changes:
                # What changed while nobody listened is not told.
                await show(await client.read_resource(uri))
                async for _ in changes:
                    await show(await client.read_resource(uri))
        except (ConnectionLost, OSError):
            pass
        await trio.sleep(1)


if __name__ == "__main__":
    trio.run(main)
