"""`trimcp read`."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from .harness import COMMAND, environment, is_one_line, run, run_here, screen
from .servers import Modest

if TYPE_CHECKING:
    from pathlib import Path

REVISIONS = ["2025-11-25", "2026-07-28"]


def raw(*words: str) -> tuple[int, bytes]:
    """The status and the bytes that `read --output raw` prints."""
    done = subprocess.run(
        [*COMMAND, "read", "--output", "raw", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(),
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("revision", REVISIONS)
def test_programs_get_json(library_address: str, revision: str) -> None:
    done = run_here("read", "--revision", revision, library_address, "book://cover")
    assert (done.returncode, done.stderr) == (0, "")
    (contents,) = json.loads(done.stdout)["contents"]
    assert contents == {"uri": "book://cover", "mimeType": "image/png", "blob": "iVBOR/8A"}


def test_text_is_printed_as_it_is(library_address: str) -> None:
    done = run("read", "--output", "text", library_address, "book://rules")
    assert (done.returncode, done.stdout, done.stderr) == (0, "# Rules\nNo ä noise.\n", "")


def test_a_line_about_everything_else(library_address: str) -> None:
    with screen("read", library_address, "book://both") as terminal:
        assert terminal.finish() == 0
    assert terminal.lines == ["one", "[resource: book://both/2, 5 bytes]", "three", ""]
    with screen("read", library_address, "book://cover") as terminal:
        assert terminal.finish() == 0
    assert terminal.lines == ["[resource: book://cover, image/png, 6 bytes]", ""]


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        ("book://cover", b"\x89PNG\xff\x00"),
        ("book://rules", "# Rules\nNo ä noise.".encode()),
        ("book://both", b"one\nhellothree"),
    ],
)
def test_raw_bytes(library_address: str, uri: str, data: bytes) -> None:
    assert raw(library_address, uri) == (0, data)


def test_a_template(library_address: str) -> None:
    assert raw(library_address, "shelf://3") == (0, b"shelf 3")


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.parametrize("uri", ["book://nowhere", "shelf://12"])
def test_an_unknown_uri_is_one_line(library_address: str, revision: str, uri: str) -> None:
    done = run_here("read", "--revision", revision, library_address, uri)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_line(done.stderr)
    assert done.stderr.startswith(f"trimcp: Resource not found: {uri}")


def test_a_server_without_resources_is_not_asked(tmp_path: Path) -> None:
    modest = Modest(tmp_path, {"tools": {}}, {})
    done = run_here("read", "x://1", "--", *modest.command)
    assert (done.returncode, done.stderr) == (1, "trimcp: the server has no resources at all\n")
    assert modest.asked == []


def test_bytes_that_are_none(tmp_path: Path) -> None:
    contents = {"contents": [{"uri": "x://1", "blob": "aGVs*bG8="}]}
    modest = Modest(tmp_path, {"resources": {}}, {"resources/read": contents})
    done = run_here("read", "--output", "raw", "x://1", "--", *modest.command)
    assert (done.returncode, done.stdout) == (1, "")
    assert is_one_line(done.stderr)
    assert done.stderr.startswith("trimcp: x://1 is not in base64: ")


@pytest.mark.parametrize("revision", REVISIONS)
def test_questions_are_answered(library_address: str, revision: str) -> None:
    words = ("--revision", revision, "--answer", "name=Ada", library_address, "book://mine")
    assert run_here("read", "--output", "text", *words).stdout == "The book of Ada\n"
