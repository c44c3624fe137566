"""Every request, however its head and body are put together, gets what the rules say it may get.

The rules are those of `http_rules.py`. A request begins whole, and some of its parts are replaced.
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

from tests.strategies import examples
from tests.wire.engines import Got, Sent, every_engine
from tests.wire.fuzzed import make_server, no_errors_logged
from tests.wire.http_rules import (
    LATEST,
    LOCAL_HOSTS,
    LOCAL_ORIGINS,
    SESSION_REVISION,
    Asked,
    broken,
    served,
)
from tests.wire.test_http import open_session
from trimcp.protocol import find_revision

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

    from tests.wire.engines import Engine, Web

pytestmark = pytest.mark.timeout(1200)

BOTH: Final = "application/json, text/event-stream"
META: Final = "io.modelcontextprotocol/"
TERMS: Final = {META + "protocolVersion": LATEST, META + "clientCapabilities": {}}


def message(method: str, params: dict[str, Any], identity: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}


ADD: Final = {"name": "add", "arguments": {"a": 1, "b": 2}}
INITIALIZE: Final = {
    "protocolVersion": SESSION_REVISION,
    "capabilities": {},
    "clientInfo": {"name": "x", "version": "1"},
}

#: Requests of the stateless era; and messages of the handshake era.
STATELESS: Final[list[Any]] = [
    message("tools/list", {"_meta": TERMS}),
    message("tools/call", {**ADD, "_meta": TERMS}),
    message("resources/read", {"uri": "memo://one", "_meta": TERMS}),
    message("no/such", {"_meta": TERMS}),
    message("tools/list", {"_meta": TERMS | {META + "protocolVersion": "1999-01-01"}}),
    message("tools/call", {**ADD, "_meta": {META + "protocolVersion": LATEST}}),
    message("tools/call", {**ADD, "_meta": {META + "clientCapabilities": {}}}),
]
HANDSHAKE: Final[list[Any]] = [
    message("tools/list", {}),
    message("tools/call", ADD),
    message("no/such", {}),
    message("initialize", INITIALIZE),
    {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
    {"jsonrpc": "2.0", "id": 99, "result": {}},
    [message("tools/list", {})],
    None,
]

#: What a part is replaced by.
PARTS: Final[dict[str, list[Any]]] = {
    "verb": ["POST", "GET", "DELETE", "PUT", "PATCH"],
    "path": ["/mcp", "/mcp/", "/nowhere", "/mcp/x"],
    "host": [*LOCAL_HOSTS, "evil.example", "localhost.evil.example", "localhost@evil.example"],
    "origin": [
        None,
        *LOCAL_ORIGINS,
        "http://evil.example",
        "null",
        "http://localhost.evil.example",
    ],
    "accept": [BOTH, "*/*", None, "application/json", "text/event-stream", "text/html"],
    "content_type": ["application/json", "application/json; charset=utf-8", "text/plain", None],
    "version": [LATEST, SESSION_REVISION, None, "1999-01-01", "draft"],
    "session": ["open", "unknown", None],
    "mcp_method": [None, "tools/list", "tools/call", "TOOLS/CALL", "no/such"],
    "mcp_name": [None, "add", "ADD", "memo://one", ""],
    "body": [*STATELESS, *HANDSHAKE],
}


#: A request with nothing wrong.
WELL: Final = Asked(
    verb="POST",
    path="/mcp",
    host=LOCAL_HOSTS[0],
    origin=None,
    accept=BOTH,
    content_type="application/json",
    version=SESSION_REVISION,
    session="open",
    mcp_method=None,
    mcp_name=None,
    body=HANDSHAKE[0],
)


def whole_request(body: Any, version: str | None = SESSION_REVISION) -> Asked:
    """A request with that body whose head is as it has to be."""
    if body not in STATELESS:
        session = None if _method(body) == "initialize" else "open"
        return attrs.evolve(WELL, version=version, session=session, body=body)
    asked = attrs.evolve(WELL, version=LATEST, session=None, body=body)
    return attrs.evolve(asked, mcp_method=asked.method, mcp_name=asked.name)


@st.composite
def requests(draw: DrawFn) -> Asked:
    """A whole request with some of its parts replaced."""
    version = draw(st.sampled_from([None, SESSION_REVISION]))
    asked = whole_request(draw(st.sampled_from(PARTS["body"])), version)
    for part in draw(st.lists(st.sampled_from(list(PARTS)), min_size=1, max_size=3)):
        asked = attrs.evolve(asked, **{part: draw(st.sampled_from(PARTS[part]))})
    return asked


def _method(body: Any) -> Any:
    return body.get("method") if isinstance(body, dict) else None


def sent(asked: Asked, session_id: str, *, in_base64: bool) -> Sent:
    """The HTTP request; the name may be written in base64, which means the same."""
    name = asked.mcp_name
    if in_base64 and name is not None:
        name = f"=?base64?{base64.b64encode(name.encode()).decode()}?="
    headers = {
        "Host": asked.host,
        "Origin": asked.origin,
        "Accept": asked.accept,
        "Content-Type": asked.content_type,
        "MCP-Protocol-Version": asked.version,
        "Mcp-Session-Id": {"open": session_id, "unknown": "x" * 43, None: None}[asked.session],
        "Mcp-Method": asked.mcp_method,
        "Mcp-Name": name,
    }
    body = b"{" if asked.body is None else json.dumps(asked.body).encode()
    given = [(key, value) for key, value in headers.items() if value is not None]
    return Sent(asked.verb, asked.path, given, [body] if asked.verb != "GET" else [])


async def ask(web: Web, request: Sent) -> Got:
    """Send a request, and leave when nothing comes any more."""
    got = Got()
    with trio.move_on_after(200):
        await web.exchange(request, got)
    return got


def check(asked: Asked, got: Got) -> None:
    """The answer is one that the rules allow."""
    due = set(broken(asked)) or {served(asked)}
    code = None
    if got.headers.get("content-type") == "application/json" and got.messages:
        code = json.loads(got.messages[-1]).get("error", {}).get("code")
    assert any(got.status == status and wanted in (None, code) for status, wanted in due), (
        asked,
        got,
        due,
    )
    if not set(broken(asked)) and got.status == 200 and served(asked)[1] is None:
        assert code is None, (asked, got)
    if asked.is_request and asked.is_stateless and asked.verb == "POST":
        assert "mcp-session-id" not in got.headers, "no session is minted or echoed"


def ask_all(engine: Engine, asked: list[tuple[Asked, bool]]) -> None:
    """Ask one after another, each with a session of its own, since one can end it."""
    revision = find_revision(SESSION_REVISION)
    assert revision is not None

    async def main() -> None:
        server = make_server(threads=False)
        async with engine(server) as web:
            for each, in_base64 in asked:
                id = await open_session(web, revision)
                check(each, await ask(web, sent(each, id, in_base64=in_base64)))
            last = await open_session(web, revision)
            assert (await ask(web, sent(WELL, last, in_base64=False))).status == 200

    with no_errors_logged():
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@every_engine
@pytest.mark.parametrize("body", PARTS["body"], ids=lambda body: json.dumps(body)[:60])
def test_each_part_replaced(engine: Engine, body: Any) -> None:
    """Every value of every part, the others as they have to be."""
    asked = whole_request(body)
    replaced = [
        attrs.evolve(asked, **{part: value})
        for part, values in PARTS.items()
        for value in values
        if part != "body"
    ]
    ask_all(engine, [(each, number % 2 == 0) for number, each in enumerate(replaced)])


@every_engine
@examples(10)
@given(asked=st.lists(st.tuples(requests(), st.booleans()), min_size=1, max_size=8))
def test_several_parts_replaced(engine: Engine, asked: list[tuple[Asked, bool]]) -> None:
    ask_all(engine, asked)
