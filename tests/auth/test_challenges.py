"""Reading `WWW-Authenticate`, well-formed and other.

Specification: RFC 9110, section 11.6.1; RFC 6750, section 3.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.auth._challenges import Demand, demand_of, parse_scopes
from trimcp.protocol.challenges import Challenge, parse_challenges

URL = "https://mcp.example/.well-known/oauth-protected-resource/mcp"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], []),
        ([""], []),
        (["Bearer"], [("bearer", {})]),
        (['bEARER realm="x"'], [("bearer", {"realm": "x"})]),
        ([f'Bearer resource_metadata="{URL}"'], [("bearer", {"resource_metadata": URL})]),
        # Look-alikes of a parameter's name.
        (['Bearer x_scope="a", scopes="b"'], [("bearer", {"x_scope": "a", "scopes": "b"})]),
        # Commas and quotes within quotes.
        (
            ['Bearer realm="a, Basic b=\\"c\\", scope=d", scope="x y"'],
            [("bearer", {"realm": 'a, Basic b="c", scope=d', "scope": "x y"})],
        ),
        # Several schemes, on one line and on more.
        (
            ['Basic realm="a", Bearer scope=b, DPoP algs="ES256"'],
            [("basic", {"realm": "a"}), ("bearer", {"scope": "b"}), ("dpop", {"algs": "ES256"})],
        ),
        (
            ["Negotiate abc==, Bearer", 'DPoP algs="ES256"'],
            [("negotiate", {}), ("bearer", {}), ("dpop", {"algs": "ES256"})],
        ),
        (["Negotiate, Bearer scope = a"], [("negotiate", {}), ("bearer", {"scope": "a"})]),
        ([", , Bearer , scope=a,,"], [("bearer", {"scope": "a"})]),
        (["Bearer\tscope=a"], [("bearer", {"scope": "a"})]),
        # What says something twice can be read in two ways.
        (['Bearer scope="a", SCOPE="b", Basic realm="x"'], [("basic", {"realm": "x"})]),
        # A flaw ends the line, and what stood before it is kept.
        (['Basic realm="a", Bearer scope="b'], [("basic", {"realm": "a"}), ("bearer", {})]),
        (["Bearer/x scope=a"], []),
        (["scope=a, Bearer"], []),
        (["(comment) Bearer"], []),
    ],
)
def test_challenges(lines: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges(lines) == [Challenge(*each) for each in expected]


def test_only_challenges_for_tokens_demand_one() -> None:
    assert demand_of(["Basic realm=bearer", 'Digest realm="Bearer scope=a"']) == Demand()
    found = demand_of(["Basic realm=x", 'Bearer scope="a b a"'])
    assert found.schemes == {"bearer"}
    assert found.scopes == ("a", "b")


@pytest.mark.parametrize(
    ("sent", "error"), [(None, "a"), ("Bearer x", "a"), ("DPoP x", "b"), ("dpop x", "b")]
)
def test_challenges_for_both_kinds_of_tokens(sent: str | None, error: str) -> None:
    found = demand_of(["Bearer error=a, scope=c", 'DPoP error=b, algs="ES256 PS256"'], sent)
    assert found.schemes == {"bearer", "dpop"}
    assert found.params["error"] == error
    assert found.scopes == ("c",)
    assert found.algorithms == ("ES256", "PS256")


def test_of_each_kind_the_first_challenge_counts() -> None:
    found = demand_of(["Bearer scope=a, DPoP", "Bearer scope=b, error=c"])
    assert found == Demand(frozenset({"bearer", "dpop"}), {"scope": "a"})
    assert found.algorithms is None


@pytest.mark.parametrize(
    ("text", "scopes"),
    [
        ("", ()),
        ("  a   b ", ("a", "b")),
        ('a "b"', ()),
        ("a\\b", ()),
        ("é", ()),
        ("a\tb", ()),
        (" ".join(map(str, range(200))), tuple(map(str, range(200)))),
        (" ".join(map(str, range(201))), ()),
    ],
)
def test_scopes(text: str, scopes: tuple[str, ...]) -> None:
    assert parse_scopes(text) == scopes


def test_no_scope_is_not_the_same_as_none_said() -> None:
    assert Demand().scopes is None
    assert Demand(params={"scope": ""}).scopes is None


TOKENS = st.text("abcXYZ019!#$%&'*+.^_`|~-", min_size=1, max_size=8)
QUOTED = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12)


@given(
    st.lists(
        st.tuples(TOKENS, st.dictionaries(TOKENS.map(str.lower), QUOTED, max_size=4)), max_size=4
    )
)
def test_what_is_written_is_read(challenges: list[tuple[str, dict[str, str]]]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    line = ", ".join(
        f"{scheme} " + ", ".join(f"{name}={quoted(value)}" for name, value in params.items())
        for scheme, params in challenges
    )
    assert parse_challenges([line]) == [
        Challenge(scheme.lower(), params) for scheme, params in challenges
    ]


@given(st.lists(st.text(st.sampled_from(' \t,="\\/aB.é'), max_size=60), max_size=3))
def test_anything_can_be_read(lines: list[str]) -> None:
    for each in parse_challenges(lines):
        assert each.scheme


@pytest.mark.parametrize(
    "pattern", ["a ", "=", "a=", " ", ",", '"', '\\"', "a=b ", 'a="', "a" + "=" * 50 + " ", "Ba "]
)
def test_reading_is_linear(pattern: str) -> None:
    line = "Bearer " + pattern * (16_000 // len(pattern))
    began = time.perf_counter()
    parse_challenges([line])
    assert time.perf_counter() - began < 0.5


def test_a_header_that_is_too_long_is_not_read() -> None:
    assert parse_challenges(['Bearer scope="a"', "Basic " + "x" * 20_000, "Digest"]) == [
        Challenge("bearer", {"scope": "a"})
    ]


def test_many_lines_are_no_longer_than_one() -> None:
    line = "Bearer realm=" + "x" * (4 * 1024 - len("Bearer realm="))
    assert len(parse_challenges([line] * 4)) == 4
    assert len(parse_challenges([line] * 1000)) == 4
