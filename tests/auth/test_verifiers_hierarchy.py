"""Scopes that include others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.auth._hierarchy import ScopeHierarchy

NAMES = st.sampled_from("abcdef")
IMPLIED = st.dictionaries(NAMES, st.frozensets(NAMES))


def test_over_several_steps() -> None:
    scopes = ScopeHierarchy({"admin": {"files:write"}, "files:write": {"files:read"}})
    assert scopes.expand(["admin"]) == {"admin", "files:write", "files:read"}
    assert scopes.expand({"files:write", "x"}) == {"files:write", "files:read", "x"}
    assert scopes.expand(["files:read"]) == {"files:read"}
    assert scopes.expand([]) == frozenset()
    assert ScopeHierarchy().expand(["a"]) == {"a"}


def test_one_string_is_refused() -> None:
    with pytest.raises(TypeError, match="'admin'"):
        ScopeHierarchy({"admin": "files"})


@given(IMPLIED, st.frozensets(NAMES))
def test_closed_and_no_more(implied: dict[str, frozenset[str]], scopes: frozenset[str]) -> None:
    found = ScopeHierarchy(implied).expand(scopes)
    assert scopes <= found
    for each in found:
        assert implied.get(each, frozenset()) <= found
    # Each comes from somewhere: the smallest such set is the one that is built step by step.
    built = set(scopes)
    for _ in range(len(found)):
        built |= set().union(*(implied.get(each, frozenset()) for each in built))
    assert found == built


def test_a_long_chain() -> None:
    chain = {f"s{number}": {f"s{number + 1}"} for number in range(300)}
    assert len(ScopeHierarchy(chain).expand(["s0"])) == 301
