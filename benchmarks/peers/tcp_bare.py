"""What trio itself needs for a connection: a task that reads a line and answers a fixed one.

Usage: `python tcp_bare.py PORT`.
"""

import functools
import sys

import trio

ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"5"}]}}\n'


async def serve(stream: trio.SocketStream) -> None:
    """Answer whatever comes, until the end."""
    async with stream:
        while await stream.receive_some(65536):
            await stream.send_all(ANSWER)


if __name__ == "__main__":
    listen = functools.partial(trio.serve_tcp, serve, int(sys.argv[1]), host="127.0.0.1")
    trio.run(functools.partial(listen, backlog=4096))
