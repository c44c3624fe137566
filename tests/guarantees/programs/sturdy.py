"""A server for bad input: it answers, and says how much memory it has ever needed."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path
from typing import Any

import trio

from tests.guarantees.programs.doors import arguments, serve
from trimcp import Server

server: Server[None] = Server("sturdy")


@server.tool
async def echo(value: Any) -> str:
    """Gives back what it got, as text."""
    return repr(value)


@server.tool
async def hang() -> str:
    """Never ends by itself."""
    await trio.sleep_forever()
    return "never"


@server.tool
def peak() -> int:
    """The most memory that the process ever had, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():
        # Where it exists: `getrusage` also counts what the parent had before the exec.
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) // 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used // (1024 * 1024 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    trio.run(serve, server, arguments())
