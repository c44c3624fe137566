"""Guarantee 16: nothing leaks.

"An unexpected exception reaches the peer without a word of its text (from a tool: an `isError`
result with a general sentence; elsewhere: -32603), and the log in full."
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from trimcp import RequestError, Server, ToolError, open_client

from .harness import ERAS, Dialect, serving

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "the password is swordfish"
FAILED = re.compile(r"tools/call '\w+' failed")
GENERAL = [{"type": "text", "text": "The tool failed unexpectedly."}]


class Name(BaseModel):
    """What is asked for."""

    name: str


UNEXPECTED = [
    *(
        ("unexpected", {"kind": kind})
        for kind in ("exception", "group", "exit", "base", "timeout", "lookup")
    ),
    ("unexpected_nursery", {}),
    ("unexpected_thread", {}),
    ("misfit", {}),
]


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
async def test_not_a_word_of_a_tool_s_exception(dialect: Dialect, tmp_path: Path) -> None:
    async with serving("failing", "stdio", tmp_path) as peer:
        wire = peer.wire
        for tool, arguments in UNEXPECTED:
            answer = await wire.ask(dialect.call(tool, tool, arguments))
            assert "swordfish" not in str(answer), (tool, arguments)
            assert answer["result"]["isError"] is True, (tool, arguments)
            assert answer["result"]["content"] == GENERAL, (tool, arguments)
            assert "structuredContent" not in answer["result"]
        await wire.ask(dialect.ping("ping"))

        # The log has the text of each, and where it came from.
        await peer.program.close_stdin()
        _, *records = FAILED.split(await peer.program.stderr.whole())
        assert len(records) == len(UNEXPECTED)
        for (tool, arguments), record in zip(UNEXPECTED, records, strict=True):
            assert "swordfish" in record, (tool, arguments)
            assert "Traceback" in record, (tool, arguments)
            assert "failing.py" in record or tool == "misfit", (tool, arguments)


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
async def test_what_cannot_even_be_written(dialect: Dialect, tmp_path: Path) -> None:
    """Results that are no JSON, exceptions without a text, recursion without an end."""
    async with serving("failing", "stdio", tmp_path) as peer:
        wire = peer.wire
        for tool, arguments in (
            ("unexpected", {"kind": "unspeakable"}),
            ("unwritable", {}),
            ("unwritable_data", {}),
            ("deep", {}),
        ):
            answer = await wire.ask(dialect.call(tool, tool, arguments))
            assert "swordfish" not in str(answer), tool
            assert "Odd" not in str(answer), tool
            assert answer["result"]["isError"] is True, tool
            assert answer["result"]["content"] == GENERAL, tool
        await wire.ask(dialect.ping("ping"))
        await peer.program.close_stdin()
        assert len(FAILED.findall(await peer.program.stderr.whole())) == 4


@pytest.mark.parametrize("dialect", ERAS, ids=lambda dialect: dialect.revision)
async def test_elsewhere_than_in_tools(dialect: Dialect, tmp_path: Path) -> None:
    asked = [
        *(
            dialect.request(uri, "resources/read", {"uri": uri})
            for uri in ("broken://async", "broken://sync", "broken://template/x")
        ),
        dialect.request("prompt", "prompts/get", {"name": "broken_prompt"}),
    ]
    async with serving("failing", "stdio", tmp_path) as peer:
        for message in asked:
            answer = await peer.wire.ask(message)
            assert answer["error"] == {"code": -32603, "message": "Internal error"}, answer
        mine = await peer.wire.ask(
            dialect.request("refused", "prompts/get", {"name": "refused_prompt"})
        )
        assert mine["error"] == {"code": 4711, "message": "no such shelf"}
        await peer.wire.ask(dialect.ping("ping"))
        await peer.program.close_stdin()
        said = await peer.program.stderr.whole()
        assert said.count("swordfish") >= len(asked)
        assert said.count("resources/read 'broken:") == 3
        assert said.count("prompts/get 'broken") == 1


async def test_a_tool_s_errors_bring_no_cause(tmp_path: Path) -> None:
    """What was raised `from` a secret has its own text only."""
    async with serving("failing", "stdio", tmp_path) as peer:
        for dialect in ERAS:
            for tool in ("tool_error", "request_error", "mixed"):
                arguments = {} if tool == "mixed" else {"nursery": True}
                answer = await peer.wire.ask(dialect.call(tool, tool, arguments))
                assert "swordfish" not in str(answer)


async def test_a_client_s_callback_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    """Asked by a server of the handshake era."""
    server: Server[None] = Server("asking")
    seen: list[RequestError] = []

    @server.tool
    async def ask() -> None:
        try:
            await server.request_context.elicit("Name?", Name)
        except RequestError as error:
            seen.append(error)
            raise ToolError("refused") from None

    async def answer(form: Any) -> dict[str, Any]:
        raise ValueError(SECRET)

    with caplog.at_level(logging.ERROR):
        async with open_client(server, revision="2025-11-25", elicitation=answer) as client:
            result = await client.call_tool("ask")
    assert result.is_error
    [error] = seen
    assert error.code == -32603
    assert "swordfish" not in str(error)
    assert error.data is None
    [record] = caplog.records
    assert record.exc_info is not None
    assert SECRET in caplog.text
