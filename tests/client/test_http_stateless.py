"""The HTTP client towards servers of the stateless era, well-behaved and other.

Specification: 2026-07-28, Streamable HTTP.
"""

from __future__ import annotations

import gzip
import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import (
    ConnectionLost,
    HTTPStatusError,
    Limits,
    ProtocolViolation,
    RequestError,
    RequestTimeout,
    client_for,
    open_client,
    open_http_client,
)
from trimcp.types import InputRequiredResult

from .harness import STATELESS, Asked, listed, said, site, stateless

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

META = "io.modelcontextprotocol/"
SECRET = "swordfish"


def tool(name: str, **properties: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object", "properties": properties}}


def marked(header: str, type: str = "string") -> dict[str, Any]:
    return {"type": type, "x-mcp-header": header}


def progress(asked: Asked, number: int, **more: Any) -> dict[str, Any]:
    token = asked.body["params"]["_meta"]["progressToken"]
    params = {"progressToken": token, "progress": number, **more}
    return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}


async def failure_of(script: Callable[[Asked], Awaitable[None]], **options: Any) -> Exception:
    """What `call_tool` raises; afterwards the same client must still work."""

    async def serve(asked: Asked) -> None:
        if asked.body["params"].get("name") == "next":
            await asked.result(said("still here"))
        else:
            await script(asked)

    async with site(stateless(serve)) as at, open_http_client(at.url, **options) as client:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await client.call_tool("x")
        assert (await client.call_tool("next")).content[0].text == "still here"  # type: ignore[union-attr]
        return caught.value


# -- what is sent -------------------------------------------------------------------------------


async def test_a_request_says_everything_itself() -> None:
    async def script(asked: Asked) -> None:
        await asked.result(said("done"))

    async with (
        site(stateless(script)) as at,
        open_http_client(at.url, headers={"Authorization": "Bearer x"}) as client,
    ):
        assert client.revision == STATELESS
        assert client.server_info is not None
        assert client.server_info.name == "scripted"
        await client.call_tool("grün", {"a": 1})
    assert at.methods == ["server/discover", "tools/call"]
    call = at.requests[1]
    assert call.verb == "POST"
    assert call.path == "/mcp"
    wanted = {
        "accept": "application/json, text/event-stream",
        "content-type": "application/json",
        "mcp-protocol-version": STATELESS,
        "mcp-method": "tools/call",
        "mcp-name": "=?base64?Z3LDvG4=?=",
        "authorization": "Bearer x",
    }
    assert wanted.items() <= call.headers.items()
    assert call.body["params"]["_meta"][META + "protocolVersion"] == STATELESS
    assert META + "clientCapabilities" in call.body["params"]["_meta"]
    assert "mcp-session-id" not in call.headers


@pytest.mark.parametrize(
    "url",
    [
        *("http://", "ftp://x/", "nonsense", "http:///mcp", "http://x:abc/", "http://x:99999/"),
        *("http://[::1/", "http://x/\0", "http://-x-..:1/\n"),
    ],
)
async def test_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|Port|out of range|IPv6"):
        async with open_http_client(url):
            pass


async def test_targets_of_open_client() -> None:
    async def script(asked: Asked) -> None:
        await asked.result(said("done"))

    async with site(stateless(script)) as at:
        async with open_client(at.url) as client:
            await client.call_tool("x")
        client = client_for(at.url)
        async with trio.open_nursery() as nursery:
            await nursery.start(client.run)
            await client.call_tool("x")
            client.close()
    with pytest.raises(ValueError, match="URL"):
        client_for("http://")


async def test_nobody_there() -> None:
    async with site(Asked.cut) as at:
        url = at.url
    with pytest.raises(ConnectionLost) as caught:
        async with open_http_client(url):
            pass
    assert caught.value.__cause__ is not None


async def test_one_connection_is_used_again() -> None:
    streams: set[int] = set()

    async def script(asked: Asked) -> None:
        streams.add(id(asked._stream))
        await asked.result(said("done"))

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        for _ in range(5):
            await client.call_tool("x")
    assert len(streams) == 1


# -- what comes back ----------------------------------------------------------------------------


async def test_a_stream_with_progress_and_logs() -> None:
    async def script(asked: Asked) -> None:
        assert asked.body["params"]["_meta"][META + "logLevel"] == "info"
        await asked.begin()
        await asked.send(b": hello\n\nretry: 5\nid: 7\n\n")
        log = {"level": "info", "data": "line"}
        await asked.event({"jsonrpc": "2.0", "method": "notifications/message", "params": log})
        for number in range(3):
            await asked.event(progress(asked, number))
            await noticed[number].wait()
        await asked.event_result(said("done"))
        await asked.wait_left()

    noticed = [trio.Event() for _ in range(3)]
    seen: list[float] = []
    logs: list[Any] = []

    async def on_progress(done: float, total: float | None, text: str | None) -> None:
        seen.append(done)
        noticed[int(done)].set()

    async def on_log(message: Any) -> None:
        logs.append(message.data)

    async with (
        site(stateless(script)) as at,
        open_http_client(at.url, logging=on_log) as client,
    ):
        result = await client.call_tool("x", progress=on_progress)
        assert result.content[0].text == "done"  # type: ignore[union-attr]
        assert seen == [0, 1, 2]
        assert logs == ["line"]


@pytest.mark.parametrize("stray", [b"junk", b"[1]", b"{", b'{"jsonrpc": "2.0"}'])
async def test_what_names_no_request_is_no_answer(stray: bytes) -> None:
    """The answer may still come on the same stream."""

    async def script(asked: Asked) -> None:
        await asked.begin()
        await asked.send(b"data: " + stray + b"\n\n")
        await asked.event_result(said("done"))
        await asked.wait_left()

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        result = await client.call_tool("x")
    assert result.content[0].text == "done"  # type: ignore[union-attr]


async def test_chunks_pace_the_server() -> None:
    """Nothing overflows: the stream is read no faster than the chunks are taken."""
    total = 3000

    async def script(asked: Asked) -> None:
        await asked.begin()
        for number in range(total):
            chunk = {"_meta": {"io.trimcp/chunk": "x" * 1000}}
            await asked.event(progress(asked, number + 1, **chunk))
            sent.append(number)
        await asked.event_result(said("done"))

    sent: list[int] = []
    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        async with client.stream_tool("x", buffer=2) as stream:
            first = await anext(aiter(stream))
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert 0 < len(sent) < total, "the sockets between hold some"
            rest = [chunk async for chunk in stream]
        assert [first, *rest] == ["x" * 1000] * total
        assert stream.result.content[0].text == "done"  # type: ignore[union-attr]


async def test_rounds_of_questions() -> None:
    async def script(asked: Asked) -> None:
        params = asked.body["params"]
        if "inputResponses" not in params:
            form = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
            question = {"message": "Go on?", "requestedSchema": form, "mode": "form"}
            requests = {"q": {"method": "elicitation/create", "params": question}}
            await asked.result(
                {"resultType": "input_required", "inputRequests": requests, "requestState": "s"}
            )
            return
        assert params["requestState"] == "s"
        answer = params["inputResponses"]["q"]
        await asked.result(said(f"{answer['action']} {answer['content']['ok']}"))

    async def agree(form: Any) -> dict[str, Any]:
        return {"ok": True}

    async with site(stateless(script)) as at, open_http_client(at.url, elicitation=agree) as client:
        result = await client.call_tool("x")
        assert not isinstance(result, InputRequiredResult)
        assert result.content[0].text == "accept True"  # type: ignore[union-attr]
    first, second = at.of("tools/call")
    assert first.body["id"] != second.body["id"]


async def test_caching() -> None:
    async def script(asked: Asked) -> None:
        await asked.result({**listed(tool("a")), "ttlMs": 60_000})

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        for _ in range(3):
            await client.list_tools()
    assert at.methods == ["server/discover", "tools/list"]


# -- one failed call ----------------------------------------------------------------------------


async def test_a_dropped_connection_fails_one_call() -> None:
    """Guarantee 6: its siblings finish, and the client goes on."""

    async def script(asked: Asked) -> None:
        name = asked.body["params"]["name"]
        if name == "early":
            await asked.cut()
        elif name == "late":
            await asked.begin()
            await asked.event({"jsonrpc": "2.0", "method": "notifications/x", "params": {}})
            await asked.cut()
        else:
            await both.wait()
            await asked.result(said("fine"))

    both = trio.Event()
    outcomes: dict[str, Any] = {}

    async def call(name: str) -> None:
        try:
            outcomes[name] = await client.call_tool(name)
        except ConnectionLost as error:
            outcomes[name] = error
        if len(outcomes) == 2:
            both.set()

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        async with trio.open_nursery() as nursery:
            for name in ("sibling", "early", "late"):
                nursery.start_soon(call, name)
        assert outcomes["sibling"].content[0].text == "fine"
        for name in ("early", "late"):
            assert isinstance(outcomes[name], ConnectionLost)
            assert outcomes[name].__cause__ is not None
        await client.call_tool("again")


async def test_a_stream_without_an_answer() -> None:
    """Streams of this era cannot be resumed, whatever ids they carry."""

    async def script(asked: Asked) -> None:
        await asked.plain(200, b"id: 1\ndata: \n\n", content_type="text/event-stream")

    error = await failure_of(script)
    assert isinstance(error, ConnectionLost)
    assert isinstance(error.__cause__, EOFError)


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, b"oops"), (401, b""), (403, b"{}"), (429, b"[]"), (404, b"<html>"), (400, b'{"a": 1}')],
)
async def test_a_status_and_no_message(status: int, body: bytes) -> None:
    async def script(asked: Asked) -> None:
        await asked.plain(status, body, www_authenticate="Bearer")

    error = await failure_of(script)
    assert isinstance(error, HTTPStatusError)
    assert error.status == status
    assert error.text == body.decode()
    assert error.headers["www-authenticate"] == "Bearer"
    assert str(status) in str(error)


@pytest.mark.parametrize("identity", ["own", None, "server-error"])
async def test_a_status_with_a_message(identity: str | None) -> None:
    """An error in answer to a request is about it, whatever id it carries."""

    async def script(asked: Asked) -> None:
        body = {"jsonrpc": "2.0", "error": {"code": -32602, "message": "bad", "data": [1]}}
        body["id"] = asked.body["id"] if identity == "own" else identity
        await asked.json(body, 400)

    error = await failure_of(script)
    assert isinstance(error, RequestError)
    assert (error.code, error.message, error.data) == (-32602, "bad", [1])
    assert error.http_status == 400


PROOF = 'DPoP algs="ES256", error="invalid_dpop_proof", error_description="iat is too old"'
REASONS = [
    (PROOF, b"", "invalid_dpop_proof: iat is too old"),
    (PROOF, b"no\n entry", "invalid_dpop_proof: iat is too old: no entry"),
    (f'Bearer realm="x", {PROOF}', b"", "invalid_dpop_proof: iat is too old"),
    ('Bearer error="insufficient_scope", scope="a"', b"", "insufficient_scope"),
    ('Bearer error_description="sleeps"', b"", "sleeps"),
    ('Bearer error_description="a\tb\x9b31m \u202e\\"c"', b"", 'a b\ufffd31m \ufffd"c'),
    ("Bearer error=" + "x" * 5000, b"", "x" * 200),
    ("Bearer error=" + "x" * 50_000, b"", ""),
    ('Bearer error="x', b"body", "body"),
    ("", b"", ""),
]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(("challenge", "body", "text"), REASONS, ids=lambda each: repr(each)[:50])
async def test_the_reason_in_a_challenge(
    status: int, challenge: str, body: bytes, text: str
) -> None:
    async def script(asked: Asked) -> None:
        await asked.plain(status, body, www_authenticate=challenge)

    error = await failure_of(script)
    assert isinstance(error, HTTPStatusError)
    assert error.text == text
    assert str(error) == f"the server answered with HTTP status {status}{text and ': '}{text}"


async def test_an_error_with_plain_success_has_no_status() -> None:
    error = await failure_of(lambda asked: asked.error(-32602))
    assert isinstance(error, RequestError)
    assert error.http_status is None


@pytest.mark.parametrize(
    ("status", "media_type", "body"),
    [
        (200, "text/html", b"<html>"),
        (200, "application/json", b"{nonsense"),
        (200, "application/json", b"\xff"),
        (200, "application/json", b""),
        (200, "application/json", b"[]"),
        (200, "application/json", b'{"jsonrpc": "2.0", "id": 99, "result": {}}'),
        (200, "text/event-stream", b"data: {nonsense\n\n"),
        (202, "application/json", b""),
        (204, "", b""),
    ],
)
async def test_unusable_answers(status: int, media_type: str, body: bytes) -> None:
    async def script(asked: Asked) -> None:
        await asked.plain(status, body, content_type=media_type)

    assert isinstance(await failure_of(script), ProtocolViolation)


async def test_compressed_answers_are_not_even_looked_at() -> None:
    async def script(asked: Asked) -> None:
        assert asked.headers["accept-encoding"] == "identity"
        bomb = gzip.compress(b" " * 1_000_000)
        await asked.plain(200, bomb, content_type="application/json", content_encoding="gzip")

    error = await failure_of(script)
    assert isinstance(error, ProtocolViolation)
    assert "compressed" in str(error)


@pytest.mark.parametrize("kind", ["json", "event", "error"])
async def test_answers_are_bounded(kind: str) -> None:
    """However long it is: the connection is closed, and no more than the bound was read."""

    async def script(asked: Asked) -> None:
        head = b'{"jsonrpc": "2.0", "id": %d, "result": {"text": "' % asked.body["id"]
        if kind == "event":
            await asked.begin()
            head = b"data: " + head
        else:
            headers = {"content-type": "application/json", "connection": "close"}
            await asked.head(200 if kind == "json" else 500, headers)
        try:
            await asked.send(head)
            while True:
                await asked.send(b"x" * 100_000)
                sent.append(100_000)
                if kind == "event" and len(sent) == 200:
                    break
            await asked.send(b"\n\n")
        finally:
            asked.is_closed = True

    sent: list[int] = []
    error = await failure_of(script, limits=Limits(message_bytes=50_000))
    if kind == "error":
        assert isinstance(error, HTTPStatusError)
    else:
        assert isinstance(error, ProtocolViolation)
        assert "50000" in str(error)
    if kind != "event":
        assert sum(sent) < 20_000_000, "the rest stayed where it was"


# -- leaving ------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [False, True])
async def test_leaving_a_call_closes_its_stream(streams: bool) -> None:
    async def script(asked: Asked) -> None:
        if streams:
            await asked.begin()
            await asked.send(b":\n\n")
        arrived.set()
        await asked.wait_left()
        left.set()

    arrived, left = trio.Event(), trio.Event()
    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "x")
            await arrived.wait()
            nursery.cancel_scope.cancel()
        await left.wait()
    assert at.methods == ["server/discover", "tools/call"], "no notifications/cancelled"


async def test_silence_is_bounded(autojump_clock: MockClock) -> None:
    async def script(asked: Asked) -> None:
        await asked.wait_left()

    async with site(stateless(script)) as at, open_http_client(at.url, timeout=5) as client:
        for timeout, seconds in ((None, 5), (2.0, 2)):
            began = trio.current_time()
            with pytest.raises(RequestTimeout):
                await client.call_tool("x", timeout=timeout)
            assert trio.current_time() - began == pytest.approx(seconds)
        began = trio.current_time()
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await client.call_tool("x")
        assert trio.current_time() - began == pytest.approx(1)


async def test_only_progress_does_not_keep_a_call_alive(autojump_clock: MockClock) -> None:
    async def script(asked: Asked) -> None:
        await asked.begin()
        for number in range(1000):
            await asked.event(progress(asked, number))
            await trio.sleep(1)

    async def slow(*report: object) -> None:
        await trio.sleep(3)

    async with site(stateless(script)) as at, open_http_client(at.url, timeout=10) as client:
        began = trio.current_time()
        with pytest.raises(RequestTimeout):
            await client.call_tool("x", progress=slow)
        assert trio.current_time() - began < 25


async def test_an_error_of_a_callback_comes_out_bare() -> None:
    async def script(asked: Asked) -> None:
        await asked.begin()
        await asked.event(progress(asked, 1))
        await asked.wait_left()

    async def fail(*report: object) -> None:
        raise KeyError("mine")

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        with pytest.raises(KeyError, match="mine"):
            await client.call_tool("x", progress=fail)


# -- redirects ----------------------------------------------------------------------------------


async def test_redirects_within_the_origin_are_followed() -> None:
    async def script(asked: Asked) -> None:
        if asked.path == "/mcp":
            await asked.plain(307, location="/mcp/")
        elif asked.method == "server/discover":
            await stateless(script)(asked)
        else:
            await asked.result(said("done"))

    async with site(script) as at, open_http_client(at.url) as client:
        await client.call_tool("x")
    assert [each.path for each in at.requests] == ["/mcp", "/mcp/"] * 2


@pytest.mark.parametrize("status", [307, 308])
async def test_other_origins_learn_nothing(status: int) -> None:
    async def script(asked: Asked) -> None:
        await asked.plain(status, location=f"{elsewhere.url}?x")

    async with site(stateless(script)) as elsewhere:
        error = await failure_of(script, headers={"Authorization": SECRET})
        assert elsewhere.requests == []
    assert isinstance(error, ProtocolViolation)
    assert "origin" in str(error)


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_redirects_that_change_the_request_are_not_followed(status: int) -> None:
    error = await failure_of(lambda asked: asked.plain(status, location="/other"))
    assert isinstance(error, HTTPStatusError)
    assert error.status == status


@pytest.mark.parametrize("location", ["http://[", "/\\x\x7f", "http://127.0.0.1:x/", "//"])
async def test_redirects_to_nowhere(location: str) -> None:
    error = await failure_of(lambda asked: asked.plain(307, location=location))
    assert isinstance(error, ProtocolViolation | ConnectionLost | HTTPStatusError)


async def test_redirects_end() -> None:
    error = await failure_of(lambda asked: asked.plain(307, location="/mcp"))
    assert isinstance(error, ProtocolViolation)


# -- mirrored arguments -------------------------------------------------------------------------


async def test_marked_arguments_are_mirrored() -> None:
    async def script(asked: Asked) -> None:
        if asked.method == "tools/list":
            where = {"type": "object", "properties": {"zone": marked("Zone", "integer")}}
            await asked.result(listed(tool("x", region=marked("Region"), where=where)))
        else:
            await asked.result(said("done"))

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        await client.list_tools()
        await client.call_tool("x", {"region": " zürich", "where": {"zone": 7}})
        await client.call_tool("x", {"region": None})
        with pytest.raises(ValueError, match="zone"):
            await client.call_tool("x", {"where": {"zone": 2**60}})
        await client.call_tool("y", {"region": "z"})
    first, second, other = at.of("tools/call")
    assert first.headers["mcp-param-region"] == "=?base64?IHrDvHJpY2g=?="
    assert first.headers["mcp-param-zone"] == "7"
    for each in (second, other):
        assert not [name for name in each.headers if name.startswith("mcp-param")]


async def test_invalid_definitions_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    tools = [
        tool("good", a=marked("A")),
        tool("twice", a=marked("A"), b=marked("a")),
        tool("space", a=marked("A B")),
        tool("number", a=marked("A", "number")),
    ]

    async def script(asked: Asked) -> None:
        await asked.result(listed(*tools))

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        with caplog.at_level(logging.WARNING, "trimcp.client"):
            for _ in range(2):
                assert [each.name for each in await client.list_tools()] == ["good"]
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 3, "each once"
    for name, text in zip(("twice", "space", "number"), warnings, strict=True):
        assert name in text


@pytest.mark.parametrize("learns", [True, False])
async def test_a_tool_that_has_changed(learns: bool) -> None:
    """A refusal for its headers is followed by one look at the list and one more try."""

    async def script(asked: Asked) -> None:
        if asked.method == "tools/list":
            lists = len(at.of("tools/list"))
            params = {"region": marked("Region")} if lists > 1 and learns else {}
            await asked.result({**listed(tool("x", **params)), "ttlMs": 60_000})
        elif asked.headers.get("mcp-param-region") == "eu":
            await asked.result(said("done"))
        else:
            await asked.error(-32020, "Header mismatch", 400)

    async with site(stateless(script)) as at, open_http_client(at.url) as client:
        await client.list_tools()
        if learns:
            await client.call_tool("x", {"region": "eu"})
            await client.call_tool("x", {"region": "eu"})
        else:
            with pytest.raises(RequestError) as caught:
                await client.call_tool("x", {"region": "eu"})
            assert caught.value.code == -32020
            assert caught.value.http_status == 400
    calls = ["tools/call"] * (3 if learns else 2)
    assert at.methods[1:4] == ["tools/list", "tools/call", "tools/list"]
    assert at.methods[4:] == calls[1:]


# -- finding the era ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [-32020, -32021])
async def test_modern_refusals_are_no_reason_to_fall_back(code: int) -> None:
    async def script(asked: Asked) -> None:
        await asked.error(code, "no", 400)

    async with site(script) as at:
        with pytest.raises(RequestError) as caught:
            async with open_http_client(at.url):
                pass
        assert caught.value.code == code
    assert at.methods == ["server/discover"]


@pytest.mark.parametrize("status", [401, 403, 407, 429, 503, 504])
async def test_unwilling_servers_are_not_asked_twice(status: int) -> None:
    async def script(asked: Asked) -> None:
        await asked.plain(status)

    async with site(script) as at:
        with pytest.raises(HTTPStatusError) as caught:
            async with open_http_client(at.url):
                pass
        assert caught.value.status == status
    assert at.methods == ["server/discover"]


async def test_a_revision_that_is_refused_and_named_is_tried_again() -> None:
    async def script(asked: Asked) -> None:
        if len(at.requests) == 1:
            data = {"supported": [STATELESS], "requested": STATELESS}
            await asked.error(-32022, "no", 400, data=data)
        else:
            await stateless(script)(asked)

    async with site(script) as at, open_http_client(at.url) as client:
        assert client.revision == STATELESS
    assert at.methods == ["server/discover", "server/discover"]
