"""The same server with the official Python SDK, on hypercorn's trio worker too."""

import functools

import hypercorn.trio
import trio
from hypercorn.config import Config
from python_sdk import server


async def main() -> None:
    """Serve, and say at which port."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        app = server.streamable_http_app()
        serve = functools.partial(hypercorn.trio.serve, app, config, mode="asgi")
        [url] = await nursery.start(serve)
        print(url.rpartition(":")[2], flush=True)


trio.run(main)
