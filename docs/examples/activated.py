"""A server over HTTP on a socket that systemd has opened, and passes on when somebody connects.

Without such a socket it serves on standard input and output.
"""

import os

import trio

from trimcp import Server
from trimcp.transports import listening_on

server = Server("activated", version="1.0")


@server.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def passed_sockets() -> range:
    """The descriptors of the sockets that are meant for this process; see sd_listen_fds(3)."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return range(0)
    first = 3
    sockets = range(first, first + int(os.environ.pop("LISTEN_FDS", "0")))
    for descriptor in sockets:
        # Programs that the tools start do not get them.
        os.set_inheritable(descriptor, False)
    return sockets


async def serve_on(sockets: range) -> None:
    """Serve over HTTP; the host and port are those of the socket."""
    with listening_on(sockets):
        await server.serve_http(allowed_hosts=["localhost", "127.0.0.1", "mcp.example.com"])


if __name__ == "__main__":
    if sockets := passed_sockets():
        trio.run(serve_on, sockets)
    else:
        trio.run(server.serve_stdio)
