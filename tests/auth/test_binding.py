"""What outlives a request belongs to whoever made it, whatever token they come back with."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import attrs
import pytest
import trio

from trimcp import Context, InputRequired, Limits, Server, form_question
from trimcp.runtime import Principal

from ..http.harness import PATIENCE, Web, call, request, served
from ..http.test_connections import HELLO
from .guarded import Known, bearer, parameters, server

#: Who is not alice: another user, and alice with another client.
STRANGERS = ["mallory", "other/alice"]


#: The first event of a session's own stream.
FIRST = "0-1"


class Clients(Known):
    """Tokens such as `other/alice` are of another client."""

    async def verify(self, token: str) -> Principal:
        client, _, name = token.rpartition("/")
        known = await super().verify(name)
        return Principal(
            known.subject, client or "app", known.issuer, known.scopes, {}, known.expires
        )


def old(method: str, params: dict[str, Any] | None = None, id: int = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}}


def desk(verifier: Known | None = None, **options: Any) -> Server[Any]:
    guarded = server(verifier or Clients(), **options)

    @guarded.tool
    async def who(ctx: Context) -> str:
        assert ctx.principal is not None
        return f"{ctx.principal.subject} {' '.join(sorted(ctx.principal.scopes))}"

    return guarded


async def session(web: Web, token: str = "alice") -> str:
    hello = await web.post(HELLO, **bearer(token))
    assert hello.status == 200
    return hello.headers["mcp-session-id"]


# -- sessions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_session_is_unknown_to_strangers(stranger: str) -> None:
    async with served(desk()) as web:
        id = await session(web)
        mine, theirs = bearer("alice#2"), bearer(stranger)
        headers: dict[str, str | None] = {"mcp_session_id": id, "accept": "text/event-stream"}
        async with web.open("GET", **headers, **mine) as stream:
            assert stream.status == 200
        async with web.open("GET", last_event_id=FIRST, **headers, **mine) as stream:
            assert stream.status == 200
        for method in ("POST", "GET", "DELETE", "REPLAY"):
            replies = []
            for name in (id, "unknown"):
                headers = {"mcp_session_id": name, **theirs}
                if method == "POST":
                    reply = await web.post(old("tools/call", {"name": "who"}), **headers)
                elif method == "REPLAY":
                    reply = await web.send("GET", last_event_id=FIRST, **headers)
                else:
                    reply = await web.send(method, **headers)
                replies.append((reply.status, reply.body))
            assert replies[0] == replies[1]
            assert replies[0][0] == 404
        reply = await web.post(old("tools/call", {"name": "who"}), mcp_session_id=id, **mine)
        assert reply.message["result"]["content"][0]["text"] == "alice mcp"


async def test_a_stranger_cancels_nothing() -> None:
    guarded = desk()
    began, go = trio.Event(), trio.Event()

    @guarded.tool
    async def wait() -> str:
        began.set()
        await go.wait()
        return "done"

    async with served(guarded) as web, trio.open_nursery() as nursery:
        id = await session(web)
        answers: list[Any] = []

        async def ask() -> None:
            message = old("tools/call", {"name": "wait"}, id=7)
            answers.append(await web.post(message, mcp_session_id=id, **bearer("alice")))

        nursery.start_soon(ask)
        await began.wait()
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        reply = await web.post(cancel, mcp_session_id=id, **bearer("mallory"))
        assert reply.status == 404
        go.set()
    assert b"done" in answers[0].body


async def test_each_request_of_a_session_is_judged_by_its_own_token() -> None:
    guarded = desk()

    @guarded.tool(scopes={"write"})
    async def write() -> str:
        return "written"

    async with served(guarded) as web:
        id = await session(web, "alice+write")
        for token, status in (("alice", 403), ("alice+write#2", 200), ("alice#3", 403)):
            reply = await web.post(
                old("tools/call", {"name": "write"}), mcp_session_id=id, **bearer(token)
            )
            assert reply.status == status
        reply = await web.post(old("tools/list"), mcp_session_id=id, **bearer("bad"))
        assert reply.status == 401


# -- HTTP+SSE ---------------------------------------------------------------------------------


async def posted(web: Web, path: str, message: Any, token: str) -> int:
    body = json.dumps(message).encode()
    async with web.open(
        "POST", path, body, content_type="application/json", **bearer(token)
    ) as opened:
        return opened.status


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_stream_of_http_sse_is_unknown_to_strangers(stranger: str) -> None:
    async with (
        served(desk()) as web,
        web.open("GET", "/sse", accept="text/event-stream", **bearer("alice")) as opened,
    ):
        path = (await opened.event()).data
        assert await posted(web, path, HELLO, stranger) == 404
        assert await posted(web, path, HELLO, "alice#2") == 202
        assert (await opened.message())["result"]["serverInfo"]["name"] == "guarded"
        for token in ("alice+b", "alice+a"):
            assert await posted(web, path, old("tools/call", {"name": "who"}), token) == 202
            (content,) = (await opened.message())["result"]["content"]
            assert content["text"] == f"alice {token[-1]} mcp"


async def test_a_running_call_keeps_the_principal_of_its_token() -> None:
    guarded = desk()
    began, go = trio.Event(), trio.Event()

    @guarded.tool
    async def wait(ctx: Context) -> str:
        began.set()
        await go.wait()
        assert ctx.principal is not None
        return " ".join(sorted(ctx.principal.scopes))

    async with (
        served(guarded) as web,
        web.open("GET", "/sse", accept="text/event-stream", **bearer("alice")) as opened,
    ):
        path = (await opened.event()).data
        await posted(web, path, HELLO, "alice")
        await opened.message()
        await posted(web, path, old("tools/call", {"name": "wait"}), "alice+first")
        await began.wait()
        await posted(web, path, old("ping", id=2), "alice+second")
        assert (await opened.message())["id"] == 2
        go.set()
        assert (await opened.message())["result"]["content"][0]["text"] == "first mcp"


# -- questions --------------------------------------------------------------------------------


def asking(**options: Any) -> Server[Any]:
    guarded = desk(**options)

    @guarded.tool
    async def parked(ctx: Context) -> str:
        answer = await ctx.elicit("From which account?", Account)
        assert ctx.principal is not None
        return f"{answer.name} paid by {ctx.principal.subject} {len(ctx.principal.scopes)}"

    @guarded.tool
    async def returned(ctx: Context) -> Any:
        answer = ctx.input_response("account", Account)
        if answer is None:
            question = form_question("From which account?", Account)
            return InputRequired({"account": question}, state={"a": 1})
        assert ctx.principal is not None
        return f"{answer.name} paid by {ctx.principal.subject} {len(ctx.principal.scopes)}"

    return guarded


@attrs.define
class Account:
    """What is asked for."""

    name: str


CAN_ASK = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}


def retry(name: str, result: Any) -> Any:
    (key,) = result["inputRequests"]
    answer = {"action": "accept", "content": {"name": "savings"}}
    params = {
        "name": name,
        "arguments": {},
        "requestState": result["requestState"],
        "inputResponses": {key: answer},
    }
    return request("tools/call", params, **CAN_ASK)


@pytest.mark.parametrize("tool", ["parked", "returned"])
@pytest.mark.parametrize("stranger", STRANGERS)
async def test_nobody_answers_for_somebody_else(tool: str, stranger: str) -> None:
    async with served(asking()) as web:
        reply = await web.post(call(tool, **CAN_ASK), **bearer("alice"))
        result = reply.message["result"]
        forged = {**result, "requestState": result["requestState"][:-8] + "AAAAAAA="}
        told = []
        for state in (forged, result):
            reply = await web.post(retry(tool, state), **bearer(stranger))
            told.append(reply.message["error"])
            assert reply.status == 400
        assert told[0] == told[1]
        reply = await web.post(retry(tool, result), **bearer("alice+x#2"))
        (content,) = reply.message["result"]["content"]
        assert content["text"] == "savings paid by alice 2"


# -- fairness ---------------------------------------------------------------------------------


async def test_nobody_ends_the_sessions_of_others() -> None:
    async with served(desk(limits=Limits(http_sessions=3))) as web:
        mine = await session(web)
        theirs = [await session(web, "mallory") for _ in range(5)]
        listing = old("tools/list")
        assert (await web.post(listing, mcp_session_id=mine, **bearer("alice"))).status == 200
        statuses = [
            (await web.post(listing, mcp_session_id=each, **bearer("mallory"))).status
            for each in theirs
        ]
        assert statuses == [404, 404, 404, 200, 200]
        # There is room for somebody else: of whoever has the most.
        await session(web, "bob")
        assert (await web.post(listing, mcp_session_id=mine, **bearer("alice"))).status == 200


async def test_busy_sessions_cost_others_nothing() -> None:
    async with served(desk(limits=Limits(http_sessions=3))) as web, AsyncExitStack() as streams:
        mine = await session(web)
        for _ in range(2):
            headers = {"mcp_session_id": await session(web, "mallory"), **bearer("mallory")}
            opening = web.open("GET", accept="text/event-stream", **headers)
            assert (await streams.enter_async_context(opening)).status == 200
        assert (await web.post(HELLO, **bearer("mallory"))).status == 503
        reply = await web.post(old("tools/list"), mcp_session_id=mine, **bearer("alice"))
        assert reply.status == 200


async def test_nobody_ends_the_questions_of_others() -> None:
    async with served(asking(limits=Limits(parked=3))) as web:
        reply = await web.post(call("parked", **CAN_ASK), **bearer("alice"))
        mine = reply.message["result"]
        theirs = [
            (await web.post(call("parked", **CAN_ASK), **bearer("mallory"))).message["result"]
            for _ in range(5)
        ]
        reply = await web.post(retry("parked", theirs[0]), **bearer("mallory"))
        assert "state lost" in reply.message["error"]["message"]
        reply = await web.post(retry("parked", theirs[4]), **bearer("mallory"))
        assert "paid by mallory" in str(reply.message["result"])
        reply = await web.post(retry("parked", mine), **bearer("alice"))
        assert "paid by alice" in str(reply.message["result"])


# -- expiry -----------------------------------------------------------------------------------

SOON = 0.3


def expiring(token: str = "alice") -> Server[Any]:
    guarded = desk(Known({token: SOON}))

    @guarded.resource("notes://all")
    async def notes() -> str:
        return "notes"

    return guarded


async def test_a_listen_ends_with_a_result_when_its_token_expires() -> None:
    message = request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    async with (
        served(expiring()) as web,
        web.open_post(message, **bearer("alice")) as opened,
    ):
        with trio.fail_after(PATIENCE):
            told = await opened.messages()
    assert told[0]["method"] == "notifications/subscriptions/acknowledged"
    assert told[-1]["id"] == 1
    assert "result" in told[-1]


@pytest.mark.parametrize("kind", ["standing", "resumed"])
async def test_an_open_stream_of_a_session_ends_when_its_token_expires(kind: str) -> None:
    async with served(expiring()) as web:
        id = await session(web, "alice#2")
        headers = {"mcp_session_id": id, "accept": "text/event-stream"}
        async with web.open("GET", **headers, **bearer("alice")) as opened:
            assert await opened.messages() == []
        if kind == "resumed":
            headers["last_event_id"] = FIRST
            async with web.open("GET", **headers, **bearer("alice")) as opened:
                assert opened.status == 200
                assert await opened.messages() == []
        reply = await web.post(old("tools/list"), mcp_session_id=id, **bearer("alice#2"))
        assert reply.status == 200


async def test_a_stream_of_http_sse_ends_when_the_last_token_expires() -> None:
    verifier = Known({"alice": 2 * SOON, "alice#2": SOON, "alice#3": 3 * SOON})
    guarded = desk(verifier)
    async with (
        served(guarded) as web,
        web.open("GET", "/sse", accept="text/event-stream", **bearer("alice#2")) as opened,
    ):
        path = (await opened.event()).data
        began = trio.current_time()
        assert await posted(web, path, HELLO, "alice#3") == 202
        await opened.message()
        with trio.fail_after(PATIENCE):
            assert await opened.messages() == []
        assert trio.current_time() - began > 2 * SOON


async def test_what_is_posted_after_the_expiry_is_told_of_it() -> None:
    guarded = desk(Known({"alice#2": SOON}))
    draining, go = trio.Event(), trio.Event()

    @guarded.tool
    async def hold(ctx: Context) -> str:
        ctx._handler.peer.at_drain.add(draining.set)
        await go.wait()
        return "done"

    async with (
        served(guarded) as web,
        web.open("GET", "/sse", accept="text/event-stream", **bearer("alice#2")) as opened,
    ):
        path = (await opened.event()).data
        await posted(web, path, HELLO, "alice#2")
        await opened.message()
        await posted(web, path, old("tools/call", {"name": "hold"}, id=1), "alice#2")
        with trio.fail_after(PATIENCE):
            await draining.wait()
        # The stream still answers, and a new token comes too late.
        assert await posted(web, path, old("tools/list", id=2), "alice") == 202
        error = (await opened.message())["error"]
        assert error["message"] == "the access token has expired"
        go.set()
        assert (await opened.message())["id"] == 1


async def test_a_call_that_was_allowed_is_finished() -> None:
    guarded = expiring()

    @guarded.tool
    async def outlive(ctx: Context) -> str:
        assert ctx.principal is not None
        await trio.sleep(ctx.principal.seconds_left)
        return "finished"

    async with served(guarded) as web:
        reply = await web.post(call("outlive"), **bearer("alice"))
        assert b"finished" in reply.body


async def test_an_expired_principal_is_refused() -> None:
    """A verifier that allows for clocks that are not exact says so in `expires`."""
    async with served(desk(Known({"alice": -5}))) as web:
        reply = await web.post(call("who"), **bearer("alice"))
        assert reply.status == 401
        told = parameters(reply.headers["www-authenticate"])
        assert told["error"] == "invalid_token"
        assert told["error_description"] == "the access token has expired"
