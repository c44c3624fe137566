"""The yardstick: an ASGI application that answers a fixed text, on hypercorn's own trio worker."""

import functools
from typing import Any

import hypercorn.trio
import trio
from hypercorn.config import Config

ANSWER = b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"5"}]}}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, answer."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})


async def main() -> None:
    """Serve, and say at which port."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        serve = functools.partial(hypercorn.trio.serve, app, config, mode="asgi")
        [url] = await nursery.start(serve)
        print(url.rpartition(":")[2], flush=True)


trio.run(main)
