"""Caching (2026-07-28)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Context, RequestError, Server
from trimcp.types import ReadResourceResult, TextResourceContents

from .harness import (
    STATELESS,
    Facing,
    Message,
    Sure,
    error,
    every_handshake,
    facing,
    notification,
    result,
    talking,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

HINTS = {"ttlMs", "cacheScope"}
CACHEABLE: dict[str, Message] = {
    "server/discover": {},
    "tools/list": {},
    "prompts/list": {},
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": {"uri": "note://one"},
}
OTHERS: dict[str, Message] = {
    "tools/call": {"name": "nothing"},
    "prompts/get": {"name": "hello"},
}


def library(**options: Any) -> Server[Any]:
    server = Server[Any]("library", **options)

    @server.tool
    async def nothing() -> None:
        """Does nothing."""

    @server.tool
    async def more() -> None:
        """Does nothing either."""

    @server.prompt
    async def hello() -> str:
        return "hello"

    @server.resource("note://one")
    async def one() -> str:
        return "one"

    @server.resource("note://negative", ttl_ms=-5)
    async def negative() -> str:
        return "negative"

    @server.resource("note://whole")
    async def whole() -> ReadResourceResult:
        return ReadResourceResult([TextResourceContents("note://whole", "")], -1, "public")

    @server.resource("note://asking", ttl_ms=5000, cache_scope="public")
    async def asking(ctx: Context) -> str:
        return str((await ctx.elicit("Sure?", Sure)).sure)

    return server


# -- at the server ----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"list_ttl_ms": 5000, "list_scope": "public"}], ids=repr)
async def test_hints(options: dict[str, Any], autojump_clock: MockClock) -> None:
    """CACHE-01, CACHE-02: on every result that may be kept, and on no other."""
    async with talking(library(**options), STATELESS) as script:
        for method, params in CACHEABLE.items():
            answer = (await script.do(method, params))["result"]
            assert type(answer["ttlMs"]) is int
            assert answer["ttlMs"] >= 0
            assert answer["cacheScope"] in ("public", "private")
            if method.endswith("list"):
                assert answer["ttlMs"] == options.get("list_ttl_ms", 0)
        for method, params in OTHERS.items():
            assert not HINTS & (await script.do(method, params))["result"].keys()


async def test_questions_have_no_hints(autojump_clock: MockClock) -> None:
    """CACHE-01: what is only on its way to a result."""
    async with talking(library(), STATELESS, {"elicitation": {}}) as script:
        answer = (await script.do("resources/read", {"uri": "note://asking"}))["result"]
        assert answer["resultType"] == "input_required"
        assert not HINTS & answer.keys()


async def test_what_took_answers_is_nobody_elses(autojump_clock: MockClock) -> None:
    """CACHE-17: whatever the resource says of itself."""
    async with talking(library(), STATELESS, {"elicitation": {}}) as script:
        asking = {"uri": "note://asking"}
        asked = (await script.do("resources/read", asking))["result"]
        [key] = asked["inputRequests"]
        retry = asking | {
            "requestState": asked["requestState"],
            "inputResponses": {key: {"action": "accept", "content": {"sure": True}}},
        }
        answer = (await script.do("resources/read", retry))["result"]
        assert answer["contents"][0]["text"] == "True"
        assert answer["cacheScope"] == "private"


async def test_negative_hints(autojump_clock: MockClock) -> None:
    """CACHE-02: whoever set them."""
    async with talking(library(list_ttl_ms=-1), STATELESS) as script:
        for method, params in (
            ("tools/list", {}),
            ("resources/read", {"uri": "note://negative"}),
            ("resources/read", {"uri": "note://whole"}),
        ):
            assert (await script.do(method, params))["result"]["ttlMs"] == 0


@pytest.mark.parametrize("scope", [None, "public", "private"])
async def test_all_pages_have_one_scope(scope: Any, autojump_clock: MockClock) -> None:
    """CACHE-03."""
    async with talking(library(page_size=1, list_scope=scope), STATELESS) as script:
        first = (await script.do("tools/list"))["result"]
        second = (await script.do("tools/list", {"cursor": first["nextCursor"]}))["result"]
        assert first["cacheScope"] == second["cacheScope"] == (scope or "private")


@every_handshake
async def test_no_hints_in_older_revisions(revision: str, autojump_clock: MockClock) -> None:
    """LIFE-12: which know none."""
    server = library(list_ttl_ms=5, list_scope="public")
    async with talking(server, revision) as script:
        for method, params in (CACHEABLE | OTHERS).items():
            if method != "server/discover":
                assert not HINTS & (await script.do(method, params))["result"].keys()


# -- at the client ----------------------------------------------------------------------------


def note(text: str = "one", **hints: Any) -> Message:
    contents = [{"uri": "note://one", "text": text}]
    return {"resultType": "complete", "contents": contents, **hints}


FRESH: Message = {"ttlMs": 10_000, "cacheScope": "public"}


async def asks(to: Facing, answer: Message, verb: Any, *args: Any) -> Message:
    """A verb that goes to the server; what it asked."""
    call = to.start(verb, *args)
    asked: Message = await to.line.receive()
    await to.line.send(result(asked, answer))
    await call.get()
    return asked


async def is_kept(verb: Any, *args: Any) -> bool:
    """Whether a verb is answered without the server, which says nothing."""
    with trio.move_on_after(0.001):
        await verb(*args)
        return True
    return False


async def heard_nothing(to: Facing) -> bool:
    with trio.move_on_after(0.001):
        await to.line.receive()
        return False
    return True


async def test_fresh_results_are_kept(autojump_clock: MockClock) -> None:
    """CACHE-04, CACHE-05: as long as they say, and not longer."""
    async with facing(STATELESS) as to:
        await asks(to, note(**FRESH), to.client.read_resource, "note://one")
        await trio.sleep(9.9)
        assert (await to.client.read_resource("note://one")).contents[0].uri == "note://one"
        assert await heard_nothing(to)
        await trio.sleep(0.2)
        again = await asks(to, note("two"), to.client.read_resource, "note://one")
        assert again["params"]["uri"] == "note://one"


@pytest.mark.parametrize("hints", [{}, {"ttlMs": 0}, {"ttlMs": -5}, {"ttlMs": -10_000}], ids=repr)
async def test_stale_results_are_not(hints: Message, autojump_clock: MockClock) -> None:
    """CACHE-06, CACHE-07, CACHE-08: zero, absent, or less than nothing."""
    async with facing(STATELESS) as to:
        for _ in range(2):
            await asks(to, note(**hints), to.client.read_resource, "note://one")


async def test_other_requests_have_other_results(autojump_clock: MockClock) -> None:
    """CACHE-09: another URI, another cursor, another method."""
    listed = {"resultType": "complete", "prompts": [], **FRESH}
    async with facing(STATELESS) as to:
        await asks(to, note(**FRESH), to.client.read_resource, "note://one")
        await asks(to, note(**FRESH), to.client.read_resource, "note://two")
        await asks(to, listed, to.client.list_prompts_page)
        await asks(to, listed, to.client.list_prompts_page, "1")
        await asks(to, listed, to.client.list_prompts_page, "")
        await asks(to, listed | {"resources": []}, to.client.list_resources_page)
        assert await is_kept(to.client.list_prompts_page, "1")
        assert await is_kept(to.client.read_resource, "note://two")


async def test_answers_to_questions_are_not_kept(autojump_clock: MockClock) -> None:
    """CACHE-10: a result that took several rounds."""
    async with facing(STATELESS) as to:
        for _ in range(2):
            call = to.start(to.client.read_resource, "note://one")
            question = {"resultType": "input_required", "requestState": "s"}
            await to.line.send(result(await to.line.receive(), question))
            await to.line.send(result(await to.line.receive(), note(**FRESH)))
            await call.get()


async def test_calls_are_not_kept(autojump_clock: MockClock) -> None:
    """CACHE-09: methods that have no hints, whatever their results say."""
    async with facing(STATELESS) as to:
        for _ in range(2):
            answer = {"resultType": "complete", "content": [], **FRESH}
            await asks(to, answer, to.client.call_tool, "x")


async def test_each_page_has_its_own_time(autojump_clock: MockClock) -> None:
    """CACHE-12: the page that has expired is asked for again, by its cursor."""
    async with facing(STATELESS) as to:
        first = {"prompts": [{"name": "a"}], "nextCursor": "1", **FRESH}
        call = to.start(to.client.list_prompts)
        await to.line.send(result(await to.line.receive(), first))
        second = {"prompts": [{"name": "b"}], "ttlMs": 1000, "cacheScope": "public"}
        await to.line.send(result(await to.line.receive(), second))
        await call.get()
        await trio.sleep(2)
        asked = await asks(to, second, to.client.list_prompts)
        assert asked["params"]["cursor"] == "1"


async def test_pages_before_an_invalid_cursor(autojump_clock: MockClock) -> None:
    """CACHE-11: are forgotten, and asked for again."""
    async with facing(STATELESS) as to:
        await asks(to, note(**FRESH), to.client.read_resource, "note://one")
        first = {"prompts": [{"name": "a"}], "nextCursor": "1", **FRESH}
        await asks(to, first, to.client.list_prompts_page)
        call = to.start(to.client.list_prompts)
        asked = await to.line.receive()
        assert asked["params"]["cursor"] == "1"
        await to.line.send(error(asked, -32602, "Invalid cursor"))
        asked = await to.line.receive()
        assert "cursor" not in asked["params"]
        await to.line.send(result(asked, {"prompts": [{"name": "b"}]}))
        assert [each.name for each in await call.get()] == ["b"]
        # What else is kept is not concerned.
        assert await is_kept(to.client.read_resource, "note://one")


async def test_a_cursor_that_is_invalid_at_once(autojump_clock: MockClock) -> None:
    """CACHE-11: a single page is not begun again behind the caller's back."""
    async with facing(STATELESS) as to:
        call = to.start(to.client.list_prompts_page, "x")
        await to.line.send(error(await to.line.receive(), -32602, "Invalid cursor"))
        await call.fails(RequestError)
        assert await heard_nothing(to)


async def test_nobody_polls(autojump_clock: MockClock) -> None:
    """CACHE-13, CACHE-14: what expires is asked for when it is needed, not before."""
    async with facing(STATELESS) as to:
        await asks(to, note(ttlMs=1000), to.client.read_resource, "note://one")
        await trio.sleep(10_000)
        assert await heard_nothing(to)


async def test_a_cache_is_nobody_elses(autojump_clock: MockClock) -> None:
    """CACHE-15: another client asks for itself."""
    for scope in ("private", "public"):
        async with facing(STATELESS) as to, facing(STATELESS) as other:
            hints: Message = {"ttlMs": 10_000, "cacheScope": scope}
            await asks(to, note(**hints), to.client.read_resource, "note://one")
            await asks(other, note(**hints), other.client.read_resource, "note://one")


async def test_a_notification_makes_stale(autojump_clock: MockClock) -> None:
    """CACHE-05: fresh is what the server has not taken back."""
    async with facing(STATELESS) as to:
        listed = {"prompts": [], **FRESH}
        await asks(to, listed, to.client.list_prompts)
        assert await is_kept(to.client.list_prompts)
        await to.line.send(notification("notifications/prompts/list_changed"))
        await trio.testing.wait_all_tasks_blocked()
        await asks(to, listed, to.client.list_prompts)


async def test_a_consistent_snapshot(autojump_clock: MockClock) -> None:
    """CACHE-16: who wants one empties the cache, and the list begins at its beginning."""
    async with facing(STATELESS) as to:
        listed = {"prompts": [], "nextCursor": "1", **FRESH}
        await asks(to, listed, to.client.list_prompts_page)
        await asks(to, {"prompts": [], **FRESH}, to.client.list_prompts_page, "1")
        assert await is_kept(to.client.list_prompts)
        to.client.clear_cache()
        asked = await asks(to, {"prompts": []}, to.client.list_prompts)
        assert "cursor" not in asked["params"]


CHANGES = {
    "tools/list": ("tools/list_changed", "list_tools_page", {"tools": []}),
    "prompts/list": ("prompts/list_changed", "list_prompts_page", {"prompts": []}),
    "resources/list": ("resources/list_changed", "list_resources_page", {"resources": []}),
    "resources/templates/list": (
        *("resources/list_changed", "list_resource_templates_page"),
        {"resourceTemplates": []},
    ),
    "resources/read": ("resources/updated", "read_resource", note()),
}


@pytest.mark.parametrize("method", CHANGES)
async def test_every_change_makes_its_results_stale(method: str, autojump_clock: MockClock) -> None:
    """CACHE-05: and no others."""
    changed, verb, answer = CHANGES[method]
    args = ["note://one"] if method == "resources/read" else []
    async with facing(STATELESS) as to:
        for other, (_, other_verb, other_answer) in CHANGES.items():
            other_args = ["note://one"] if other == "resources/read" else []
            fresh = {"resultType": "complete", **other_answer, **FRESH}
            await asks(to, fresh, getattr(to.client, other_verb), *other_args)
        await to.line.send(notification(f"notifications/{changed}", {"uri": "note://one"}))
        await trio.testing.wait_all_tasks_blocked()
        for other, (other_changed, other_verb, _) in CHANGES.items():
            other_args = ["note://one"] if other == "resources/read" else []
            if other_changed != changed:
                assert await is_kept(getattr(to.client, other_verb), *other_args)
        await asks(to, {"resultType": "complete", **answer}, getattr(to.client, verb), *args)


@pytest.mark.parametrize("method", CHANGES)
async def test_an_answer_that_was_overtaken_is_not_kept(
    method: str, autojump_clock: MockClock
) -> None:
    """CACHE-05: it may have been written before the change that was told while it was awaited."""
    changed, verb, answer = CHANGES[method]
    args = ["note://one"] if method == "resources/read" else []
    fresh = {"resultType": "complete", **answer, **FRESH}
    async with facing(STATELESS) as to:
        call = to.start(getattr(to.client, verb), *args)
        asked = await to.line.receive()
        await to.line.send(notification(f"notifications/{changed}", {"uri": "note://one"}))
        await to.line.send(result(asked, fresh))
        await call.get()
        await asks(to, fresh, getattr(to.client, verb), *args)
        assert await is_kept(getattr(to.client, verb), *args)


async def test_other_changes_do_not_overtake(autojump_clock: MockClock) -> None:
    """CACHE-05: what they do not concern is kept."""
    async with facing(STATELESS) as to:
        call = to.start(to.client.read_resource, "note://one")
        asked = await to.line.receive()
        await to.line.send(notification("notifications/tools/list_changed"))
        await to.line.send(result(asked, note(**FRESH)))
        await call.get()
        assert await is_kept(to.client.read_resource, "note://one")


async def test_clearing_the_cache_concerns_what_is_on_its_way(autojump_clock: MockClock) -> None:
    """CACHE-05: who clears it wants to be told anew."""
    async with facing(STATELESS) as to:
        call = to.start(to.client.read_resource, "note://one")
        asked = await to.line.receive()
        to.client.clear_cache()
        await to.line.send(result(asked, note(**FRESH)))
        await call.get()
        await asks(to, note(**FRESH), to.client.read_resource, "note://one")
