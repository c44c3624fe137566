"""Whatever is posted: the promises of `tests/test_fuzz.py` hold over HTTP too, for every engine.

Each message is the body of a POST, with headers that fit it or do not; several are open at once,
beside the session's own stream. What is answered to a request without errors is held against the
published schema, as everywhere; which headers are refused is the matter of `test_http_ladders.py`.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol.test_schemas import check
from tests.strategies import examples
from tests.tasks import working_tasks
from tests.wire.engines import HOST, Got, Sent, every_engine, post
from tests.wire.fuzzed import LIMITS, handshake, last_request, make_server, no_errors_logged
from tests.wire_fuzz import (
    MESSAGE_BYTES,
    WATCHED,
    Deserved,
    check_answers,
    deserve,
    read_strictly,
    utterances,
)
from trimcp.errors import LIMIT_EXCEEDED, PARSE_ERROR
from trimcp.protocol import HANDSHAKE_REVISIONS, LATEST, META_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hypothesis.strategies import DrawFn

    from tests.wire.engines import Engine, Web
    from trimcp import Server
    from trimcp.protocol import Revision

pytestmark = pytest.mark.timeout(1200)

every_session = pytest.mark.parametrize(
    "session", [None, *HANDSHAKE_REVISIONS], ids=lambda each: str(each and each.date)
)

#: What may be answered here. Nothing is the server's fault, and nothing is too much for it.
STATUSES: Final = {200, 202, 400, 404, 413}

_NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


# -- headers ----------------------------------------------------------------------------------


def header_text(value: object) -> str:
    """A value as a header can hold it; in base64 where it could not otherwise."""
    text = value if isinstance(value, str) else json.dumps(value)
    if text.isascii() and text.isprintable() and text == text.strip() and text:
        return text
    data = base64.b64encode(text.encode("utf-8", "replace")).decode()
    return f"=?base64?{data}?="


def mirrored(body: bytes) -> Iterator[tuple[str, str]]:
    """The headers that repeat what a request of the stateless era says, where it says it."""
    try:
        message = read_strictly(body)
    except ValueError:
        return
    if not isinstance(message, dict):
        return
    params = message.get("params")
    params = params if isinstance(params, dict) else {}
    meta = params.get("_meta")
    if isinstance(meta, dict) and META_PREFIX + "protocolVersion" in meta:
        yield "mcp-protocol-version", header_text(meta[META_PREFIX + "protocolVersion"])
    if "method" in message:
        yield "mcp-method", header_text(message["method"])
        name = params.get(_NAMED_BY.get(str(message["method"]), ""))
        if name is not None:
            yield "mcp-name", header_text(name)


@attrs.frozen
class Posted:
    """A POST that is to be made.

    Attributes:
        body: What is posted.
        fits: Whether the headers are those of a stateless request.
        in_session: Whether it names the session, if there is one.
        version: What the version header says in any case; None for nothing of its own.
        pieces: In how many pieces the body comes.
        waits: Whether the next one follows only when nothing happens any more.
    """

    body: bytes
    fits: bool
    in_session: bool
    version: str | None
    pieces: int
    waits: bool

    def request(self, session_id: str | None) -> Sent:
        """The HTTP request."""
        headers = list(mirrored(self.body)) if self.fits else []
        if self.version is not None:
            headers.append(("mcp-protocol-version", self.version))
        if self.in_session and session_id is not None:
            headers.append(("mcp-session-id", session_id))
        return post(self.body, *headers, pieces=self.pieces)


@st.composite
def posts(draw: DrawFn, session: Revision | None) -> Posted:
    """One POST: to the session, or of the stateless era, or neither one nor the other."""
    is_foreign = session is None or draw(st.integers(0, 3)) == 3
    revision = LATEST if session is None or is_foreign else session
    versions = [None, None, revision.date, "1999-01-01", LATEST.date]
    return Posted(
        body=draw(utterances((revision,))),
        fits=is_foreign and draw(st.integers(0, 5)) < 5,
        in_session=not is_foreign,
        version=draw(st.sampled_from(versions[: 3 if draw(st.integers(0, 5)) < 5 else 5]))
        if not is_foreign
        else draw(st.sampled_from([None] * 5 + versions)),
        pieces=draw(st.integers(1, 3)),
        waits=draw(st.booleans()),
    )


# -- one site ---------------------------------------------------------------------------------


async def whole(web: Web, sent: Sent) -> Got:
    """A request that is answered at once."""
    got = Got()
    with trio.fail_after(100):
        await web.exchange(sent, got)
    assert got.is_whole
    return got


async def open_session(web: Web, session: Revision) -> str:
    """The id of a new session."""
    opening, initialized = handshake(session).splitlines()
    got = await whole(web, post(opening))
    assert got.status == 200
    [answer] = got.messages
    assert json.loads(answer)["result"]["protocolVersion"] == session.date
    id = got.headers["mcp-session-id"]
    got = await whole(web, post(initialized, ("mcp-session-id", id)))
    assert got.status == 202
    return id


async def close_session(web: Web, id: str) -> None:
    headers = [("host", HOST), ("mcp-session-id", id)]
    assert (await whole(web, Sent("DELETE", "/mcp", headers))).status == 204


async def quiet() -> int:
    """Wait until nothing happens any more; the number of tasks that are left."""
    await trio.sleep(1000)
    await trio.testing.wait_all_tasks_blocked()
    return working_tasks()


async def survive(engine: Engine, session: Revision | None, said: list[Posted]) -> None:
    server = make_server(threads=False)
    async with engine(server) as web:
        # What the application itself needs for either era begins with the first request.
        await check_life(web, server, await open_session(web, HANDSHAKE_REVISIONS[0]))
        idle = await quiet()
        id = None if session is None else await open_session(web, session)
        got = [Got() for _ in said]
        standing = Got()
        async with trio.open_nursery() as nursery:
            if id is not None:
                headers = [("host", HOST), ("accept", "text/event-stream"), ("mcp-session-id", id)]
                nursery.start_soon(web.exchange, Sent("GET", "/mcp", headers), standing)
            for each, answer in zip(said, got, strict=True):
                nursery.start_soon(web.exchange, each.request(id), answer)
                if each.waits:
                    await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(10 * LIMITS.parked_seconds)
            await tell_changes(server)
            nursery.cancel_scope.cancel()
        await check_life(web, server, id)
        assert await quiet() == idle, "what the requests left behind"
    check_all(said, got, standing, session)


async def tell_changes(server: Server[None]) -> None:
    for uri in WATCHED:
        await server.notify_resource_updated(uri)
    await server.notify_tools_changed()
    await trio.testing.wait_all_tasks_blocked()


async def check_life(web: Web, server: Server[None], id: str | None) -> None:
    """The next good request is served, in the session too, and nothing is held in the end."""
    last = last_request(None).strip()
    headers = [*mirrored(last)]
    assert (await whole(web, post(last, *headers))).status == 200
    if id is not None:
        ping = b'{"jsonrpc":"2.0","id":"last","method":"ping"}'
        got = await whole(web, post(ping, ("mcp-session-id", id)))
        assert (got.status, json.loads(got.messages[-1])["result"]) == (200, {})
        await close_session(web, id)
    await quiet()
    numbers = server.statistics()
    assert (numbers.connections, numbers.http_requests, numbers.in_flight) == (0, 0, 0)
    assert (numbers.subscribers, numbers.subscribed_uris, numbers.parked) == (0, 0, 0)


# -- what is answered -------------------------------------------------------------------------


def check_all(said: list[Posted], got: list[Got], standing: Got, session: Revision | None) -> None:
    everything = [Deserved() for _ in said]
    for each, expected in zip(said, everything, strict=True):
        deserve(expected, each.body, session if each.in_session else None)
    cancelled = set().union(*(each.cancelled for each in everything))
    for each, expected, answer in zip(said, everything, got, strict=True):
        if each.in_session:
            expected.unsure |= cancelled
        check_one(each, expected, answer, session if each.in_session else None)
    for data in standing.messages:
        message = json.loads(data)
        assert session is not None
        assert "id" not in message, "nothing that is asked elsewhere is answered here"
        assert message["method"] in session.server_notifications


def check_one(each: Posted, expected: Deserved, answer: Got, session: Revision | None) -> None:
    assert answer.status in STATUSES or (not answer.status and expected.unsure), answer
    if not answer.is_whole:
        assert expected.unsure, "answered as soon as it can be"
    if answer.status >= 400:
        check_refusal(each, expected, answer, session)
    elif answer.status == 202:
        assert not answer.body
        assert set(expected.must) <= expected.unsure
    elif answer.status == 200:
        check_answers(answer.messages, expected, session)


def check_refusal(each: Posted, expected: Deserved, answer: Got, session: Revision | None) -> None:
    """One JSON-RPC error, or one for each part of a batch; none names somebody else's request."""
    assert answer.headers["content-type"] == "application/json"
    value: Any = json.loads(answer.body)
    if isinstance(value, list):
        assert session is not None
        assert session.batches
        # JSON-RPC 2.0, 5: null for the id of what could not be read.
        value = [{key: part[key] for key in part if part[key] is not None} for part in value]
    for message in value if isinstance(value, list) else [value]:
        check(LATEST, "JSONRPCErrorResponse", message)
        if "id" in message:
            assert message["id"] in {*expected.must, *expected.may}
        if answer.status == 413:
            assert len(each.body) > MESSAGE_BYTES
            assert message["error"]["code"] == LIMIT_EXCEEDED
        elif expected.unreadable:
            assert message["error"]["code"] == PARSE_ERROR


@every_session
@every_engine
@examples(15)
@given(data=st.data())
def test_whatever_is_posted(engine: Engine, session: Revision | None, data: st.DataObject) -> None:
    said = data.draw(st.lists(posts(session), min_size=1, max_size=6))
    with no_errors_logged():
        trio.run(survive, engine, session, said, clock=trio.testing.MockClock(autojump_threshold=0))
