"""Files and directories: what a path names is asked before anything is opened or read."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from trimcp import LimitExceeded, Limits, RegistrationError, RequestError, Server, open_client
from trimcp.server._files import Directory, read_file

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 1000


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that are opened."""
    seen: list[str] = []
    original = os.open

    def recording(path: Any, *args: Any, **kwargs: Any) -> int:
        seen.append(os.fspath(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", recording)
    return seen


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "inside").mkdir(parents=True)
    (root / "inside" / "a.txt").write_text("public")
    (root / "größe und.txt").write_text("odd")
    return root


def test_a_large_file_is_refused_unread(root: Path, opened: list[str]) -> None:
    with open(root / "large", "wb") as file:
        file.truncate(400 * 1024 * 1024)
    directory = Directory.at("x://d", root)
    with pytest.raises(LimitExceeded, match="1000 bytes"):
        directory.read("large", LIMIT)
    with pytest.raises(LimitExceeded):
        read_file(root / "large", "x://f", None, LIMIT)
    assert opened == []


def test_a_file_of_exactly_the_limit_is_read(root: Path) -> None:
    (root / "full").write_bytes(b"x" * LIMIT)
    directory = Directory.at("x://d", root)
    assert len(directory.read("full", LIMIT).text) == LIMIT
    (root / "full").write_bytes(b"x" * (LIMIT + 1))
    with pytest.raises(LimitExceeded):
        directory.read("full", LIMIT)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux only")
def test_a_file_without_a_size_is_bounded_too() -> None:
    path = os.path.realpath("/proc/self/status")
    directory = Directory.at("x://d", os.path.dirname(path))
    assert directory.read("status", 1 << 20).text
    with pytest.raises(LimitExceeded):
        directory.read("status", 10)


def test_what_is_no_regular_file_is_never_opened(root: Path, opened: list[str]) -> None:
    os.mkfifo(root / "pipe")
    (root / "to pipe").symlink_to(root / "pipe")
    (root / "to device").symlink_to("/dev/zero")
    bound = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(root)  # a socket's path must be short
    try:
        bound.bind("socket")
    finally:
        os.chdir(here)
        bound.close()
    directory = Directory.at("x://d", root)
    for name in ("pipe", "to pipe", "to device", "socket"):
        assert directory.read(name, LIMIT) is None
    assert read_file(root / "pipe", "x://f", None, LIMIT) is None
    assert opened == []
    assert {entry["name"] for entry in directory.read("", LIMIT)} == {"inside", "größe und.txt"}


def test_what_took_the_place_of_a_file_is_not_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question and the opening: a pipe without a writer would block for ever."""
    victim = root / "inside" / "a.txt"
    original = os.open

    def swapping(path: Any, *args: Any, **kwargs: Any) -> int:
        victim.unlink()
        os.mkfifo(victim)
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", swapping)
    assert Directory.at("x://d", root).read("inside/a.txt", LIMIT) is None


def test_a_link_that_took_the_place_of_a_file_is_not_followed(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("secret")
    victim = root / "inside" / "a.txt"
    original = os.open

    def swapping(path: Any, *args: Any, **kwargs: Any) -> int:
        victim.unlink()
        victim.symlink_to(tmp_path / "secret")
        return original(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", swapping)
    assert Directory.at("x://d", root).read("inside/a.txt", LIMIT) is None


def test_where_there_is_nothing(root: Path) -> None:
    (root / "loop").symlink_to(root / "loop")
    (root / "one").symlink_to(root / "two")
    (root / "two").symlink_to(root / "one")
    (root / "broken").symlink_to(root / "nowhere")
    directory = Directory.at("x://d", root)
    for path in (
        "n" * 300,
        "n" * 300 + "/a",
        "a/" * 3000,
        "loop",
        "loop/a",
        "one",
        "broken",
        "nowhere",
        "inside/a.txt/b",
        "a\0b",
        "../root/inside/../../x",
    ):
        assert directory.read(path, LIMIT) is None, path[:20]
    assert read_file(root / "loop", "x://f", None, LIMIT) is None


@pytest.mark.parametrize("start", ["", "/", "//", "\\", "./"])
def test_only_a_relative_path_is_read(start: str, root: Path) -> None:
    """An absolute path is refused though it leads inside."""
    directory = Directory.at("x://d", root)
    inside = f"{start}inside/a.txt"
    absolute = f"{start}{root / 'inside' / 'a.txt'}"
    found = directory.read(inside, LIMIT)
    assert (found is not None) is (start in ("", "./"))
    if not start.startswith("."):
        assert directory.read(absolute, LIMIT) is None


def test_odd_names_do_not_break_a_listing(root: Path, tmp_path: Path) -> None:
    try:
        (root / os.fsdecode(b"not\xffutf8")).write_text("x")
    except OSError:
        pytest.skip("this file system has names of UTF-8 only")
    (root / "to it").symlink_to(root / os.fsdecode(b"not\xffutf8"))
    (root / "loop").symlink_to(root / "loop")
    (root / "outside").symlink_to(tmp_path)
    directory = Directory.at("x://d", root)
    listed = {entry["name"]: entry for entry in directory.read("", LIMIT)}
    assert set(listed) == {"inside", "größe und.txt", "to it"}
    assert listed["größe und.txt"]["uri"] == "x://d/gr%C3%B6%C3%9Fe%20und.txt"
    assert directory.read("to it", LIMIT).uri == "x://d/not%FFutf8"


def test_no_directory() -> None:
    for wrong in ("/nowhere/at/all", __file__, "n" * 300):
        with pytest.raises(RegistrationError, match="no directory"):
            Server("s").add_directory("x://d", wrong)
    for wrong in ("/nowhere/at/all", "/dev/null", "n" * 300, "/"):
        with pytest.raises(RegistrationError, match="no file"):
            Server("s").add_file("x://f", wrong)


async def test_over_the_wire(root: Path) -> None:
    server = Server[Any]("s", limits=Limits(message_bytes=5000))
    server.add_directory("x://d", root)
    server.add_file("x://f", root / "inside" / "a.txt")
    os.mkfifo(root / "pipe")
    (root / "large").write_bytes(b"x" * 5001)
    async with open_client(server) as client:
        (listing,) = (await client.read_resource("x://d")).contents
        for entry in ("inside", "gr%C3%B6%C3%9Fe%20und.txt", "large"):
            assert f"x://d/{entry}" in listing.text  # type: ignore[union-attr]
        assert (await client.read_resource("x://d/gr%C3%B6%C3%9Fe%20und.txt")).text == "odd"
        assert (await client.read_resource("x://f")).text == "public"
        for uri, code in (("x://d/pipe", -32602), ("x://d/large", -31001)):
            with pytest.raises(RequestError) as caught:
                await client.read_resource(uri)
            assert caught.value.code == code
        (root / "inside" / "a.txt").unlink()
        os.mkfifo(root / "inside" / "a.txt")
        with pytest.raises(RequestError, match="not found"):
            await client.read_resource("x://f")
