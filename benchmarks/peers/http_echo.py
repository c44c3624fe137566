"""The yardstick of HTTP: an ASGI application that answers a fixed text, on the same HTTP server.

Usage: `python http_echo.py PORT`. No protocol, no tool, no JSON.
"""

import functools
import sys
from typing import Any

import trio

from trimcp import Server

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


if __name__ == "__main__":
    serve = functools.partial(Server("echo").serve_http, "127.0.0.1", int(sys.argv[1]), app=app)
    trio.run(serve)
