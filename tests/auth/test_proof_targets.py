"""Which URLs name the same target."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from trimcp.auth._targets import is_same_target

URL = "https://mcp.example/a/mcp"

SAME = [
    (URL, URL),
    (URL, "HTTPS://MCP.Example:443/a/mcp"),
    (URL, "https://mcp.example:/a/mcp"),
    (URL, "https://mcp.example:0443/a/mcp"),
    (URL, f"{URL}?a=b"),
    (URL, f"{URL}#top"),
    (URL, f"{URL}?a=/../b#c?d"),
    (URL, "wss://mcp.example/a/mcp"),
    (URL, "https://mcp.example/a/./b/../mcp"),
    (URL, "https://mcp.example/../a/mcp"),
    (URL, "https://mcp.example/a/m%63p"),
    (URL, "https://mcp.example/a/%2E%2e/a/mcp"),
    ("http://h", "http://h:80/"),
    ("http://h/a/", "http://h/a/."),
    ("http://h/a/", "http://h/a/b/.."),
    ("http://h/%c3%a9", "http://h/%C3%A9"),
    ("http://h/a%2fb", "http://h/a%2Fb"),
    ("ws://[::1]:8000/ws", "http://[::1]:8000/ws"),
    ("http://[::AB]/", "http://[::ab]"),
]

DIFFERENT = [
    (URL, "http://mcp.example/a/mcp"),
    (URL, "https://mcp.example/a/mcp/"),
    (URL, "https://mcp.example/A/mcp"),
    (URL, "https://mcp.example//a/mcp"),
    (URL, "https://mcp.example:8443/a/mcp"),
    (URL, "https://mcp.example.evil/a/mcp"),
    (URL, "https://mcp.example@evil/a/mcp"),
    (URL, "https://user@mcp.example/a/mcp"),
    (URL, "https://mcp.example\\a\\mcp"),
    (URL, "https://mcp.example/a%2Fmcp"),
    (URL, "https:/mcp.example/a/mcp"),
    (URL, "//mcp.example/a/mcp"),
    (URL, "/a/mcp"),
    (URL, ""),
    (URL, f" {URL}"),
    (URL, f"{URL}\n"),
    (URL, f"{URL}?\u00e9"),
    (URL, "https://mcp.ex\u00e4mple/a/mcp"),
    (URL, "https://mcp.example/a/mcp%"),
    ("http://h/%", "http://h/%"),
    ("http://h:x/", "http://h:x/"),
    ("http://h:123456/", "http://h:123456/"),
    ("http:///a", "http:///a"),
    ("http://[::1/", "http://[::1/"),
    ("ftp://h/", "ftp://h/"),
    ("", ""),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same(one: str, other: str) -> None:
    assert is_same_target(one, other)
    assert is_same_target(other, one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_not_the_same(one: str, other: str) -> None:
    assert not is_same_target(one, other)
    assert not is_same_target(other, one)


PIECES = st.text("aB/.%2eE-~:@?#[]\\ \u00e9", max_size=12)


@hypothesis.given(PIECES, PIECES)
def test_any_text(one: str, other: str) -> None:
    """The relation is symmetric, and whatever is the same as something is the same as itself."""
    first, second = f"https://h/{one}", f"https://h/{other}"
    assert is_same_target(first, second) is is_same_target(second, first)
    if is_same_target(first, second):
        assert is_same_target(first, first)
        assert is_same_target(second, second)
    assert is_same_target(one, one) is False


@hypothesis.given(st.lists(st.sampled_from(["a", "..", ".", "", "%2e", "b%2f"]), max_size=8))
def test_segments_of_dots_make_no_difference(segments: list[str]) -> None:
    """They are resolved as they would be by walking."""
    place: list[str] = []
    for each in (each.replace("%2e", ".").replace("%2f", "%2F") for each in segments):
        if each == "..":
            del place[-1:]
        elif each != ".":
            place.append(each)
    last = segments[-1].replace("%2e", ".") if segments else "x"
    if last in (".", ".."):
        place.append("")
    assert is_same_target(f"http://h/{'/'.join(segments)}", f"http://h/{'/'.join(place)}")
