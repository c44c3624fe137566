"""Pagination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import LimitExceeded, Limits, RequestError, RequestTimeout, Server

from .harness import (
    HANDSHAKE,
    STATELESS,
    Message,
    both_eras,
    code_of,
    error,
    every_revision,
    facing,
    request,
    result,
    talking,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}


def library(size: int | None) -> Server[Any]:
    """Seven of everything."""
    server = Server[Any]("library", page_size=size)

    async def plain() -> str:
        return ""

    async def named(name: str) -> str:
        return name

    for number in range(7):
        server.tool(name=f"{number}")(plain)
        server.prompt(name=f"{number}")(plain)
        server.resource(f"note:{number}", name=f"{number}")(plain)
        server.resource(f"note:{number}/{{name}}", name=f"{number}")(named)
    return server


@every_revision
async def test_pages(revision: str, autojump_clock: MockClock) -> None:
    """PAGE-01, PAGE-05: every list; the last page has no cursor."""
    async with talking(library(3), revision) as script:
        for method, key in LISTS.items():
            found: list[str] = []
            sizes = []
            params: Message = {}
            while True:
                page = (await script.do(method, params))["result"]
                found += [each["name"] for each in page[key]]
                sizes.append(len(page[key]))
                if "nextCursor" not in page:
                    break
                params = {"cursor": page["nextCursor"]}
            assert found == [str(number) for number in range(7)]
            assert sizes == [3, 3, 1]


@both_eras
async def test_cursors_are_stable(revision: str, autojump_clock: MockClock) -> None:
    """PAGE-01: the same page again, and nothing skipped or repeated by what comes and goes."""
    server = library(3)
    async with talking(server, revision) as script:
        first = (await script.do("tools/list"))["result"]
        params = {"cursor": first["nextCursor"]}
        second = (await script.do("tools/list", params))["result"]
        assert (await script.do("tools/list", params))["result"] == second
        server.remove_tool("0")
        server.remove_tool("4")
        page = (await script.do("tools/list", params))["result"]
        assert [each["name"] for each in page["tools"]] == ["3", "5", "6"]
        # Also over a connection of its own.
    async with talking(server, revision) as script:
        again = (await script.do("tools/list", params))["result"]
        assert again == page


@pytest.mark.parametrize("cursor", ["", "x", "YWZ0ZXI6", "YWZ0ZXI6eA==", "é", "=", 5, {}], ids=repr)
@both_eras
async def test_invalid_cursors(revision: str, cursor: Any, autojump_clock: MockClock) -> None:
    """PAGE-02, PAGE-03: an error with the right code, and life goes on."""
    async with talking(library(3), revision) as script:
        for method in LISTS:
            assert code_of(await script.do(method, {"cursor": cursor})) == -32602
        await script.expect_silence()


VERBS: dict[str, tuple[str, Message]] = {
    "list_tools": ("tools", {"inputSchema": {"type": "object"}}),
    "list_prompts": ("prompts", {}),
    "list_resources": ("resources", {"uri": "a:b"}),
    "list_resource_templates": ("resourceTemplates", {"uriTemplate": "a:{b}"}),
}


@pytest.mark.parametrize("verb", VERBS)
@both_eras
async def test_the_client_turns_pages(revision: str, verb: str, autojump_clock: MockClock) -> None:
    """PAGE-04, PAGE-05, PAGE-06, PAGE-07, PAGE-08: of any size, with any cursor."""
    key, parts = VERBS[verb]
    pages: list[tuple[list[str], str | None]] = [
        (["a"], ""),
        ([], "not for you: {}\n"),
        (["b", "c", "d"], "é" * 100),
        (["e"], None),
    ]
    async with facing(revision) as to:
        call = to.start(getattr(to.client, verb))
        cursors = []
        for names, following in pages:
            asked = await to.line.receive()
            cursors.append(asked.get("params", {}).get("cursor"))
            answer: Message = {key: [{"name": name} | parts for name in names]}
            if following is not None:
                answer["nextCursor"] = following
            await to.line.send(result(asked, answer))
        assert [each.name for each in await call.get()] == ["a", "b", "c", "d", "e"]
        assert cursors == [None, *(following for _, following in pages[:-1])]


@both_eras
async def test_one_page_is_enough(revision: str, autojump_clock: MockClock) -> None:
    """PAGE-05, PAGE-08: a server that does not page."""
    async with facing(revision) as to:
        call = to.start(to.client.list_prompts)
        await to.line.send(result(await to.line.receive(), {"prompts": [{"name": "a"}]}))
        assert [each.name for each in await call.get()] == ["a"]


@both_eras
async def test_a_cursor_that_became_invalid(revision: str, autojump_clock: MockClock) -> None:
    """CACHE-11: the client begins again with the first page; once."""
    async with facing(revision) as to:
        call = to.start(to.client.list_prompts)
        for turn in range(2):
            asked = await to.line.receive()
            assert "cursor" not in asked.get("params", {})
            listed = {"prompts": [{"name": f"a{turn}"}], "nextCursor": "1"}
            await to.line.send(result(asked, listed))
            asked = await to.line.receive()
            assert asked["params"]["cursor"] == "1"
            await to.line.send(error(asked, -32602, "Invalid cursor"))
        assert (await call.fails(RequestError)).code == -32602


@both_eras
async def test_a_cursor_may_come_twice(revision: str, autojump_clock: MockClock) -> None:
    """PAGE-04: what it means is the server's business."""
    async with facing(revision) as to:
        call = to.start(to.client.list_prompts)
        for turn in range(4):
            listed: Message = {"prompts": [{"name": f"{turn}"}]}
            if turn < 3:
                listed["nextCursor"] = "more"
            await to.line.send(result(await to.line.receive(), listed))
        assert [each.name for each in await call.get()] == ["0", "1", "2", "3"]


@both_eras
async def test_a_list_without_an_end(revision: str, autojump_clock: MockClock) -> None:
    """TIME-04: is given up, since each page alone is in time."""
    async with facing(revision, limits=Limits(list_pages=5)) as to:
        call = to.start(to.client.list_prompts)
        for _ in range(5):
            listed = {"prompts": [], "nextCursor": "more"}
            await to.line.send(result(await to.line.receive(), listed))
        failure = await call.fails(LimitExceeded)
        assert "list_pages" in str(failure)


@both_eras
async def test_a_list_of_endless_size(revision: str, autojump_clock: MockClock) -> None:
    async with facing(revision, limits=Limits(list_bytes=10_000)) as to:
        call = to.start(to.client.list_prompts)
        for number in range(4):
            prompts = [{"name": f"{number}", "description": "x" * 3000}]
            listed = {"prompts": prompts, "nextCursor": f"{number}"}
            await to.line.send(result(await to.line.receive(), listed))
        failure = await call.fails(LimitExceeded)
        assert "list_bytes" in str(failure)


@both_eras
async def test_a_whole_list_has_one_deadline(revision: str, autojump_clock: MockClock) -> None:
    """However prompt each page is."""
    async with facing(revision, timeout=10) as to:
        began = trio.current_time()
        call = to.start(to.client.list_prompts)
        for number in range(4):
            asked = await to.line.receive()
            await trio.sleep(3)
            await to.line.send(result(asked, {"prompts": [], "nextCursor": f"{number}"}))
        await call.fails(RequestTimeout)
        assert trio.current_time() - began == pytest.approx(12, abs=0.1)


async def test_pages_that_are_kept_have_an_end(autojump_clock: MockClock) -> None:
    """A cursor that leads to itself, with a long time to live, costs one request."""
    async with facing(STATELESS, limits=Limits(list_pages=50)) as to:
        call = to.start(to.client.list_prompts)
        kept = {"ttlMs": 60_000, "cacheScope": "public"}
        for _ in range(2):
            listed = {"prompts": [], "nextCursor": "x", **kept}
            await to.line.send(result(await to.line.receive(), listed))
        await call.fails(LimitExceeded)


async def test_answering_a_question_does_not_count(autojump_clock: MockClock) -> None:
    """Neither while a page is awaited nor between two of them."""

    async def think(form: Any) -> Any:
        await trio.sleep(100)
        return {}

    async with facing(HANDSHAKE[-1], timeout=10, elicitation=think) as to:
        call = to.start(to.client.list_prompts)
        asked = await to.line.receive()
        form = {"message": "?", "requestedSchema": {"type": "object", "properties": {}}}
        await to.line.send(request("q", "elicitation/create", form))
        await trio.sleep(50)
        await to.line.send(result(asked, {"prompts": [{"name": "a"}], "nextCursor": "1"}))
        asked = await to.line.receive()
        assert (await to.line.receive())["id"] == "q"
        await to.line.send(result(asked, {"prompts": [{"name": "b"}]}))
        assert [each.name for each in await call.get()] == ["a", "b"]
