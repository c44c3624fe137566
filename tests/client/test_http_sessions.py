"""The HTTP client towards servers of the handshake era: sessions, streams, resumption.

Specification: 2025-11-25, Streamable HTTP.
"""

from __future__ import annotations

import itertools
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import (
    ConnectionLost,
    HTTPStatusError,
    Limits,
    NoCommonRevision,
    RequestError,
    open_http_client,
)

from .harness import HANDSHAKE, SSE_HEADERS, Asked, said, sessions, site

if TYPE_CHECKING:
    from trio.testing import MockClock


def text_of(result: Any) -> str:
    return str(result.content[0].text)


async def done(asked: Asked) -> None:
    """Answers calls; offers no stream."""
    if asked.verb == "POST":
        await asked.result(said("done"))


# -- the era, and the headers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b"Bad Request: no session"),
        (400, b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32000, "message": "no"}}'),
        (404, b"<html>"),
        (404, b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}}'),
        (405, b""),
        (200, b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no"}}'),
        (406, b""),
        (415, b""),
        (422, b"{}"),
    ],
)
async def test_falling_back_to_the_handshake(status: int, body: bytes) -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "server/discover":
            await asked.plain(status, body, content_type="application/json")
        else:
            await sessions(done)(asked)

    async with site(script) as at, open_http_client(at.url) as client:
        assert client.revision == HANDSHAKE
        assert text_of(await client.call_tool("x")) == "done"
    assert at.methods[:2] == ["server/discover", "initialize"]


@pytest.mark.parametrize("revision", ["2025-03-26", "2025-06-18", "2025-11-25"])
async def test_headers_of_a_session(revision: str) -> None:
    async with (
        site(sessions(done, revision=revision)) as at,
        open_http_client(at.url) as client,
    ):
        await client.call_tool("x")
    assert at.methods == [
        *("server/discover", "initialize", "notifications/initialized"),
        *("GET", "tools/call", "DELETE"),
    ]
    assert "mcp-session-id" not in at.requests[1].headers
    assert "mcp-protocol-version" not in at.requests[1].headers
    for asked in at.requests[2:]:
        assert asked.headers["mcp-session-id"] == "s-1"
        expected = None if revision == "2025-03-26" else revision
        assert asked.headers.get("mcp-protocol-version") == expected
        assert "mcp-method" not in asked.headers
    assert at.of("GET")[0].headers["accept"] == "text/event-stream"


async def test_a_server_without_sessions() -> None:
    async with site(sessions(done, ids=())) as at, open_http_client(at.url) as client:
        await client.call_tool("x")
    assert "DELETE" not in at.methods
    assert not [asked for asked in at.requests if "mcp-session-id" in asked.headers]


async def test_pinned_to_the_handshake() -> None:
    async with site(sessions(done)) as at, open_http_client(at.url, revision=HANDSHAKE) as client:
        await client.call_tool("x")
    assert at.methods[0] == "initialize"


async def test_no_common_revision() -> None:
    async with site(sessions(done, revision="1999-01-01")) as at:
        with pytest.raises(NoCommonRevision):
            async with open_http_client(at.url):
                pass


# -- the session's own stream -------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 404, 405, 501])
async def test_no_stream_is_no_matter(status: int) -> None:
    async def script(asked: Asked) -> None:
        if asked.verb == "GET":
            await asked.plain(status)
        else:
            await done(asked)

    async with site(sessions(script)) as at, open_http_client(at.url) as client:
        await client.call_tool("x")
    assert at.methods.count("GET") == 1


async def test_a_stream_that_does_not_begin(autojump_clock: MockClock) -> None:
    """It is not waited for, and left at the end."""

    async def script(asked: Asked) -> None:
        if asked.verb == "GET":
            await asked.wait_left()
            left.set()
        else:
            await done(asked)

    left = trio.Event()
    async with site(sessions(script)) as at:
        began = trio.current_time()
        async with open_http_client(at.url) as client:
            assert trio.current_time() - began < 2
            await client.call_tool("x")
        await left.wait()


async def test_requests_and_notifications_on_the_stream() -> None:
    async def script(asked: Asked) -> None:
        if asked.verb == "GET":
            await asked.begin()
            changed = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
            await asked.event(changed)
            await asked.event({"jsonrpc": "2.0", "id": "q", "method": "ping"})
            await asked.wait_left()
        elif asked.method == "answer":
            await asked.plain(202)
            answered.set()
        else:
            await done(asked)

    answered, noticed = trio.Event(), trio.Event()

    async def notice(params: Any) -> None:
        noticed.set()

    async with site(sessions(script)) as at, open_http_client(at.url) as client:
        client.on_notification("notifications/tools/list_changed", notice)
        await answered.wait()
    (answer,) = at.of("answer")
    assert answer.body == {"jsonrpc": "2.0", "id": "q", "result": {}}
    assert answer.headers["mcp-session-id"] == "s-1"


async def test_the_stream_is_opened_again(autojump_clock: MockClock) -> None:
    """After the delay that the server names, from where it ended; and ever more slowly."""
    times: list[float] = []

    async def script(asked: Asked) -> None:
        if asked.verb != "GET":
            await done(asked)
            return
        times.append(trio.current_time())
        if len(times) == 1:
            body = b"id: e-1\nretry: 5000\ndata: \n\n"
            await asked.plain(200, body, content_type="text/event-stream")
        elif len(times) < 5:
            await asked.plain(200, b"", content_type="text/event-stream")
        else:
            again.set()
            await asked.begin()
            await asked.wait_left()

    again = trio.Event()
    async with site(sessions(script)) as at, open_http_client(at.url):
        await again.wait()
    waits = [after - before for before, after in itertools.pairwise(times)]
    assert waits[0] == pytest.approx(5, abs=0.1)
    assert waits == sorted(waits)
    first, *others = at.of("GET")
    assert "last-event-id" not in first.headers
    assert {asked.headers["last-event-id"] for asked in others} == {"e-1"}


async def test_a_flood_on_the_stream_is_bounded() -> None:
    """Of an endless event no more than the bound is kept, and calls go on beside it."""
    total = 20_000_000

    async def script(asked: Asked) -> None:
        if asked.verb != "GET":
            await done(asked)
            return
        await asked.begin()
        await asked.send(b"data: ")
        try:
            while sum(sent) < total:
                await asked.send(b"x" * 100_000)
                sent.append(100_000)
            flooded.set()
            await asked.wait_left()
        finally:
            asked.is_closed = True

    sent: list[int] = []
    flooded = trio.Event()
    limits = Limits(message_bytes=100_000)
    tracemalloc.start()
    try:
        async with (
            site(sessions(script)) as at,
            open_http_client(at.url, limits=limits) as client,
        ):
            for _ in range(10):
                await client.call_tool("x")
            await flooded.wait()
            _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < total / 4


# -- questions on the stream of a call ----------------------------------------------------------


async def test_a_question_during_a_call() -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "tools/call":
            await asked.begin()
            form = {"type": "object", "properties": {"ok": {"type": "boolean", "default": True}}}
            params = {"message": "Go on?", "requestedSchema": form}
            question = {"jsonrpc": "2.0", "id": 1, "method": "elicitation/create"}
            await asked.event({**question, "params": params})
            await answered.wait()
            content = at.of("answer")[0].body["result"]["content"]
            await asked.event_result(said(str(content["ok"])))
            await asked.cut()
        elif asked.method == "answer":
            await asked.plain(202)
            answered.set()

    answered = trio.Event()

    async def agree(form: Any) -> dict[str, Any]:
        return {}

    async with site(sessions(script)) as at, open_http_client(at.url, elicitation=agree) as client:
        assert text_of(await client.call_tool("x")) == "True"


async def test_leaving_a_call_says_so() -> None:
    """Here a closed connection cancels nothing."""

    async def script(asked: Asked) -> None:
        if asked.method == "tools/call":
            arrived.set()
            await asked.wait_left()

    arrived = trio.Event()
    async with (
        site(sessions(script)) as at,
        open_http_client(at.url) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.call_tool, "x")
        await arrived.wait()
        nursery.cancel_scope.cancel()
    (call,) = at.of("tools/call")
    (told,) = at.of("notifications/cancelled")
    assert told.body["params"]["requestId"] == call.body["id"]
    assert told.headers["mcp-session-id"] == "s-1"
    assert at.methods[-1] == "DELETE", "said before the session was given back"


# -- resumption ---------------------------------------------------------------------------------


@pytest.mark.parametrize("breaks", [False, True])
async def test_an_answer_is_read_to_its_end(breaks: bool, autojump_clock: MockClock) -> None:
    """The server closes the stream, or it breaks: the client waits and goes on where it was."""
    times: list[float] = []

    async def script(asked: Asked) -> None:
        if asked.method == "tools/call":
            if breaks:
                await asked.head(200, {**SSE_HEADERS, "content-length": "999"})
            else:
                await asked.begin()
            await asked.send(b"id: e-1\nretry: 3000\ndata: \n\n")
            times.append(trio.current_time())
            call.append(asked)
            await asked.cut()
        elif asked.headers.get("last-event-id") == "e-1":
            times.append(trio.current_time())
            await asked.begin()
            log = {"jsonrpc": "2.0", "method": "notifications/message"}
            await asked.event({**log, "params": {"level": "info", "data": 1}}, id="e-2")
            await asked.cut()
        elif asked.headers.get("last-event-id") == "e-2":
            await asked.begin()
            answer = {"jsonrpc": "2.0", "id": call[0].body["id"], "result": said("late")}
            await asked.event(answer, id="e-3")
            await asked.cut()

    call: list[Asked] = []
    logs: list[Any] = []

    async def on_log(message: Any) -> None:
        logs.append(message.data)

    async with site(sessions(script)) as at, open_http_client(at.url, logging=on_log) as client:
        assert text_of(await client.call_tool("x")) == "late"
    assert times[1] - times[0] == pytest.approx(3, abs=0.1)
    assert logs == [1]
    resumed = [asked for asked in at.of("GET") if "last-event-id" in asked.headers]
    assert all(asked.headers["mcp-session-id"] == "s-1" for asked in resumed)


async def test_without_an_id_nothing_can_be_resumed() -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "tools/call":
            if asked.body["params"]["name"] == "x":
                await asked.plain(200, b": nothing\n\n", content_type="text/event-stream")
            else:
                await asked.result(said("fine"))

    async with site(sessions(script)) as at, open_http_client(at.url) as client:
        with pytest.raises(ConnectionLost) as caught:
            await client.call_tool("x")
        assert isinstance(caught.value.__cause__, EOFError)
        assert text_of(await client.call_tool("y")) == "fine"


@pytest.mark.parametrize("status", [404, 405, 200])
async def test_resumption_that_is_not_offered_or_brings_nothing(
    status: int, autojump_clock: MockClock
) -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "tools/call":
            await asked.plain(200, b"id: 1\ndata: \n\n", content_type="text/event-stream")
        elif "last-event-id" in asked.headers:
            await asked.plain(status, b"", content_type="text/event-stream")

    async with site(sessions(script)) as at, open_http_client(at.url, timeout=1000) as client:
        with pytest.raises(ConnectionLost) as caught:
            await client.call_tool("x")
        assert caught.value.__cause__ is not None
        resumed = [asked for asked in at.of("GET") if "last-event-id" in asked.headers]
        assert len(resumed) == (5 if status == 200 else 1)


# -- a session that is gone ---------------------------------------------------------------------


async def test_a_forgotten_session_is_begun_anew_once() -> None:
    async def script(asked: Asked) -> None:
        if asked.headers["mcp-session-id"] != "s-1":
            if asked.verb == "POST":
                await asked.result(said("done"))
            return
        if asked.method == "tools/call":
            calls.append(asked)
            if len(calls) == 3:
                all_there.set()
            await all_there.wait()
            await asked.plain(404)

    calls: list[Asked] = []
    all_there = trio.Event()
    texts: list[str] = []

    async def call() -> None:
        texts.append(text_of(await client.call_tool("x")))

    async with (
        site(sessions(script)) as at,
        open_http_client(at.url, revision=HANDSHAKE) as client,
    ):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(call)
        assert texts == ["done"] * 3
    assert at.methods.count("initialize") == 2
    assert [asked.headers["mcp-session-id"] for asked in at.of("GET")] == ["s-1", "s-2"]
    assert [asked.headers["mcp-session-id"] for asked in at.of("DELETE")] == ["s-2"]


async def test_between_two_sessions_requests_wait() -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "initialize" and at.of("tools/call"):
            renewing.set()
            await go_on.wait()
        if asked.headers.get("mcp-session-id") == "s-1" and asked.method == "tools/call":
            await asked.plain(404)
        elif asked.method == "tools/call" and "mcp-session-id" not in asked.headers:
            await asked.plain(400)
        else:
            await served(asked)

    renewing, go_on = trio.Event(), trio.Event()
    served = sessions(done)
    texts: list[str] = []

    async def call() -> None:
        texts.append(text_of(await client.call_tool("x")))

    async with (
        site(script) as at,
        open_http_client(at.url, revision=HANDSHAKE) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(call)
        await renewing.wait()
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked(0.01)
        go_on.set()
    assert texts == ["done"] * 2
    assert at.methods.count("tools/call") == 3


async def test_a_session_that_cannot_be_begun_is_tried_again() -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "initialize" and at.methods.count("initialize") == 2:
            await asked.cut()
        elif asked.method == "tools/call" and asked.headers.get("mcp-session-id") != "s-2":
            await asked.plain(404)
        else:
            await served(asked)

    served = sessions(done)
    async with site(script) as at, open_http_client(at.url, revision=HANDSHAKE) as client:
        with pytest.raises(ConnectionLost):
            await client.call_tool("x")
        assert text_of(await client.call_tool("x")) == "done"
    assert at.methods.count("initialize") == 3


@pytest.mark.parametrize("with_body", [False, True])
async def test_a_session_that_is_forgotten_again(with_body: bool) -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "tools/call" and with_body:
            await asked.error(-32001, "Session not found", 404)
        elif asked.method == "tools/call":
            await asked.plain(404)

    async with (
        site(sessions(script)) as at,
        open_http_client(at.url, revision=HANDSHAKE) as client,
    ):
        with pytest.raises(RequestError if with_body else HTTPStatusError):
            await client.call_tool("x")
    assert at.methods.count("initialize") == 2
    assert at.methods.count("tools/call") == 2


async def test_the_log_level_is_set_again() -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "logging/setLevel":
            await asked.result({})
        elif asked.method == "tools/call" and asked.headers["mcp-session-id"] == "s-1":
            await asked.plain(404)
        else:
            await done(asked)

    async with site(sessions(script)) as at, open_http_client(at.url, log_level="error") as client:
        await client.call_tool("x")
    levels = at.of("logging/setLevel")
    assert [asked.headers["mcp-session-id"] for asked in levels] == ["s-1", "s-2"]


async def test_what_the_next_session_lacks(caplog: pytest.LogCaptureFixture) -> None:
    """It is not worth failing a call for."""

    async def script(asked: Asked) -> None:
        is_first = asked.headers["mcp-session-id"] == "s-1"
        if asked.method == "logging/setLevel" and is_first:
            await asked.result({})
        elif asked.method == "logging/setLevel" or (asked.method == "tools/call" and is_first):
            await asked.plain(404)
        else:
            await done(asked)

    async with site(sessions(script)) as at, open_http_client(at.url, log_level="error") as client:
        assert text_of(await client.call_tool("x")) == "done"
    assert at.methods.count("initialize") == 2
    assert "lacks" in caplog.text


# -- the end ------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["refused", "dropped", "never"])
async def test_leaving_takes_a_second_at_most(answer: str, autojump_clock: MockClock) -> None:
    async def script(asked: Asked) -> None:
        if asked.verb != "DELETE":
            await sessions(done)(asked)
        elif answer == "refused":
            await asked.plain(405)
        elif answer == "dropped":
            await asked.cut()
        else:
            await asked.wait_left()

    async with site(script) as at:
        async with open_http_client(at.url) as client:
            await client.call_tool("x")
            began = trio.current_time()
        assert trio.current_time() - began < 1.1
    assert at.methods[-1] == "DELETE"


async def test_a_cancelled_client_gives_its_session_back() -> None:
    async with site(sessions(done)) as at:
        with trio.CancelScope() as scope:
            async with open_http_client(at.url):
                scope.cancel()
                await trio.sleep_forever()
    assert at.methods[-1] == "DELETE"


@pytest.mark.parametrize("status", [200, 202, 204, 400, 500])
async def test_however_notifications_are_taken(status: int) -> None:
    async def script(asked: Asked) -> None:
        if asked.method.startswith("notifications/"):
            await asked.plain(status, b"" if status == 204 else b"thanks")
        else:
            await sessions(done)(asked)

    async with site(script) as at, open_http_client(at.url) as client:
        await client.notify("notifications/x", {"a": 1})
        await client.call_tool("x")
    assert at.of("notifications/x")[0].body["params"] == {"a": 1}
