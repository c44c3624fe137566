"""Whatever a server answers to the probe: the client speaks to it, or says what came."""

from __future__ import annotations

import itertools
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.spec.harness import REVISIONS, Line, discovered, error, initialized, result
from tests.strategies import JSON_VALUES, examples
from trimcp import (
    ConnectionLost,
    HTTPStatusError,
    MCPError,
    NoCommonRevision,
    ProcessDied,
    ProtocolViolation,
    RequestError,
    RequestTimeout,
    client_for,
    open_http_client,
    open_stdio_client,
    open_stream_client,
)
from trimcp._groups import unwrapping

from .harness import HANDSHAKE, INITIALIZED, STATELESS, Asked, site

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

INITIALIZE = ["server/discover", "initialize", "notifications/initialized"]

# -- over a stream -----------------------------------------------------------------------------


async def greeted(
    *answers: bytes, speaks: str = HANDSHAKE, ends: bool = False, **options: Any
) -> tuple[str, list[str]]:
    """The revision that a client speaks with a server that answers the probe with these lines.

    `ID` in them stands for the probe's id. Also the methods that the server saw.
    """
    ours, theirs = trio.testing.memory_stream_pair()
    line = Line(ours)
    methods = []

    async def serve() -> None:
        while True:
            try:
                asked = await line.receive()
            except EOFError:
                return
            if "method" not in asked:
                continue  # an answer to a request that stood in one of the lines
            methods.append(asked["method"])
            if asked["method"] == "server/discover":
                identity = json.dumps(asked["id"]).encode()
                for answer in answers:
                    await line.send_bytes(answer.replace(b"ID", identity) + b"\n")
                if ends:
                    await ours.aclose()
                    return
            elif asked["method"] == "initialize":
                whole = {"jsonrpc": "2.0", "id": asked["id"], "result": initialized(speaks)}
                await line.send(whole)

    with unwrapping():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with open_stream_client(theirs, **options) as client:
                spoken = client.revision
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    return spoken, [each for each in methods if each != "notifications/cancelled"]


ODD_ANSWERS = [
    b'{"jsonrpc":"2.0","id":ID,"result":null}',
    b'{"jsonrpc":"2.0","id":ID,"result":[]}',
    b'{"jsonrpc":"2.0","id":ID,"result":[{"x":1}]}',
    b'{"jsonrpc":"2.0","id":ID,"result":5}',
    b'{"jsonrpc":"2.0","id":ID,"result":"ok"}',
    b'{"jsonrpc":"2.0","id":ID,"result":true}',
    b'{"jsonrpc":"2.0","id":ID,"result":{}}',
    b'{"jsonrpc":"2.0","id":ID,"result":{},"error":null}',
    b'{"jsonrpc":"2.0","id":ID,"result":null,"error":null}',
    b'{"jsonrpc":"2.0","id":ID,"result":{"supportedVersions":"2026-07-28","capabilities":{}}}',
    b'{"jsonrpc":"2.0","id":ID,"result":{"supportedVersions":["2025-11-25"],"capabilities":{}}}',
    b'{"jsonrpc":"2.0","id":ID,"result":{"supportedVersions":["2026-07-28"],"capabilities":[]}}',
    b'{"jsonrpc":"2.0","id":ID,"result":{"resultType":"odd","supportedVersions":[],'
    b'"capabilities":{}}}',
    b'{"jsonrpc":"2.0","id":ID,"error":"unknown method"}',
    b'{"jsonrpc":"2.0","id":ID,"error":{"code":"ENOENT","message":"no"}}',
    b'{"jsonrpc":"2.0","id":ID,"error":{"code":-32601}}',
    b'{"jsonrpc":"2.0","id":ID,"error":{}}',
    b'{"jsonrpc":"2.0","id":ID,"error":[]}',
    b'{"jsonrpc":"2.0","id":ID,"error":null}',
    b'{"jsonrpc":"2.0","id":ID,"error":1.5}',
    b'{"jsonrpc":"2.0","id":ID}',
    b'{"jsonrpc":"1.0","id":ID,"result":{}}',
    b'{"id":ID,"result":{}}',
    b'{"jsonrpc":"2.0","id":ID,"result":{"x":NaN}}',
    b'{"result":{"x":NaN},"jsonrpc":"2.0","id":ID}',
]


@pytest.mark.parametrize("answer", ODD_ANSWERS, ids=lambda answer: answer[20:90].decode())
async def test_an_odd_answer_to_the_probe_means_initialize(
    answer: bytes, autojump_clock: MockClock
) -> None:
    began = trio.current_time()
    assert await greeted(answer) == (HANDSHAKE, INITIALIZE)
    assert trio.current_time() == began, "it was taken for silence"


@pytest.mark.parametrize("answer", ODD_ANSWERS[:3], ids=lambda answer: answer[20:90].decode())
async def test_a_pinned_revision_does_not_fall_back(
    answer: bytes, autojump_clock: MockClock
) -> None:
    with pytest.raises(ProtocolViolation, match="server/discover"):
        await greeted(answer, revision=STATELESS)


@pytest.mark.parametrize("code", [-32020, -32021])
async def test_errors_of_the_stateless_era_are_no_reason_for_initialize(
    code: int, autojump_clock: MockClock
) -> None:
    error = b'{"jsonrpc":"2.0","id":ID,"error":{"code":%d,"message":"no"}}' % code
    with pytest.raises(RequestError) as caught:
        await greeted(error)
    assert caught.value.code == code


async def test_a_lost_connection_is_no_reason_for_initialize(autojump_clock: MockClock) -> None:
    error = b'{"jsonrpc":"2.0","method":"notifications/message"}'
    with pytest.raises(ConnectionLost):
        await greeted(error, ends=True)


async def test_a_null_error_beside_a_result_is_none(autojump_clock: MockClock) -> None:
    answer = {"jsonrpc": "2.0", "id": "?", "result": discovered(), "error": None}
    line = json.dumps(answer).replace('"?"', "ID").encode()
    assert await greeted(line) == (STATELESS, ["server/discover"])


@pytest.mark.parametrize("spoken", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_the_newest_handshake_that_both_speak(spoken: str, autojump_clock: MockClock) -> None:
    """`revision="handshake"` asks nothing but `initialize`."""
    ours, theirs = trio.testing.memory_stream_pair()
    line = Line(ours)
    asked = []

    async def serve() -> None:
        asked.append(await line.receive())
        whole = {"jsonrpc": "2.0", "id": asked[0]["id"], "result": initialized(spoken)}
        await line.send(whole)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_stream_client(theirs, revision="handshake") as client:
            assert client.revision == spoken
    assert asked[0]["method"] == "initialize"
    assert asked[0]["params"]["protocolVersion"] == HANDSHAKE


async def test_the_handshake_was_asked_for_and_another_revision_came(
    autojump_clock: MockClock,
) -> None:
    with pytest.raises(NoCommonRevision, match="1999"):
        await greeted(speaks="1999-01-01", revision="handshake")


def test_an_unknown_revision_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="handshake"):
        client_for(["server"], revision="tomorrow")


# -- garbage -----------------------------------------------------------------------------------

BANNERS = [
    b"Server listening on http://127.0.0.1:8000",
    b'{"level":"info","message":"started"}',
    b"\x1b[31mwarning\x1b[0m \xff\xfe \xe2\x80\xae",
    b"x" * 5000,
    b"[]",
    b"null",
]


async def check_quoted(written: bytes, *, piece: int, within: float) -> None:
    """A server that writes this and nothing else is given up in time, and quoted."""
    ours, theirs = trio.testing.memory_stream_pair()
    began = trio.current_time()

    async def serve() -> None:
        for start in range(0, len(written), piece):
            await ours.send_all(written[start : start + piece])
            await trio.testing.wait_all_tasks_blocked()
        while await ours.receive_some():
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(ProtocolViolation) as caught:
            async with open_stream_client(theirs):
                pass
        nursery.cancel_scope.cancel()
    said = str(caught.value)
    assert written[:10].decode(errors="replace").replace("\x1b", "\\x1b").strip("\n") in said
    assert len(said) < 1500
    assert said.isprintable()
    assert trio.current_time() - began <= within


@pytest.mark.parametrize("banner", BANNERS, ids=lambda banner: repr(banner[:20]))
async def test_a_server_that_only_prints_is_quoted_within_seconds(
    banner: bytes, autojump_clock: MockClock
) -> None:
    await check_quoted(banner + b"\n", piece=len(banner) + 1, within=15)


PROMPTS = [
    b"Password: ",
    b"[INFO] started",
    b"{garbage",
    *(each for each in BANNERS if each[:2] != b'{"'),
]


@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: repr(prompt[:20]))
@pytest.mark.parametrize("piece", [1, 7000])
async def test_a_server_that_writes_no_line_break_is_quoted_within_seconds(
    prompt: bytes, piece: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It may wait at a prompt, and would be waited for in vain."""
    await check_quoted(prompt, piece=piece, within=10)
    assert len(caplog.messages) == 1


async def test_a_server_that_never_ends_its_line(autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    began = trio.current_time()

    async def serve() -> None:
        while True:
            await ours.send_all(b"garbage")
            await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        with pytest.raises(ProtocolViolation, match="garbagegarbage"):
            async with open_stream_client(theirs, probe_timeout=4):
                pass
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began <= 4


async def test_a_message_in_pieces_is_no_garbage(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def serve() -> None:
        asked = await Line(ours).receive()
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": discovered()}
        for byte in json.dumps(answer).encode():
            await ours.send_all(bytes([byte]))
            await trio.sleep(0.001)
        await ours.send_all(b"\n")
        while await ours.receive_some():
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with open_stream_client(theirs) as client:
            assert client.revision == STATELESS
        nursery.cancel_scope.cancel()
    assert not caplog.messages


async def test_a_banner_before_the_protocol_does_no_harm(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    answer = {"jsonrpc": "2.0", "id": "?", "result": discovered()}
    line = json.dumps(answer).replace('"?"', "ID").encode()
    with caplog.at_level(logging.WARNING, "trimcp.client"):
        assert await greeted(b"hello", line) == (STATELESS, ["server/discover"])
        assert await greeted(b"hello") == (HANDSHAKE, INITIALIZE)
    assert "hello" in caplog.text


# -- over HTTP ---------------------------------------------------------------------------------


async def plain(asked: Asked, status: int, body: bytes = b"", media_type: str = "") -> None:
    await asked.plain(status, body, **({"content_type": media_type} if media_type else {}))


JSON = "application/json"
HTTP_ANSWERS: dict[str, tuple[int, bytes, str]] = {
    "200 with nothing": (200, b"", ""),
    "200 with an empty JSON body": (200, b"", JSON),
    "202": (202, b"", ""),
    "204": (204, b"", ""),
    "text": (200, b"hello", "text/plain"),
    "HTML": (200, b"<html>", "text/html"),
    "no JSON": (200, b"hello", JSON),
    "an empty object": (200, b"{}", JSON),
    "a list": (200, b"[]", JSON),
    "a list of things": (200, b"[1]", JSON),
    "null": (200, b"null", JSON),
    "a list as the result": (200, b'{"jsonrpc":"2.0","id":1,"result":[]}', JSON),
    "null as the result": (200, b'{"jsonrpc":"2.0","id":1,"result":null}', JSON),
    "text as the error": (200, b'{"jsonrpc":"2.0","id":1,"error":"no"}', JSON),
    "a string as the code": (200, b'{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}', JSON),
    "null as the error": (200, b'{"jsonrpc":"2.0","id":1,"result":{},"error":null}', JSON),
    "another id": (200, b'{"jsonrpc":"2.0","id":99,"result":{}}', JSON),
    "an empty stream": (200, b"", "text/event-stream"),
    "a stream of nothing": (200, b"data: 1\n\n", "text/event-stream"),
    "400": (400, b"what?", "text/plain"),
    "404": (404, b"", ""),
    "405": (405, b"", ""),
    "422": (422, b'{"detail":"no"}', JSON),
    "500": (500, b"oops", "text/plain"),
    "500 with an error": (500, b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}', JSON),
    "501": (501, b"", ""),
    "502": (502, b"", ""),
}


def older(answer: tuple[int, bytes, str]) -> Any:
    """A server of the handshake era that answers the probe so."""

    async def serve(asked: Asked) -> None:
        if asked.method == "server/discover":
            await plain(asked, *answer)
        elif asked.method == "initialize":
            await asked.result(INITIALIZED)
        else:
            await asked.plain(202 if asked.verb == "POST" else 405)

    return serve


@pytest.mark.parametrize("answer", HTTP_ANSWERS)
async def test_an_odd_answer_over_http_means_initialize(answer: str) -> None:
    async with (
        site(older(HTTP_ANSWERS[answer])) as at,
        open_http_client(at.url, probe_timeout=300) as client,
    ):
        assert client.revision == HANDSHAKE
    assert [each for each in at.methods if each != "GET"][:3] == INITIALIZE


@pytest.mark.parametrize("status", [401, 403, 407, 429, 503, 504])
@pytest.mark.parametrize("body", [b"", b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}'])
async def test_a_server_that_is_not_willing_is_asked_once(status: int, body: bytes) -> None:
    async with site(older((status, body, JSON))) as at:
        with pytest.raises((HTTPStatusError, RequestError)) as caught:
            async with open_http_client(at.url):
                pass
    flaw = caught.value
    assert status == (flaw.status if isinstance(flaw, HTTPStatusError) else flaw.http_status)
    assert at.methods == ["server/discover"]


async def test_nobody_there_is_no_reason_for_initialize() -> None:
    with pytest.raises(ConnectionLost):
        async with open_http_client("http://127.0.0.1:9/mcp"):
            pass


@pytest.mark.parametrize("answer", ["HTML", "500", "null as the result"])
async def test_a_pinned_revision_is_not_traded_over_http(answer: str) -> None:
    async with site(older(HTTP_ANSWERS[answer])) as at:
        with pytest.raises((HTTPStatusError, ProtocolViolation)):
            async with open_http_client(at.url, revision=STATELESS):
                pass
    assert at.methods == ["server/discover"]


# -- whatever comes ----------------------------------------------------------------------------

LINES = st.one_of(
    st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"jsonrpc": st.sampled_from(["2.0", "1.0", None])},
        optional={
            "id": st.sampled_from([1, "1", None, 2]),
            "result": JSON_VALUES,
            "error": JSON_VALUES
            | st.fixed_dictionaries(
                {
                    "code": st.sampled_from([-32601, -32020, -32022, "x", None]),
                    "message": JSON_VALUES,
                },
                optional={"data": JSON_VALUES},
            ),
            "method": st.sampled_from(["ping", "notifications/message", "x"]),
        },
    ).map(lambda message: json.dumps(message).encode()),
)


@given(st.lists(LINES, max_size=3))
@examples(150)
def test_whatever_answers_the_probe(lines: list[bytes]) -> None:
    """The client connects by `initialize`, or raises a typed error, within its deadlines."""

    async def main() -> None:
        found: Any
        with trio.fail_after(31):
            try:
                found = await greeted(*lines, probe_timeout=10, timeout=20)
            except MCPError as error:
                found = error
        assert found == (HANDSHAKE, INITIALIZE) or (
            isinstance(found, MCPError) and not isinstance(found, RequestTimeout) and str(found)
        )

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- processes ---------------------------------------------------------------------------------

#: A server of the handshake era that ends on what it does not know; `after` says when.
EXITING = """
import json, sys
open(sys.argv[1], "a").write("started\\n")
for line in sys.stdin:
    asked = json.loads(line)
    open(sys.argv[1], "a").write(asked["method"] + "\\n")
    if asked["method"] == "server/discover":
        if sys.argv[2] == "answers":
            flaw = {"code": -32601, "message": "no"}
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": flaw}), flush=True)
        sys.exit(3)
    if asked["method"] == "initialize":
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": INITIALIZED}), flush=True)
""".replace("INITIALIZED", repr(INITIALIZED))


@pytest.mark.parametrize("how", ["at once", "answers"])
async def test_a_server_that_ends_on_the_probe_is_started_again(tmp_path: Path, how: str) -> None:
    seen = tmp_path / "seen"
    command = [sys.executable, "-c", EXITING, str(seen), how]
    async with open_stdio_client(command) as client:
        assert client.revision == HANDSHAKE
    said = seen.read_text().split()
    assert said.count("started") == 2
    assert said[-2:] == ["initialize", "notifications/initialized"]
    assert said.count("server/discover") == 1


@pytest.mark.parametrize("revision", [STATELESS, HANDSHAKE, "handshake"])
async def test_a_server_that_ends_is_not_started_again_for_a_pinned_revision(
    tmp_path: Path, revision: str
) -> None:
    seen = tmp_path / "seen"
    program = f"open({str(seen)!r}, 'a').write('started\\n'); input(); raise SystemExit(3)"
    with pytest.raises(ProcessDied, match="status 3"):
        async with open_stdio_client([sys.executable, "-c", program], revision=revision):
            pass
    assert seen.read_text().split() == ["started"]


async def test_a_server_that_always_ends_says_how(tmp_path: Path) -> None:
    program = "import sys; print('usage: x'); sys.exit('no such file')"
    with pytest.raises(ProcessDied, match=r"(?s)usage: x.*no such file") as caught:
        async with open_stdio_client([sys.executable, "-c", program]):
            pass
    assert caught.value.returncode == 1


# -- what is agreed on -------------------------------------------------------------------------

NEWER = "2030-01-01"
HANDSHAKES = REVISIONS[:-1]

#: What a server speaks: every set of revisions, with one that nobody knows yet and without.
SPOKEN = [
    set(chosen) | more
    for size in range(len(REVISIONS) + 1)
    for chosen in itertools.combinations(REVISIONS, size)
    for more in (set(), {NEWER})
    if chosen or more
]

#: How a server says that it does not speak the revision of the probe.
REFUSALS = ["unknown method", "unsupported version", "a list without it", "a list"]


def expected(spoken: set[str], wanted: str | None) -> str | None:
    """The revision to be agreed on; None if there is none."""
    allowed = {None: REVISIONS, "handshake": HANDSHAKES}.get(wanted, (wanted,))
    common = [each for each in allowed if each in spoken]
    return common[-1] if common else None


class Speaker:
    """A server that speaks some revisions, and notes what it is asked."""

    def __init__(self, spoken: set[str], refusal: str) -> None:
        self.spoken = spoken
        self.refusal = refusal
        self.methods: list[str] = []

    def answer(self, asked: Any) -> Any:
        """The answer to a message; None to a notification."""
        self.methods.append(asked["method"])
        listed = {"supported": sorted(self.spoken)}
        if asked["method"] == "server/discover":
            if STATELESS in self.spoken or self.refusal.startswith("a list"):
                versions = tuple(sorted(self.spoken, reverse=self.refusal == "a list"))
                return result(asked, discovered(versions=versions))
            if self.refusal == "unsupported version":
                return error(asked, -32022, data=listed)
            return error(asked, -32601)
        if asked["method"] == "initialize":
            offered = asked["params"]["protocolVersion"]
            handshakes = sorted(self.spoken & set(HANDSHAKES))
            if offered in handshakes:
                return result(asked, initialized(offered))
            if handshakes:
                return result(asked, initialized(handshakes[-1]))
            return error(asked, -32602, data=listed)
        return None


async def agreed_with(speaker: Speaker, wanted: str | None) -> str | None:
    """The revision that a client uses with the server; None if it says that there is none."""
    ours, theirs = trio.testing.memory_stream_pair()
    line = Line(ours)

    async def serve() -> None:
        try:
            while True:
                answer = speaker.answer(await line.receive())
                if answer is not None:
                    await line.send(answer)
        except EOFError:
            return

    with unwrapping():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            try:
                async with open_stream_client(theirs, revision=wanted) as client:
                    return client.revision
            except MCPError as failure:
                if not isinstance(failure, NoCommonRevision | RequestError):
                    raise
                return None
            finally:
                nursery.cancel_scope.cancel()


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("wanted", [None, "handshake", *REVISIONS])
async def test_what_is_agreed_on(
    wanted: str | None, refusal: str, autojump_clock: MockClock
) -> None:
    """The newest revision that both speak, or the one that was asked for, and never another."""
    for spoken in SPOKEN:
        speaker = Speaker(spoken, refusal)
        agreed = await agreed_with(speaker, wanted)
        assert agreed == expected(spoken, wanted), spoken
        # Nobody is asked for what the client would not use.
        if wanted == STATELESS:
            assert "initialize" not in speaker.methods
        elif wanted is not None:
            assert "server/discover" not in speaker.methods
