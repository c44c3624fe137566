"""One server on a TCP port and on a Unix socket, and a client of each."""

import tempfile
from pathlib import Path

import trio

from trimcp import Server, open_tcp_client, open_unix_client

server = Server("sockets", version="1.0", shutdown_grace=2)


@server.tool
async def hello(name: str) -> str:
    """Say hello."""
    return f"Hello, {name}."


@server.tool
async def stop() -> str:
    """Shut the server down. This call is in flight, so it is still answered."""
    server.shutdown()
    return "Stopping."


async def serve(directory: Path) -> None:
    path = directory / "server.sock"
    async with server.application(), trio.open_nursery() as nursery:
        [(host, port)] = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
        await nursery.start(server.serve_unix, path)

        async with open_tcp_client(host, port) as client:
            print((await client.call_tool("hello", {"name": "TCP"})).content[0])
        async with open_unix_client(path) as client:
            print((await client.call_tool("hello", {"name": "Unix"})).content[0])
            print((await client.call_tool("stop")).content[0])
    print("The socket is gone:", not path.exists())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        trio.run(serve, Path(directory))
