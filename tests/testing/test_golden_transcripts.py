"""What is said on the wire in each revision, compared with tests/golden.

`pytest tests/testing/test_golden_transcripts.py --trimcp-update-golden` rewrites them; the diff is
then to be read.
"""

from __future__ import annotations

import contextlib
import logging
import math
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import Client, Limits, RequestError, open_client
from trimcp.protocol import LATEST, REVISIONS, Era, find_revision
from trimcp.server._routes import _ROUTES
from trimcp.testing import (
    RawPeer,
    StandIn,
    Transcript,
    assert_transcript,
    open_memory_client,
    open_raw_peer,
    recorded,
    stateless,
)
from trimcp.transports.websocket import accept_websocket

from .golden_server import make_server
from .pairs import admit_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from trio.testing import MockClock

    from trimcp.testing import GoldenCheck
    from trimcp.types import (
        CreateMessageRequestParams,
        ElicitRequestFormParams,
        ElicitRequestURLParams,
        LoggingMessageNotificationParams,
    )

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@pytest.mark.parametrize("date", [revision.date for revision in REVISIONS])
async def test_the_wire(
    date: str,
    golden: GoldenCheck,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The tool that crashes is logged, which is not what is looked at here.
    caplog.set_level(logging.CRITICAL, "trimcp")
    transcript = Transcript()
    server = recorded(make_server(), transcript)
    async with open_memory_client(server, revision=date, name="golden client", **ANSWERS) as client:
        await every_verb(client, transcript)
    transcript.remark("-- message by message: what our client would not say --")
    async with open_raw_peer(server) as peer:
        await every_error(peer, date, transcript)
    await trio.testing.wait_all_tasks_blocked()
    if date == LATEST.date:
        await end_of_a_subscription(transcript)
    golden(transcript, GOLDEN / f"{date}.txt")


@pytest.mark.parametrize("date", [revision.date for revision in REVISIONS])
async def test_a_websocket_carries_the_same(
    date: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Message by message, as in memory."""
    caplog.set_level(logging.CRITICAL, "trimcp")
    transcript = Transcript()
    async with (
        over_websocket(recorded(make_server(), transcript)) as url,
        open_client(url, revision=date, name="golden client", **ANSWERS) as client,
    ):
        await every_verb(client, transcript)
    golden, _, _ = (GOLDEN / f"{date}.txt").read_text("utf-8").partition("# -- message by message")
    expected = tmp_path / "golden.txt"
    expected.write_text(golden, "utf-8")
    assert_transcript(expected, transcript)


@asynccontextmanager
async def over_websocket(server: StandIn) -> AsyncIterator[str]:
    """The URL of a WebSocket that leads to the server."""
    # Under a clock that jumps, every deadline passes at once.
    limits = Limits(heartbeat_seconds=math.inf)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with server.joined(signals=False) as application, trio.open_nursery() as nursery:

        async def serve(stream: trio.SocketStream) -> None:
            async with accept_websocket(stream, limits, admit_all, peer="golden") as channel:
                await application.serve(channel, grace=5.0)

        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/"
        nursery.cancel_scope.cancel()


# -- the client's part ---------------------------------------------------------------------------


async def fill_in(form: ElicitRequestFormParams) -> Mapping[str, Any]:
    return {"name": "Ada"}


async def agree(question: ElicitRequestURLParams) -> bool:
    return True


async def think(question: CreateMessageRequestParams) -> str:
    return "Nothing."


async def hear(message: LoggingMessageNotificationParams) -> None:
    pass


async def note_progress(progress: float, total: float | None, message: str | None) -> None:
    pass


ANSWERS: Any = {
    "elicitation": fill_in,
    "url_elicitation": agree,
    "sampling": think,
    "roots": ["file:///home/ada"],
    "logging": hear,
}


async def every_verb(client: Client, transcript: Transcript) -> None:
    remark = transcript.remark
    remark("tools, page by page")
    await client.list_tools()
    remark("calls")
    await client.call_tool("add", {"a": 2, "b": 3})
    for tool in ("locate", "everything"):
        await client.call_tool(tool)
    remark("progress and log messages")
    await client.set_log_level("warning")
    await client.call_tool("report", progress=note_progress)
    remark("a stream")
    async with client.stream_tool("count", {"n": 2}) as stream:
        async for _ in stream:
            pass
    remark("a call that is given up")
    with trio.move_on_after(1):
        await client.call_tool("wait")
    await trio.testing.wait_all_tasks_blocked()
    remark("questions")
    for tool in ("greet", "pay", "think", "roots"):
        # Where the revision has no such question, the tool fails.
        with contextlib.suppress(RequestError):
            await client.call_tool(tool)
    remark("errors of tools")
    await client.call_tool("add", {"a": 1})
    await client.call_tool("fail", {"how": "tool"})
    await client.call_tool("fail", {"how": "crash"})
    for how in ("request", "forbidden"):
        with pytest.raises(RequestError):
            await client.call_tool("fail", {"how": how})
    with pytest.raises(RequestError):
        await client.call_tool("unknown")
    await resources_and_prompts(client, transcript)
    await subscriptions(client, transcript)
    remark("a sign of life")
    await client.ping()
    await client.notify_roots_changed()


async def resources_and_prompts(client: Client, transcript: Transcript) -> None:
    remark = transcript.remark
    remark("resources")
    await client.list_resources()
    await client.list_resource_templates()
    for uri in ("note:today", "note:picture", "note:day/7"):
        await client.read_resource(uri)
    for uri in ("note:unknown", "note:day/32"):
        with pytest.raises(RequestError):
            await client.read_resource(uri)
    remark("prompts")
    await client.list_prompts()
    await client.get_prompt("letter", {"to": "Ada"})
    for name in ("letter", "unknown"):
        with pytest.raises(RequestError):
            await client.get_prompt(name)
    remark("completion")
    await client.complete("day", "2", resource="note:day/{day}")
    await client.complete("tone", "a", prompt="letter", arguments={"to": "Ada"})


async def subscriptions(client: Client, transcript: Transcript) -> None:
    remark = transcript.remark
    remark("subscriptions")
    listening = client.listen(
        resources=["note:today", "note:day/7"],
        tools_list_changed=True,
        prompts_list_changed=True,
        resources_list_changed=True,
    )
    async with listening as changes:
        for what in ("note:today", "note:day/{day}", "tools", "prompts", "resources"):
            await client.call_tool("change", {"what": what})
            await anext(changes)


# -- message by message --------------------------------------------------------------------------


async def every_error(peer: RawPeer, date: str, transcript: Transcript) -> None:
    revision = find_revision(date)
    assert revision is not None
    remark = transcript.remark
    is_stateless = revision.era is Era.STATELESS
    if not is_stateless:
        remark("before the handshake")
        await peer.request("tools/list")
        await peer.request("ping")
        remark("the handshake, twice")
        await peer.initialize(date)
        await peer.initialize(date)
    else:
        remark("a revision that is none, no terms, terms that are no terms")
        await peer.request("tools/list", stateless(revision="1999-01-01"))
        await peer.request("tools/list")
        await peer.request("tools/list", {"_meta": {**stateless()["_meta"], **BAD_TERMS}})
        remark("a client that can ask nobody")
    terms = stateless if is_stateless else dict
    for tool in ("greet", "pay", "think", "roots"):
        await peer.request("tools/call", terms({"name": tool}))
    remark("methods and params that are none")
    await peer.request("no/such/method", terms())
    await peer.request("ping" if is_stateless else "server/discover", terms())
    await peer.request("tools/call", terms({"nome": "add"}))
    await peer.request("tools/call", terms({"name": "add", "arguments": [1, 2]}))
    await peer.request("resources/read", terms({"uri": 7}))
    if is_stateless:
        await unknown_resources(peer, transcript)
        await peer.request("subscriptions/listen", terms({"notifications": 7}))
    else:
        await peer.request("resources/subscribe", {"uri": "note:nowhere/at/all"})
        await peer.request("resources/unsubscribe", {"uri": "note:nowhere/at/all"})
    await peer.request("tools/list", terms({"cursor": "none of ours"}))
    if not is_stateless:
        await peer.request("logging/setLevel", {"level": "shout"})
    remark("messages that are none")
    for data in (b"\xff", b"7", b'{"jsonrpc": "2.0", "id": 70}', b"[]"):
        await peer.send(data)
        await peer.receive()
    remark("a batch")
    ping = {"jsonrpc": "2.0", "method": "ping"}
    await peer.send([{**ping, "id": 80}, {"jsonrpc": "2.0", "method": "notifications/none"}])
    await peer.receive()
    remark("an id that is in use")
    wait = {"jsonrpc": "2.0", "id": 90, "method": "tools/call", "params": terms({"name": "wait"})}
    await peer.send(wait)
    await trio.testing.wait_all_tasks_blocked()
    await peer.send(wait)
    await peer.receive()


async def unknown_resources(peer: RawPeer, transcript: Transcript) -> None:
    """A subscription is granted what there is, and cancelled before anything changed."""
    transcript.remark("a subscription to what is not there")
    wanted = {"resourceSubscriptions": ["note:nowhere/at/all"], "promptsListChanged": True}
    listen = {"jsonrpc": "2.0", "id": 60, "method": "subscriptions/listen"}
    await peer.send({**listen, "params": stateless({"notifications": wanted})})
    await peer.receive()
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled"}
    await peer.send({**cancelled, "params": {"requestId": 60}})
    await trio.testing.wait_all_tasks_blocked()


async def end_of_a_subscription(transcript: Transcript) -> None:
    transcript.remark("-- the server shuts down while a client listens --")
    server = make_server()
    async with (
        server.application(signals=False),
        open_raw_peer(recorded(server, transcript)) as peer,
    ):
        listen = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen"}
        wanted = {"notifications": {"resourceSubscriptions": ["note:today"]}}
        await peer.send({**listen, "params": stateless(wanted)})
        await peer.receive()
        server.shutdown(grace=1)
        await peer.receive()
        await peer.receive()


BAD_TERMS = {"io.modelcontextprotocol/logLevel": "shout"}


# -- what the transcripts are worth ---------------------------------------------------------------

#: What servers may say and ours does not say here: it gives up no question, and does not tell
#: when the user is done with a page.
UNSAID = {"notifications/cancelled", "notifications/elicitation/complete"}


@pytest.mark.parametrize("revision", REVISIONS, ids=lambda revision: revision.date)
def test_every_method_is_in_them(revision: Any) -> None:
    """A method that the server learns needs a place in the script above."""
    transcript = Transcript.load((GOLDEN / f"{revision.date}.txt").read_text("utf-8"))
    asked = {each.get("method") for each in transcript.said("->") if isinstance(each, dict)}
    assert asked >= set(_ROUTES) & set(revision.client_requests)
    said = [each for each in transcript.said("<-") if isinstance(each, dict)]
    answered = {each.get("method") for each in said}
    assert answered >= set(revision.server_requests) - {"ping"}
    assert answered >= set(revision.server_notifications) - UNSAID
    questions = {
        question["method"]
        for each in said
        for question in each.get("result", {}).get("inputRequests", {}).values()
    }
    assert questions == set(revision.input_requests)
    codes = {each["error"]["code"] for each in said if "error" in each}
    assert codes >= {-32700, -32600, -32601, -32602, -31999, -31003}


def test_there_is_no_other() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {revision.date for revision in REVISIONS}
