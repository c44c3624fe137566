"""The trimcp client against `server-filesystem`, the reference server that reads and writes files.

It is made with the first generation of the TypeScript SDK, so it knows the handshake era only.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from trimcp import Client, ProcessDied, RequestError, open_stdio_client
from trimcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    TextContent,
)

from .conftest import HERE, NODE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("node_modules")

FILESYSTEM = HERE / "node_modules/@modelcontextprotocol/server-filesystem/dist/index.js"


@attrs.define
class Stderr:
    """What the server says on standard error, where it tells that it has the roots."""

    lines: list[str] = attrs.field(factory=list)
    arrived: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def hear(self, line: str) -> None:
        self.lines.append(line)
        self.arrived.unpark_all()

    async def wait_for(self, start: str) -> None:
        while not any(line.startswith(start) for line in self.lines):
            await self.arrived.park()


@asynccontextmanager
async def opened(
    *directories: Path, stderr: Stderr | None = None, **options: Any
) -> AsyncIterator[Client]:
    """A client; a server that would not end by itself would hold up the test until it fails."""
    command = [str(NODE), str(FILESYSTEM), *map(str, directories)]
    hear = (stderr or Stderr()).hear
    with trio.fail_after(60):
        async with open_stdio_client(command, grace=120, on_stderr=hear, **options) as client:
            # Listed tools are checked against their output schemas; all of these have one.
            tools = await client.list_tools()
            assert all(tool.output_schema is not None for tool in tools)
            yield client


async def call(client: Client, name: str, **arguments: Any) -> str:
    """The text of a result that is no error, and that says the same as its structure."""
    result = await client.call_tool(name, arguments)
    text = text_of(result)
    assert not result.is_error, text
    assert result.structured_content == {"content": text}
    return text


async def refusal(client: Client, name: str, **arguments: Any) -> str:
    """The text of a result that is an error."""
    result = await client.call_tool(name, arguments)
    assert result.is_error
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def allowed(client: Client) -> list[str]:
    """The directories that the server is ready to touch."""
    return (await call(client, "list_allowed_directories")).splitlines()[1:]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An allowed directory; beside it is one that is not."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "a.txt").write_text("one\ntwo żółć\nthree\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("secret")
    return home


async def test_identity(home: Path) -> None:
    async with opened(home) as client:
        assert client.revision == "2025-11-25"
        assert client.server_info is not None
        assert client.server_info.name == "secure-filesystem-server"
        assert client.capabilities.tools is not None
        assert client.capabilities.resources is None
        await client.ping()
        tools = {tool.name: tool for tool in await client.list_tools()}
        assert {"read_text_file", "write_file", "list_directory", "edit_file"} <= set(tools)
        reads, writes = tools["read_text_file"].annotations, tools["write_file"].annotations
        assert reads is not None
        assert writes is not None
        assert (reads.read_only_hint, writes.read_only_hint) == (True, False)
        assert writes.destructive_hint is True


async def test_reading(home: Path) -> None:
    path = str(home / "a.txt")
    async with opened(home) as client:
        assert await allowed(client) == [str(home)]
        assert await call(client, "list_directory", path=str(home)) == "[FILE] a.txt"
        assert await call(client, "read_text_file", path=path) == "one\ntwo żółć\nthree\n"
        assert await call(client, "read_text_file", path=path, head=1) == "one"
        size = (home / "a.txt").stat().st_size
        assert f"size: {size}\n" in await call(client, "get_file_info", path=path)
        assert await call(client, "search_files", path=str(home), pattern="*.txt") == path


async def test_media(home: Path) -> None:
    """The bytes of a file as the kind of content that its name promises."""
    data = bytes(range(256))
    for name in ("a.png", "a.wav", "a.bin"):
        (home / name).write_bytes(data)

    async with opened(home) as client:

        async def media(name: str) -> Any:
            result = await client.call_tool("read_media_file", {"path": str(home / name)})
            (block,) = result.content
            assert not result.is_error
            return block

        image, sound, other = [await media(name) for name in ("a.png", "a.wav", "a.bin")]
    assert isinstance(image, ImageContent)
    assert (image.mime_type, base64.b64decode(image.data)) == ("image/png", data)
    assert isinstance(sound, AudioContent)
    assert (sound.mime_type, base64.b64decode(sound.data)) == ("audio/wav", data)
    assert isinstance(other, EmbeddedResource)
    assert isinstance(other.resource, BlobResourceContents)
    assert other.resource.uri == (home / "a.bin").as_uri()
    assert base64.b64decode(other.resource.blob) == data


async def test_writing(home: Path) -> None:
    new, moved, inner = home / "new.txt", home / "moved.txt", home / "x" / "y"
    async with opened(home) as client:
        await call(client, "write_file", path=str(new), content="zażółć\n\U0001f389\n")
        assert new.read_text() == "zażółć\n\U0001f389\n"

        edits = [{"oldText": "zażółć", "newText": "gęślą"}]
        diff = await call(client, "edit_file", path=str(new), edits=edits, dryRun=True)
        assert "-zażółć\n+gęślą\n" in diff
        assert new.read_text().startswith("zażółć")
        await call(client, "edit_file", path=str(new), edits=edits)
        assert new.read_text() == "gęślą\n\U0001f389\n"

        await call(client, "move_file", source=str(new), destination=str(moved))
        assert moved.exists()
        assert not new.exists()

        await call(client, "create_directory", path=str(inner))
        assert inner.is_dir()
        tree = json.loads(await call(client, "directory_tree", path=str(home)))
        assert sorted(entry["name"] for entry in tree) == ["a.txt", "moved.txt", "x"]


async def test_large_file(home: Path) -> None:
    """More than pipes and buffers hold, both ways, beside small calls."""
    text = "zażółć gęślą jaźń\n" * 100_000
    large = str(home / "large.txt")
    async with opened(home) as client:
        await call(client, "write_file", path=large, content=text)
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                assert await call(client, "read_text_file", path=large) == text

            for _ in range(3):
                nursery.start_soon(read)
                nursery.start_soon(allowed, client)


async def test_outside_is_refused(home: Path) -> None:
    secret = home.parent / "outside" / "secret.txt"
    (home / "link.txt").symlink_to(secret)
    async with opened(home) as client:
        for path in (secret, home / ".." / "outside" / "secret.txt", home / "link.txt"):
            assert "Access denied" in await refusal(client, "read_text_file", path=str(path))
            assert "Access denied" in await refusal(
                client, "write_file", path=str(path), content="mine"
            )
        assert "Access denied" in await refusal(client, "list_directory", path=str(home.parent))
        paths = [str(home / "a.txt"), str(secret)]
        both = await call(client, "read_multiple_files", paths=paths)
        assert "two żółć" in both
        assert f"{secret}: Error - Access denied" in both
    assert secret.read_text() == "secret"


async def test_errors(home: Path) -> None:
    """Of tools: results. Of the protocol: errors. The server goes on."""
    path = str(home / "a.txt")
    async with opened(home) as client:
        assert "ENOENT" in await refusal(client, "read_text_file", path=str(home / "none"))
        flaw = await refusal(client, "read_text_file", path=path, head=1, tail=1)
        assert "head and tail" in flaw
        edits = [{"oldText": "nowhere in it", "newText": ""}]
        assert "exact match" in await refusal(client, "edit_file", path=path, edits=edits)
        assert "expected string" in await refusal(client, "write_file", path=path)
        assert "no_such_tool" in await refusal(client, "no_such_tool")
        for method in ("resources/list", "prompts/list", "no/such/method"):
            with pytest.raises(RequestError) as caught:
                await client.request(method)
            assert caught.value.code == -32601
        assert await call(client, "list_directory", path=str(home)) == "[FILE] a.txt"


# -- roots ------------------------------------------------------------------------------------


async def test_roots(home: Path) -> None:
    """The client's roots take the place of the command's directories, and may change."""
    first, second = home.parent / "first żółć", home.parent / "second"
    found: list[Any] = [first]
    for root in (first, second):
        root.mkdir()
    stderr = Stderr()

    async def roots() -> list[Any]:
        return found

    async with opened(home, stderr=stderr, roots=roots) as client:
        await stderr.wait_for("Updated allowed directories from MCP roots: 1")
        assert await allowed(client) == [str(first)]
        assert "Access denied" in await refusal(client, "list_directory", path=str(home))
        await call(client, "write_file", path=str(first / "a.txt"), content="a")
        assert (first / "a.txt").read_text() == "a"

        found[:] = [first, second.as_uri()]
        await client.notify_roots_changed()
        await stderr.wait_for("Updated allowed directories from MCP roots: 2")
        assert await allowed(client) == [str(first), str(second)]


async def test_roots_only(home: Path) -> None:
    stderr = Stderr()
    async with opened(stderr=stderr, roots=[home]) as client:
        await stderr.wait_for("Updated allowed directories from MCP roots: 1")
        assert await call(client, "list_directory", path=str(home)) == "[FILE] a.txt"


async def test_roots_that_do_not_exist(home: Path) -> None:
    """They are passed over, and the command's directories stay."""
    stderr = Stderr()
    async with opened(home, stderr=stderr, roots=[home / "nowhere"]) as client:
        await stderr.wait_for("No valid root directories")
        assert await allowed(client) == [str(home)]


async def test_nothing_allowed(home: Path) -> None:
    async with opened() as client:
        assert await allowed(client) == []
        assert "Access denied" in await refusal(client, "list_directory", path=str(home))


async def test_server_that_cannot_start(home: Path) -> None:
    with pytest.raises(ProcessDied, match="None of the specified directories") as caught:
        async with opened(home / "nowhere"):
            pass
    assert caught.value.returncode == 1


def test_the_command_line_hands_over_its_roots(home: Path) -> None:
    """The server asks when it likes; the first call is not refused all the same."""
    words = ["call", "--output", "text", "--root", str(home), "list_directory", f"path={home}"]
    done = subprocess.run(
        [sys.executable, "-m", "trimcp", *words, "--", str(NODE), str(FILESYSTEM)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[FILE] a.txt\n", "")
