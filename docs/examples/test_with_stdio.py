"""Testing a script as the process that it will be."""

import sys
from pathlib import Path

import pytest

from trimcp import ProcessDied, open_stdio_client

SCRIPT = """
import os
import trio
from trimcp import Server

server = Server("test server")

@server.resource("test://data")
def test_resource() -> str:
    return "test data"

@server.tool
async def crash() -> None:
    os._exit(3)

if __name__ == "__main__":
    trio.run(server.serve_stdio)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "test_script.py"
    path.write_text(SCRIPT)
    return path


async def test_stdio_client(script: Path) -> None:
    async with open_stdio_client([sys.executable, str(script)]) as client:
        read = await client.read_resource("test://data")
        assert read.text == "test data"


async def test_a_crash(script: Path) -> None:
    with pytest.raises(ProcessDied) as caught:
        async with open_stdio_client([sys.executable, str(script)]) as client:
            await client.call_tool("crash")
    assert caught.value.returncode == 3
