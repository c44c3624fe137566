"""A server on a WebSocket, a client of it, and a web page that is refused."""

import trio

from trimcp import HandshakeFailed, Server, open_websocket_client

server = Server("websockets", version="1.0", shutdown_grace=2)


@server.tool
async def hello(name: str) -> str:
    """Say hello."""
    return f"Hello, {name}."


async def main() -> None:
    async with trio.open_nursery() as nursery:
        [(host, port)] = await nursery.start(server.serve_websocket, "127.0.0.1", 0)
        url = f"ws://{host}:{port}/ws"

        async with open_websocket_client(url) as client:
            print((await client.call_tool("hello", {"name": "WebSocket"})).content[0])

        try:
            # A browser says where a page comes from, and the page cannot change it.
            async with open_websocket_client(url, headers={"Origin": "https://evil.example"}):
                print("never")
        except HandshakeFailed as error:
            print("Refused with HTTP status", error.status)

        server.shutdown()


if __name__ == "__main__":
    trio.run(main)
