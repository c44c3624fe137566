"""FastMCP's client against our server: prints in JSON what it saw.

Usage: ``python fastmcp_client.py URL``, or ``python fastmcp_client.py COMMAND ARGUMENT...``
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError


async def main(command: list[str]) -> dict[str, Any]:
    """Do a little of everything."""
    is_url = command[0].startswith("http")
    target = command[0] if is_url else StdioTransport(command=command[0], args=command[1:])
    seen: list[float] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        seen.append(done)

    async def agree(message: str, form: Any, params: Any, context: Any) -> Any:
        return form(ok=True)

    async with Client(target, progress_handler=progress, elicitation_handler=agree) as client:
        told: dict[str, Any] = {"tools": [tool.name for tool in await client.list_tools()]}
        told["add"] = (await client.call_tool("add", {"a": 2, "b": 3})).data
        told["ask"] = (await client.call_tool("ask")).content[0].text
        await client.call_tool("countdown", {"steps": 3})
        told["progress"] = seen
        try:
            await client.call_tool("fail")
        except ToolError as error:
            told["fail"] = str(error)
    return told


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1:]))))
