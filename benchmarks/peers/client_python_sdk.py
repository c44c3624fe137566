"""The same with the client of the official Python SDK, as its documentation has it.

Usage: see `client_trimcp.py`.
"""

import json
import sys
import time

import anyio
from mcp import Client, StdioServerParameters
from python_sdk import server


async def caller(client: Client, until: float, counts: list[int]) -> None:
    """Call until then."""
    count = 0
    while time.perf_counter() < until:
        result = await client.call_tool("add", {"a": 2, "b": 3})
        assert result.content[0].text == "5"
        count += 1
    counts.append(count)


async def main() -> None:
    """Connect once, and work line by line."""
    program, *arguments = sys.argv[1:]
    target = (
        server if program == "memory" else StdioServerParameters(command=program, args=arguments)
    )
    async with Client(target) as client:
        print("ready", flush=True)
        for line in sys.stdin:
            at_once, seconds = line.split()
            counts: list[int] = []
            began = time.perf_counter()
            async with anyio.create_task_group() as tasks:
                for _ in range(int(at_once)):
                    tasks.start_soon(caller, client, began + float(seconds), counts)
            took = time.perf_counter() - began
            print(json.dumps({"calls": sum(counts), "seconds": took}), flush=True)


if __name__ == "__main__":
    anyio.run(main)
