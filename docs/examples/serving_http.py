"""A server over HTTP with an endpoint of its own, in one process or in several.

python docs/examples/serving_http.py workers
"""

import functools
import sys

import httpx2
import trio

from trimcp import HttpRequest, Server

server = Server("web", version="1.0")


@server.tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@server.custom_route("/status", methods=["GET"])
async def status(request: HttpRequest) -> dict[str, int]:
    return {"waiting": server.statistics().parked}


async def main() -> None:
    """Serve at a port that the system chooses, ask for the status, and stop."""
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(server.serve_http, "127.0.0.1", 0)
        async with httpx2.AsyncClient() as http:
            print((await http.get(f"{url}/status")).json())
            print((await http.get(f"{url}/healthz")).text.strip())
        server.shutdown()


if __name__ == "__main__":
    if sys.argv[1:] == ["workers"]:
        trio.run(functools.partial(server.serve_http, port=8000, workers=4))
    else:
        trio.run(main)
