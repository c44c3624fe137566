"""The server under test, over HTTP."""

import trio
from trimcp_server import server

from trimcp import Limits

server.limits = Limits(connections=5000, http_sessions=5000)


async def main() -> None:
    """Serve, and say at which port."""
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(server.serve_http, "127.0.0.1", 0)
        print(url.rpartition(":")[2], flush=True)


trio.run(main)
