"""A server as a child process, and what one learns when it dies."""

import os
import sys
from typing import NoReturn

import trio

from trimcp import ProcessDied, Server, open_stdio_client

server = Server("child", version="1.0")


@server.tool
async def where() -> str:
    """Tell what the process knows of its surroundings."""
    return f"{os.environ['GREETING']} from {os.getcwd()}"


@server.tool
async def crash() -> NoReturn:
    """End the process in the middle of a call."""
    print("something is very wrong", file=sys.stderr, flush=True)
    os._exit(3)


async def main() -> None:
    command = [sys.executable, __file__, "serve"]
    complaints: list[str] = []
    try:
        async with open_stdio_client(
            command,
            env={"GREETING": "Greetings"},
            cwd="/",
            grace=1.0,
            on_stderr=complaints.append,
        ) as client:
            print((await client.call_tool("where")).content[0])
            await client.call_tool("crash")
    except ProcessDied as error:
        print("The server died with status", error.returncode)


if __name__ == "__main__":
    trio.run(server.serve_stdio if "serve" in sys.argv else main)
