"""What a client keeps: how much, how long, and what goes first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp.client import _cache
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


# -- against a model ------------------------------------------------------------------------------

#: Bounds that a few results reach.
SMALL = {"MAX_ENTRIES": 4, "MAX_BYTES": 60, "TOTAL_BYTES": 125}

#: What each notification makes stale.
CHANGES = {
    "notifications/tools/list_changed": {"tools/list"},
    "notifications/prompts/list_changed": {"prompts/list"},
    "notifications/resources/list_changed": {"resources/list", "resources/templates/list"},
    "notifications/resources/updated": {"resources/read"},
    "notifications/message": set(),
}
METHODS = sorted({"server/discover", *(name for each in CHANGES.values() for name in each)})
KEYS = [f"{method}\n{number}".encode() for method in METHODS for number in range(2)]

KEEP = st.tuples(
    st.just("keep"),
    st.sampled_from(KEYS),
    st.sampled_from([0, 10, 20, 30, 45, 60]),
    st.sampled_from([20_000, 20_000, 10**20, 5_000, 0, -1, None]),
)
STEPS = st.lists(
    # Mostly what fills the cache.
    st.one_of(
        KEEP,
        KEEP.map(lambda step: (*step[:3], 20_000)),
        st.tuples(st.just("keep"), st.sampled_from(KEYS[:4]), st.just(20), st.just(20_000)),
        st.tuples(st.just("find"), st.sampled_from(KEYS)),
        st.tuples(st.just("sleep"), st.integers(1, 20)),
        st.tuples(st.just("change"), st.sampled_from(sorted(CHANGES))),
        st.tuples(st.just("drop"), st.sampled_from(METHODS)) | st.just(("clear",)),
    ),
    min_size=10,
    max_size=60,
)


@attrs.define
class Model:
    """What is kept, the least recently used first: key, size with the key, end, mark."""

    kept: list[tuple[bytes, int, float, object]] = attrs.field(factory=list)

    def keep(self, key: bytes, size: int, ttl_ms: int | None, mark: object) -> None:
        size += len(key)
        if not ttl_ms or ttl_ms < 0 or size > SMALL["MAX_BYTES"]:
            return
        self.drop({key})
        self.kept.append((key, size, trio.current_time() + min(ttl_ms, 10**12) / 1000, mark))
        while (
            len(self.kept) > SMALL["MAX_ENTRIES"]
            or sum(size for _, size, _, _ in self.kept) > SMALL["TOTAL_BYTES"]
        ):
            self.kept.pop(0)

    def find(self, key: bytes) -> object:
        for each in self.kept:
            if each[0] == key:
                self.kept.remove(each)
                if trio.current_time() < each[2]:
                    self.kept.append(each)
                    return each[3]
        return None

    def drop(self, keys: set[bytes]) -> None:
        self.kept = [each for each in self.kept if each[0] not in keys]


@given(STEPS)
def test_what_is_kept_is_what_fits_the_least_recently_used_goes_first(steps: list[Any]) -> None:
    """Size, count, order, time and changes together."""

    async def main() -> None:
        cache, model = ResponseCache(), Model()
        for name, *arguments in steps:
            if name == "keep":
                key, size, ttl_ms = arguments
                result = Result(ttl_ms)
                with cache.asking(key) as asking:
                    cache.keep(asking, size, result)
                model.keep(key, size, ttl_ms, result)
            elif name == "find":
                found = cache.find(arguments[0])
                assert model.find(arguments[0]) is (None if found is None else found.result)
            elif name == "sleep":
                await trio.sleep(arguments[0])
            elif name == "clear":
                cache.drop()
                model.kept.clear()
            elif name == "drop":
                cache.drop_method(arguments[0])
                model.drop({key for key in KEYS if key.startswith(f"{arguments[0]}\n".encode())})
            else:
                cache.note_change(arguments[0])
                stale = CHANGES[arguments[0]]
                model.drop({key for key in KEYS if key.decode().partition("\n")[0] in stale})
            assert len(cache) == len(model.kept)
        for key in KEYS:
            found = cache.find(key)
            assert model.find(key) is (None if found is None else found.result)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(_cache, name, value)
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
