"""A client of trimcp that calls `add` as fast as it can.

Usage: `python client_trimcp.py memory`, or a server's command. Each line of the input says how many
calls are open at once, and for how many seconds; the answer, in JSON, how many were answered.
"""

import json
import sys
import time

import trio
from trimcp_server import server

from trimcp import Client, open_client, open_stdio_client


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
    command = sys.argv[1:]
    opening = open_client(server) if command == ["memory"] else open_stdio_client(command)
    async with opening as client:
        print("ready", flush=True)
        for line in sys.stdin:
            at_once, seconds = line.split()
            counts: list[int] = []
            began = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for _ in range(int(at_once)):
                    nursery.start_soon(caller, client, began + float(seconds), counts)
            took = time.perf_counter() - began
            print(json.dumps({"calls": sum(counts), "seconds": took}), flush=True)


if __name__ == "__main__":
    trio.run(main)
