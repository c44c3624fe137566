"""A server and a client on the two ends of a stream of one's own."""

import socket

import trio

from trimcp import Server, open_stream_client

server = Server("streams", version="1.0")


@server.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


async def main() -> None:
    near, far = (
        trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair()
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_stream, far)
        async with open_stream_client(near) as client:
            result = await client.call_tool("add", {"a": 2, "b": 3})
            print(result.structured_content)


if __name__ == "__main__":
    trio.run(main)
