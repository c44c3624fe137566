"""What a client keeps: how much, how long, and what goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from trimcp.client._cache import MAX_BYTES, MAX_ENTRIES, ResponseCache, key_of

if TYPE_CHECKING:
    from trio.testing import MockClock


@attrs.frozen
class Result:
    ttl_ms: Any


def keep(cache: ResponseCache, key: bytes, size: int = 1, ttl_ms: Any = 1000) -> None:
    with cache.asking(key) as asking:
        cache.keep(asking, size, Result(ttl_ms))


async def test_the_least_recently_used_goes_first() -> None:
    cache = ResponseCache()
    keys = [b"%d" % number for number in range(MAX_ENTRIES)]
    for key in keys:
        keep(cache, key)
    assert len(cache) == MAX_ENTRIES
    assert cache.find(keys[0]) is not None, "and is the latest now"
    keep(cache, keys[1])
    keep(cache, b"more")
    keep(cache, b"still more")
    assert len(cache) == MAX_ENTRIES
    kept = [key for key in [*keys, b"more", b"still more"] if cache.find(key) is not None]
    assert kept == [keys[0], keys[1], *keys[4:], b"more", b"still more"]


async def test_what_is_large_is_not_kept() -> None:
    """The key counts, too: it holds what was asked."""
    cache = ResponseCache()
    keep(cache, b"k", MAX_BYTES - 1)
    keep(cache, b"x", MAX_BYTES)
    keep(cache, b"y" * MAX_BYTES, 1)
    assert len(cache) == 1
    assert cache.find(b"k") is not None


@pytest.mark.parametrize("ttl_ms", [None, 0, -1, -(10**400)])
async def test_what_is_stale_at_once_is_not_kept(ttl_ms: Any) -> None:
    cache = ResponseCache()
    keep(cache, b"k", ttl_ms=ttl_ms)
    assert len(cache) == 0


async def test_a_time_without_measure(autojump_clock: MockClock) -> None:
    cache = ResponseCache()
    keep(cache, b"k", ttl_ms=10**400)
    await trio.sleep(10**8)
    assert cache.find(b"k") is not None


async def test_what_has_expired_is_let_go(autojump_clock: MockClock) -> None:
    cache = ResponseCache()
    keep(cache, b"k")
    await trio.sleep(1)
    assert cache.find(b"k") is None
    assert len(cache) == 0


async def test_dropping_chooses_by_key() -> None:
    cache = ResponseCache()
    keep(cache, b"a1")
    keep(cache, b"b1")
    with cache.asking(b"a2") as first, cache.asking(b"b2") as second:
        cache.drop(lambda key: key.startswith(b"a"))
        cache.keep(first, 1, Result(1000))
        cache.keep(second, 1, Result(1000))
    assert [key for key in (b"a1", b"a2", b"b1", b"b2") if cache.find(key)] == [b"b1", b"b2"]


def test_keys_have_one_order() -> None:
    assert key_of("m", {"a": 1, "b": 2}) == key_of("m", {"b": 2, "a": 1})
    assert key_of("m", {"a": 1}) != key_of("m", {"a": 2})
    assert key_of("m", {}) != key_of("n", {})
