"""Prompts and Completion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import Server
from trimcp.types import AudioContent, Completion, ImageContent

from .harness import (
    REVISIONS,
    Message,
    Script,
    both_eras,
    code_of,
    every_revision,
    facing,
    result,
    talking,
)

if TYPE_CHECKING:
    from trio.testing import MockClock


def example() -> Server[Any]:
    server = Server[Any]("example")

    @server.prompt
    async def review(code: str, lines: int = 1) -> str:
        return code * lines

    @server.prompt
    async def bad() -> str:
        raise ZeroDivisionError("secret")

    @server.prompt
    async def media() -> list[Any]:
        return [ImageContent("aGk=", "image/png"), AudioContent("aGk=", "audio/wav")]

    return server


def completing() -> Server[Any]:
    server = example()

    @server.completion("code", prompt="review")
    async def suggest(value: str, arguments: dict[str, str]) -> list[str]:
        if value == "many":
            return [str(number) for number in range(250)]
        if value == "bad":
            raise ZeroDivisionError("secret")
        return ["zebra", "apple", *arguments.values()]

    @server.resource("note://{name}")
    async def note(name: str) -> str:
        return name

    return server


async def complete(script: Script, value: str = "", **params: Any) -> Message:
    whole = {
        "ref": {"type": "ref/prompt", "name": "review"},
        "argument": {"name": "code", "value": value},
    } | params
    return await script.do("completion/complete", whole)


# -- prompts ----------------------------------------------------------------------------------


@every_revision
async def test_getting_a_prompt(revision: str, autojump_clock: MockClock) -> None:
    """PROM-04, PROM-05, PROM-06: its arguments are checked and converted first."""
    async with talking(example(), revision) as script:
        arguments = {"code": "x", "lines": "3"}
        answer = await script.do("prompts/get", {"name": "review", "arguments": arguments})
        [message] = answer["result"]["messages"]
        assert message == {"role": "user", "content": {"type": "text", "text": "xxx"}}
        for wrong in (
            {},
            {"lines": "3"},
            {"code": "x", "lines": "many"},
            {"code": "x", "more": "y"},
            {"code": 5},
        ):
            answer = await script.do("prompts/get", {"name": "review", "arguments": wrong})
            assert code_of(answer) == -32602, wrong


@every_revision
async def test_errors_of_prompts(revision: str, autojump_clock: MockClock) -> None:
    """PROM-04: an unknown name, and what goes wrong inside."""
    async with talking(example(), revision) as script:
        assert code_of(await script.do("prompts/get", {"name": "none"})) == -32602
        assert code_of(await script.do("prompts/get")) == -32602
        answer = await script.do("prompts/get", {"name": "bad"})
        assert code_of(answer) == -32603
        assert "secret" not in str(answer)


@every_revision
async def test_media(revision: str, autojump_clock: MockClock) -> None:
    """PROM-07: an image and a sound say their type; where sounds are unknown, text says so."""
    async with talking(example(), revision) as script:
        answer = await script.do("prompts/get", {"name": "media"})
        image, sound = (each["content"] for each in answer["result"]["messages"])
        assert image == {"type": "image", "data": "aGk=", "mimeType": "image/png"}
        if revision == REVISIONS[0]:
            assert sound["type"] == "text"
        else:
            assert sound == {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"}


@both_eras
async def test_the_client_turns_pages_of_prompts(revision: str, autojump_clock: MockClock) -> None:
    """PROM-08."""
    async with facing(revision) as to:
        call = to.start(to.client.list_prompts)
        for page, following in (("a", {"nextCursor": "1"}), ("b", {})):
            listed = {"prompts": [{"name": page}], **following}
            await to.line.send(result(await to.line.receive(), listed))
        assert [each.name for each in await call.get()] == ["a", "b"]


# -- completion -------------------------------------------------------------------------------


@every_revision
async def test_completions_are_not_supported(revision: str, autojump_clock: MockClock) -> None:
    """COMP-02: where there are none, there is no such method."""
    async with talking(example(), revision) as script:
        assert code_of(await complete(script)) == -32601


@every_revision
async def test_errors_of_completions(revision: str, autojump_clock: MockClock) -> None:
    """COMP-02, COMP-04: unknown references, missing and malformed parts, what goes wrong."""
    async with talking(completing(), revision) as script:
        for wrong in (
            {"ref": {"type": "ref/prompt", "name": "none"}},
            {"ref": {"type": "ref/resource", "uri": "none://"}},
            {"ref": {"type": "ref/other", "name": "review"}},
            {"ref": "review"},
            {"argument": {"name": "code"}},
            {"argument": {"value": "x"}},
            {"argument": {"name": "code", "value": 5}},
            {"argument": None},
        ):
            assert code_of(await complete(script, **wrong)) == -32602, wrong
        for missing in ("ref", "argument"):
            whole = {"ref": {"type": "ref/prompt", "name": "review"}, "argument": {}}
            del whole[missing]
            assert code_of(await script.do("completion/complete", whole)) == -32602
        answer = await complete(script, "bad")
        assert code_of(answer) == -32603
        assert "secret" not in str(answer)


@every_revision
async def test_suggestions(revision: str, autojump_clock: MockClock) -> None:
    """COMP-03: in the order of the author, no more than may be sent."""
    async with talking(completing(), revision) as script:
        few = (await complete(script))["result"]["completion"]
        assert few["values"] == ["zebra", "apple"]
        many = (await complete(script, "many"))["result"]["completion"]
        assert many["values"] == [str(number) for number in range(100)]
        assert (many["total"], many["hasMore"]) == (250, True)
        # An argument that nobody completes has no suggestions.
        other: Message = {"argument": {"name": "lines", "value": ""}}
        none = (await complete(script, **other))["result"]["completion"]
        assert none["values"] == []


@both_eras
async def test_incomplete_completions(revision: str, autojump_clock: MockClock) -> None:
    """COMP-06: the client takes what the server knows."""
    async with facing(revision) as to:
        for answer, expected in (
            ({"values": []}, Completion([])),
            ({"values": ["a"]}, Completion(["a"])),
            ({"values": ["a"], "total": 9}, Completion(["a"], 9)),
            ({"values": ["a"], "hasMore": True}, Completion(["a"], None, True)),
        ):
            call = to.start(to.client.complete, "code", prompt="review")
            await to.line.send(result(await to.line.receive(), {"completion": answer}))
            assert await call.get() == expected


@pytest.mark.parametrize("revision", REVISIONS)
async def test_completions_run_side_by_side(revision: str, autojump_clock: MockClock) -> None:
    """COMP-05: a slow one holds up nobody, and cancelling it frees its place."""
    server = completing()
    stopped = trio.Event()

    @server.completion("lines", prompt="review")
    async def slow(value: str) -> list[str]:
        try:
            await trio.sleep_forever()
        finally:
            stopped.set()
        return []

    async with talking(server, revision) as script:
        params = {
            "ref": {"type": "ref/prompt", "name": "review"},
            "argument": {"name": "lines", "value": ""},
        }
        asked = script.message("completion/complete", params)
        await script.send(asked)
        assert "result" in await complete(script)
        await script.send(
            {
                "jsonrpc": "2.0",
                "method": "notifications/cancelled",
                "params": {"requestId": asked["id"]},
            }
        )
        await stopped.wait()
        await script.expect_silence()
