"""Advice for who cannot connect: in the notes of the exception, and in the line of the command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from trimcp import HTTPStatusError, ProcessDied, RequestError, Server, open_client

if TYPE_CHECKING:
    from pathlib import Path

    import trio


async def test_a_url_without_a_path_is_told_the_usual_one(nursery: trio.Nursery) -> None:
    server = Server("there")
    [url] = await nursery.start(server.serve_http, "127.0.0.1", 0)
    for path, notes in [
        ("", [f"most servers are at {url}/mcp"]),
        ("/", [f"most servers are at {url}/mcp"]),
        ("/elsewhere", []),
    ]:
        with pytest.raises((HTTPStatusError, RequestError)) as caught:
            async with open_client(f"{url}{path}"):
                raise AssertionError("unreachable")
        assert getattr(caught.value, "__notes__", []) == notes


@pytest.mark.parametrize(("text", "has_note"), [("", True), ("raise SystemExit(3)", False)])
async def test_a_program_that_does_not_serve(tmp_path: Path, text: str, has_note: bool) -> None:
    file = tmp_path / "app.py"
    file.write_text(text)
    with pytest.raises(ProcessDied) as caught:
        async with open_client([sys.executable, str(file)]):
            raise AssertionError("unreachable")
    notes = " ".join(getattr(caught.value, "__notes__", []))
    assert ("`if __name__ == '__main__':`" in notes) is has_note
