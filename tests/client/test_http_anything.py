"""Whatever an HTTP server answers: a result or a typed error, in bounded time, and life goes on."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import trio
import trio.testing
from hypothesis import example, given
from hypothesis import strategies as st

from tests.strategies import JSON_VALUES, examples
from trimcp import MCPError, open_http_client
from trimcp.protocol.http import encode_event

from .harness import DISCOVERED, HANDSHAKE, INITIALIZED, STATELESS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

#: Messages, more or less.
MESSAGES = st.one_of(
    JSON_VALUES,
    st.fixed_dictionaries(
        {"jsonrpc": st.just("2.0")},
        optional={
            "id": st.sampled_from([1, 2, 3, "x", None, 1.5]),
            "method": st.sampled_from(
                [
                    *("notifications/progress", "notifications/message", "notifications/cancelled"),
                    *("notifications/resources/updated", "elicitation/create", "ping", "x"),
                ]
            ),
            "params": JSON_VALUES
            | st.fixed_dictionaries(
                {"progressToken": st.sampled_from([2, "x", None]), "progress": JSON_VALUES}
            )
            | st.fixed_dictionaries({"level": st.just("info"), "data": JSON_VALUES}),
            "result": JSON_VALUES | st.just({"content": [], "resultType": "complete"}),
            "error": JSON_VALUES
            | st.fixed_dictionaries(
                {"code": st.sampled_from([-32601, -32020, -32022, 1]), "message": st.just("no")}
            ),
        },
    ),
).map(lambda message: json.dumps(message).encode())
BODIES = st.one_of(
    st.binary(max_size=60),
    MESSAGES,
    st.lists(
        st.binary(max_size=20)
        | st.builds(encode_event, MESSAGES, id=st.sampled_from([None, "1", ""]))
        | st.sampled_from([b"retry: 10\n", b"id: 7\n\n", b":\n\n", b"event: endpoint\n"]),
        max_size=5,
    ).map(b"".join),
)
ANSWERS = st.builds(
    lambda status, media_type, body, breaks: (status, media_type, body, breaks),
    st.sampled_from([200, 200, 200, 202, 204, 301, 307, 400, 401, 404, 405, 500]),
    st.sampled_from(["application/json", "text/event-stream", "text/html", ""]),
    BODIES,
    st.booleans(),
)
#: Seconds for one call.
TIMEOUT = 50.0

Answer = tuple[int, str, bytes, bool]


class Body(httpx2.AsyncByteStream):
    """A body in small pieces, which may break."""

    def __init__(self, data: bytes, breaks: bool) -> None:
        self._data = data
        self._breaks = breaks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for begin in range(0, len(self._data), 7):
            await trio.lowlevel.checkpoint()
            yield self._data[begin : begin + 7]
        if self._breaks:
            raise httpx2.ReadError("cut")


class Server(httpx2.AsyncBaseTransport):
    """Opens well, and then gives the prepared answers, the last one again and again."""

    def __init__(self, answers: list[Answer]) -> None:
        self._answers = answers
        self.last: Any = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        await trio.lowlevel.checkpoint()
        asked = json.loads(request.content) if request.content else {}
        method = asked.get("method", request.method)
        welcome = {"server/discover": DISCOVERED, "initialize": INITIALIZED}.get(method)
        if method == "tools/call" and asked["params"]["name"] == "well":
            welcome = {"resultType": "complete", "content": []}
        if welcome is not None:
            message = {"jsonrpc": "2.0", "id": asked["id"], "result": welcome}
            return httpx2.Response(200, json=message, headers={"mcp-session-id": "s"})
        if method.startswith("notifications/"):
            return httpx2.Response(202)
        answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        status, media_type, body, breaks = answer
        headers = {"content-type": media_type, "location": "/other"}
        return httpx2.Response(status, headers=headers, stream=Body(body, breaks))


async def converse(answers: list[Answer], revision: str) -> None:
    async def ignore(*arguments: Any) -> None:
        await trio.lowlevel.checkpoint()

    async with (
        httpx2.AsyncClient(transport=Server(answers)) as http,
        open_http_client(
            "http://x/mcp", http_client=http, revision=revision, timeout=TIMEOUT, logging=ignore
        ) as client,
    ):
        for progress in (None, ignore):
            began = trio.current_time()
            with suppress(MCPError):
                await client.call_tool("x", progress=progress)
            # Once more in another session, if the server forgot the first.
            assert trio.current_time() - began <= 2 * TIMEOUT
        await client.call_tool("well")


@pytest.mark.parametrize("revision", [STATELESS, HANDSHAKE])
@examples(150)
@given(answers=st.lists(ANSWERS, min_size=1, max_size=4))
@example(answers=[(200, "text/event-stream", b"id: 1\nretry: 1\n\n", False)])
def test_whatever_is_answered(revision: str, answers: list[Answer]) -> None:
    trio.run(converse, list(answers), revision, clock=trio.testing.MockClock(autojump_threshold=0))
