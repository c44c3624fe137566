"""Errors, made with trimcp."""

import trio

from trimcp import RequestError, Server, ToolError

server = Server("stocks", version="1.0")


@server.tool
async def take(count: int) -> int:
    """Fail with a text for the model."""
    raise ToolError(f"There are not {count} left. Take 3.")


@server.tool
async def stumble() -> int:
    """Fail by mistake."""
    raise KeyError("a secret")


@server.tool
async def close() -> int:
    """Fail with an error for the program that calls."""
    raise RequestError(4711, "It is closed already.", {"since": "Monday"})


if __name__ == "__main__":
    trio.run(server.serve_stdio)
