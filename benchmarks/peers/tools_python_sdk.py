"""The same with the official Python SDK. Usage: `python tools_python_sdk.py COUNT`."""

import sys

from python_sdk import server


async def other(text: str, number: int = 1) -> str:
    """Another tool."""
    return text * number


if __name__ == "__main__":
    for count in range(int(sys.argv[1]) - 1):
        server.tool(name=f"other_{count}")(other)
    server.run()
