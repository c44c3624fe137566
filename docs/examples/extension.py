"""A method and notifications beside the protocol's own, and streams of one's own."""

from dataclasses import dataclass

import trio
import trio.testing

from trimcp import Context, Server, Session, open_stream_client

server = Server(
    "extended",
    version="1.0",
    experimental={"customAction": {}},
    extensions={"com.example/action": {}},
)


@dataclass
class CustomParams:
    value: int


@dataclass
class CustomResult:
    status: str
    result: int


@server.method("experimental/customAction")
async def custom_action(params: CustomParams, ctx: Context) -> CustomResult:
    """Double a value."""
    await ctx.notify("notifications/com.example/begun", {"value": params.value})
    return CustomResult("success", params.value * 2)


@dataclass
class Position:
    x: int
    y: int


positions: list[Position] = []


@server.notification("notifications/com.example/moved")
async def moved(position: Position, session: Session) -> None:
    """The client says where it is."""
    positions.append(position)


@server.method("com.example/path")
async def path() -> dict[str, list[Position]]:
    """Where it has been."""
    return {"path": positions}


async def on_begun(params: dict[str, int]) -> None:
    print("begun with", params["value"])


async def main() -> None:
    """The bare form: a server and a client at the two ends of a pair of streams."""
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_stream, far)
        async with open_stream_client(near) as client:
            print(client.capabilities.experimental, client.capabilities.extensions)
            client.on_notification("notifications/com.example/begun", on_begun)
            result = await client.request("experimental/customAction", {"value": 21}, CustomResult)
            print(result)


if __name__ == "__main__":
    trio.run(main)
