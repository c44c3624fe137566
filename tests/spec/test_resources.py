"""Resources."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import RegistrationError, ResourceNotFound, Server
from trimcp.types import BlobResourceContents

from .harness import STATELESS, both_eras, code_of, every_revision, facing, result, talking

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

BYTES = bytes(range(256))


def example() -> Server[Any]:
    server = Server[Any]("example")

    @server.resource("note://all")
    async def everything() -> str:
        return "all"

    @server.resource("note://{number}")
    async def note(number: int) -> str:
        if number > 9:
            raise ResourceNotFound(f"note://{number}")
        return f"note {number}"

    @server.resource("picture://one", mime_type="image/png")
    async def picture() -> bytes:
        return BYTES

    @server.resource("bad://one")
    async def bad() -> str:
        raise ZeroDivisionError("secret")

    return server


@every_revision
async def test_reading(revision: str, autojump_clock: MockClock) -> None:
    """RES-08: by its URI, or by one of its template."""
    async with talking(example(), revision) as script:
        for uri, text in (("note://all", "all"), ("note://5", "note 5")):
            answer = (await script.do("resources/read", {"uri": uri}))["result"]
            assert answer["contents"] == [{"uri": uri, "mimeType": "text/plain", "text": text}]


@every_revision
async def test_no_such_resource(revision: str, autojump_clock: MockClock) -> None:
    """RES-04, RES-05, RES-07: the code of the revision, with the URI; never an empty list."""
    expected = -32602 if revision == STATELESS else -32002
    async with talking(example(), revision) as script:
        for uri in ("note://", "note://x", "note://10", "none://one", "", "all", "note://5/6"):
            answer = await script.do("resources/read", {"uri": uri})
            assert code_of(answer) == expected
            assert answer["error"]["data"] == {"uri": uri}


@every_revision
async def test_internal_errors(revision: str, autojump_clock: MockClock) -> None:
    """RES-06: say nothing more."""
    async with talking(example(), revision) as script:
        answer = await script.do("resources/read", {"uri": "bad://one"})
        assert code_of(answer) == -32603
        assert "secret" not in answer["error"]["message"]


@pytest.mark.parametrize("uri", [None, 5, ["note://all"], {}], ids=repr)
@both_eras
async def test_what_is_no_uri(revision: str, uri: Any, autojump_clock: MockClock) -> None:
    """RES-08."""
    async with talking(example(), revision) as script:
        assert code_of(await script.do("resources/read", {"uri": uri})) == -32602


@both_eras
async def test_binary_contents(revision: str, autojump_clock: MockClock) -> None:
    """RES-11: in base64, and back again."""
    async with talking(example(), revision) as script:
        answer = (await script.do("resources/read", {"uri": "picture://one"}))["result"]
        [contents] = answer["contents"]
        assert contents["mimeType"] == "image/png"
        assert base64.b64decode(contents["blob"], validate=True) == BYTES
    async with facing(revision) as to:
        call = to.start(to.client.read_resource, "picture://one")
        await to.line.send(result(await to.line.receive(), {"contents": [contents]}))
        [got] = (await call.get()).contents
        assert isinstance(got, BlobResourceContents)
        assert base64.b64decode(got.blob) == BYTES


ESCAPES = [
    "files://all/../secret.txt",
    "files://all/%2e%2e/secret.txt",
    "files://all/..%2fsecret.txt",
    "files://all/%2e%2e%2fsecret.txt",
    "files://all/inside/../../secret.txt",
    "files://all//etc/passwd",
    "files://all/%2fetc%2fpasswd",
    "files://all/link",
    "files://all/link/deep.txt",
    "files://all/..",
    "files://all/a%00b",
    "files://all/..\\secret.txt",
]


@pytest.mark.parametrize("uri", ESCAPES)
async def test_paths_do_not_escape(uri: str, tmp_path: Path) -> None:
    """RES-09: by dots, encoded or not, by being absolute, or through a link."""
    root = tmp_path / "root"
    (root / "inside").mkdir(parents=True)
    (root / "inside" / "a.txt").write_text("public")
    (tmp_path / "secret.txt").write_text("secret")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "deep.txt").write_text("secret")
    (root / "link").symlink_to(outside)
    server = Server[Any]("files")
    server.add_directory("files://all", root)
    async with talking(server, STATELESS) as script:
        good = await script.do("resources/read", {"uri": "files://all/inside/a.txt"})
        assert good["result"]["contents"][0]["text"] == "public"
        answer = await script.do("resources/read", {"uri": uri})
        assert code_of(answer) == -32602


@pytest.mark.parametrize("uri", ["note", "no scheme", "1a:b", "a b:c", "note://a b", ":x", ""])
def test_uris_that_will_not_do(uri: str) -> None:
    """RES-12: a scheme and a colon, and no spaces."""
    server = Server[Any]("example")

    async def read() -> str:
        return ""

    with pytest.raises(RegistrationError):
        server.resource(uri)(read)


@pytest.mark.parametrize("uri", ["a:", "urn:isbn:1", "x-my+scheme.1://a/b?c#d", "file:///a"])
def test_uris_that_will_do(uri: str) -> None:
    """RES-12."""
    server = Server[Any]("example")

    async def read() -> str:
        return ""

    server.resource(uri)(read)
    assert server.resources.find(uri) is not None


@both_eras
async def test_the_lists_are_the_same_for_all(revision: str, autojump_clock: MockClock) -> None:
    """RES-03, PROM-03: for every connection, whatever was read."""
    server = example()

    @server.prompt
    async def review(code: str) -> str:
        return code

    methods = ("resources/list", "resources/templates/list", "prompts/list")
    async with (
        server.application(signals=False),
        talking(server, revision) as first,
        talking(server, revision, {"roots": {}}) as second,
    ):
        before = [(await first.do(method))["result"] for method in methods]
        await first.do("resources/read", {"uri": "note://all"})
        await first.do("prompts/get", {"name": "review", "arguments": {"code": "x"}})
        for script in (first, second):
            assert [(await script.do(method))["result"] for method in methods] == before
        assert len(before[0]["resources"]) == 3
        assert len(before[1]["resourceTemplates"]) == 1
        assert len(before[2]["prompts"]) == 1
