"""What every program shares: its command line, and signs of life on standard error."""

from __future__ import annotations

import argparse
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp import Server


def arguments() -> argparse.Namespace:
    """`DOOR [--path PATH] [--grace SECONDS] [--eof-grace SECONDS]`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("door", choices=["stdio", "tcp", "unix", "websocket", "http"])
    parser.add_argument("--path")
    parser.add_argument("--grace", type=float)
    parser.add_argument("--eof-grace", type=float, default=5.0)
    return parser.parse_args()


def say(text: str) -> None:
    """A line on standard error, at once."""
    print(text, file=sys.stderr, flush=True)


@asynccontextmanager
async def noted_lifespan(server: Server[Any]) -> AsyncIterator[None]:
    """A lifespan that says when it is left."""
    try:
        yield
    finally:
        say("lifespan left")


async def serve(server: Server[Any], options: argparse.Namespace) -> None:
    """Open the door that the command line names, and say where it is."""
    async with trio.open_nursery() as nursery:
        if options.door == "stdio":
            await nursery.start(server.serve_stdio)
            say("listening")
        elif options.door == "tcp":
            [(_, port)] = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
            say(f"listening {port}")
        elif options.door == "websocket":
            [(_, port)] = await nursery.start(server.serve_websocket, "127.0.0.1", 0)
            say(f"listening {port}")
        elif options.door == "http":
            [url] = await nursery.start(server.serve_http, "127.0.0.1", 0)
            say(f"listening {url.rpartition(':')[2]}")
        else:
            await nursery.start(server.serve_unix, options.path)
            say("listening")
