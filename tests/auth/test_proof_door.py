"""A server whose tokens are bound to keys, as its clients see it over every transport."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import hypothesis
import pytest
import trio
from hypothesis import strategies as st

from trimcp import Context, HttpRequest, Server
from trimcp.auth import DPoPVerifier, _dpop_verifier
from trimcp.protocol.challenges import Challenge, parse_challenges
from trimcp.runtime import Denied, MemoryNonceStore

from ..http.harness import PATIENCE, Reply, call, request, served
from ..http.test_connections import HELLO
from ..raw_websocket import text, upgrade
from .guarded import bearer
from .provers import bound, proof, proof_parts, proving, signed, tokens, verifier
from .signing import ISSUER, OTHER, sign
from .test_door import raw_post
from .test_websocket import KINDS, message, opened

#: Where the server is for its clients, whatever is in front of it.
HERE = "https://mcp.example"
URL = f"{HERE}/mcp"

TOKEN = bound()

JSON: dict[str, str | None] = {"content_type": "application/json"}


def desk(judge: DPoPVerifier | None = None, **options: Any) -> Server[Any]:
    options.setdefault("required_scopes", {"files:read"})
    guarded: Server[Any] = Server("desk", version="1", auth=judge or verifier(), **options)

    @guarded.tool
    async def who(ctx: Context) -> str:
        assert ctx.principal is not None
        return f"{ctx.principal.subject} {ctx.http_headers} {dict(ctx.http_scope or {})!r}"

    @guarded.tool(scopes={"files:all"})
    async def wipe() -> str:
        return "gone"

    @guarded.custom_route("/mine", scopes=set(), methods=["GET", "PUT"])
    async def mine(http: HttpRequest) -> str:
        assert http.principal is not None
        return http.principal.subject

    return guarded


def challenges(reply: Reply) -> dict[str, Challenge]:
    """Those of an answer, by their schemes, in order."""
    return {each.scheme: each for each in parse_challenges([reply.headers["www-authenticate"]])}


async def test_a_bound_token_with_its_proof(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(desk()) as web:
        sent = proving(TOKEN, "POST", URL)
        reply = await web.post(call("who"), **sent)
        assert reply.status == 200
        said = reply.message["result"]["content"][0]["text"]
        assert said.startswith("alice ")
        assert "DPoP [redacted]" in said
        for hidden in (TOKEN, sent["dpop"], sent["dpop"].rpartition(".")[2]):
            assert hidden not in said
            assert hidden not in caplog.text
        assert "dpop-nonce" not in reply.headers
        reply = await web.post(call("who"), **sent)
        assert reply.status == 401
        assert challenges(reply)["dpop"].params["error"] == "invalid_dpop_proof"
        assert sent["dpop"] not in caplog.text
        assert TOKEN not in str(reply.headers) + caplog.text


@pytest.mark.parametrize("accept_bearer", [False, True])
async def test_what_is_asked_for(accept_bearer: bool) -> None:
    judge = verifier(accept_bearer=accept_bearer, algorithms=["ES256", "EdDSA"])
    async with served(desk(judge)) as web:
        reply = await web.post(call("who"))
        assert reply.status == 401
        found = challenges(reply)
        assert list(found) == (["bearer", "dpop"] if accept_bearer else ["dpop"])
        usual = {
            "resource_metadata": f"{HERE}/.well-known/oauth-protected-resource/mcp",
            "scope": "files:read",
        }
        assert found["dpop"].params == {"algs": "ES256 EdDSA", **usual}
        assert not accept_bearer or found["bearer"].params == usual
        reply = await web.send("GET", "/.well-known/oauth-protected-resource/mcp")
        assert reply.message == {
            "resource": URL,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["files:read"],
            "bearer_methods_supported": ["header"] if accept_bearer else [],
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA"],
            "dpop_bound_access_tokens_required": not accept_bearer,
        }


class Outer:
    """A verifier of somebody's own around one that asks for proofs, which it gets none of."""

    def __init__(self) -> None:
        self.inner = verifier()

    async def verify(self, token: str) -> Any:
        return await self.inner.verify(token)


async def test_a_verifier_that_stands_before_the_one_that_asks_for_proofs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody gets in, and the log says why, once."""
    guarded: Server[Any] = Server("desk", version="1", auth=Outer())
    async with served(guarded) as web:
        for _ in range(3):
            sent = proving(TOKEN, "POST", URL)
            reply = await web.post(call("who"), **sent)
            assert reply.status == 401
            assert "DPoPVerifier" not in str(reply.headers) + str(reply.message)
            assert (await web.post(call("who"), **bearer(TOKEN))).status == 401
            assert (await web.post(call("who"))).status == 401
    (told,) = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert "DPoPVerifier(...) must be the outermost verifier" in told
    assert TOKEN not in caplog.text
    assert sent["dpop"] not in caplog.text


@pytest.mark.parametrize("value", ["Basic YTpi", "DPoP", "DPoPx y", "Digest dpop"])
async def test_that_is_not_said_of_others(value: str, caplog: pytest.LogCaptureFixture) -> None:
    guarded: Server[Any] = Server("desk", version="1", auth=tokens())
    async with served(guarded) as web:
        assert (await web.post(call("who"), authorization=value)).status == 401
    assert [each for each in caplog.records if each.levelname == "WARNING"] == []


PLAIN = sign()

#: Headers of a request, and the answer where bearer tokens are not accepted, and where they are.
TABLE = [
    ({}, (401, None), (401, None)),
    (bearer(PLAIN), (401, "invalid_token"), (200, None)),
    (bearer(TOKEN), (401, "invalid_token"), (401, "invalid_token")),
    ({**bearer(TOKEN), "dpop": "PROOF"}, (401, "invalid_token"), (401, "invalid_token")),
    ({"authorization": f"DPoP {TOKEN}", "dpop": "PROOF"}, (200, None), (200, None)),
    ({"authorization": f"dpop  {TOKEN}", "dpop": "PROOF"}, (200, None), (200, None)),
    (
        {"authorization": f"DPoP {TOKEN}"},
        (401, "invalid_dpop_proof"),
        (401, "invalid_dpop_proof"),
    ),
    (
        {"authorization": f"DPoP {PLAIN}", "dpop": "PROOF"},
        (401, "invalid_token"),
        (401, "invalid_token"),
    ),
    (
        {"authorization": "DPoP nonsense", "dpop": "PROOF"},
        (401, "invalid_token"),
        (401, "invalid_token"),
    ),
    ({"authorization": "DPoP", "dpop": "x"}, (400, "invalid_request"), (400, "invalid_request")),
    ({"authorization": "DPoP a b"}, (400, "invalid_request"), (400, "invalid_request")),
    ({"authorization": "DPoP a,DPoP b"}, (400, "invalid_request"), (400, "invalid_request")),
    ({"authorization": "Basic YTpi", "dpop": "x"}, (401, None), (401, None)),
    ({"authorization": "DPoP " + "x" * 20_000}, (401, "invalid_token"), (401, "invalid_token")),
]


@pytest.mark.parametrize("accept_bearer", [False, True])
@pytest.mark.parametrize(("headers", "strict", "mixed"), TABLE)
async def test_schemes(
    headers: dict[str, str],
    strict: tuple[int, str | None],
    mixed: tuple[int, str | None],
    accept_bearer: bool,
) -> None:
    token = headers.get("authorization", "").rpartition(" ")[2]
    sent = dict(headers)
    if sent.get("dpop") == "PROOF":
        sent["dpop"] = proof(token, "POST", URL)
    status, error = mixed if accept_bearer else strict
    async with served(desk(verifier(accept_bearer=accept_bearer))) as web:
        reply = await web.post(call("who"), **sent)
        assert reply.status == status
        if status == 200:
            return
        found = challenges(reply)
        for scheme, challenge in found.items():
            is_told = scheme == "dpop" or error != "invalid_dpop_proof"
            assert challenge.params.get("error") == (error if is_told else None)
            assert ("error_description" in challenge.params) is bool(is_told and error)
            assert challenge.params["scope"] == "files:read"
        # What a client with a proof did wrong is told first.
        assert (error == "invalid_dpop_proof") <= (next(iter(found)) == "dpop")


async def test_scopes_that_are_missing() -> None:
    async with served(desk(verifier(accept_bearer=True))) as web:
        for sent in (proving(TOKEN, "POST", URL), bearer(PLAIN)):
            reply = await web.post(call("wipe"), **sent)
            assert reply.status == 403
            for challenge in challenges(reply).values():
                assert challenge.params["error"] == "insufficient_scope"
                assert set(challenge.params["scope"].split()) == {"files:read", "files:all"}


async def test_two_proofs_and_two_tokens() -> None:
    sent = proving(TOKEN, "POST", URL)
    once = [("authorization", sent["authorization"]), ("dpop", sent["dpop"])]
    async with served(desk()) as web:
        reply = await raw_post(web, [*once, ("DPoP", proof(TOKEN, "POST", URL))])
        assert reply.status == 401
        assert challenges(reply)["dpop"].params["error"] == "invalid_dpop_proof"
        reply = await raw_post(web, [*once, once[0]])
        assert reply.status == 400
        assert (await raw_post(web, once)).status == 200
        assert (await raw_post(web, once, "/mcp?x=y")).status == 401


async def test_the_query_makes_no_difference() -> None:
    sent = proving(TOKEN, "POST", URL)
    async with served(desk()) as web:
        reply = await raw_post(web, list(sent.items()), "/mcp?a=b")
        assert reply.status == 200


async def test_each_method_and_path_needs_its_own() -> None:
    async with served(desk()) as web:
        for path in ("/mcp", "/sse", "/mine"):
            wrong = proving(TOKEN, "GET", f"{HERE}/other")
            assert (await web.send("GET", path, **wrong)).status == 401
        assert (await web.send("PUT", "/mine", **proving(TOKEN, "GET", f"{HERE}/mine"))).status == (
            401
        )
        reply = await web.send("PUT", "/mine", **proving(TOKEN, "PUT", f"{HERE}/mine"))
        assert reply.body == b"alice"


async def test_a_server_without_a_url_of_its_own() -> None:
    """The URL of each request counts, as its client has called it."""
    judge = DPoPVerifier(tokens(audience="urn:desk"))
    token = bound(aud="urn:desk")
    async with served(desk(judge), allowed_hosts=["desk.example", "127.0.0.1"]) as web:
        here = f"http://127.0.0.1:{web.port}/mcp"
        assert (await web.post(call("who"), **proving(token, "POST", here))).status == 200
        there = proving(token, "POST", "http://desk.example/mcp")
        assert (await web.post(call("who"), host="desk.example", **there)).status == 200
        for other in ("http://desk.example/mcp", f"https://127.0.0.1:{web.port}/mcp", here + "/"):
            reply = await web.post(call("who"), **proving(token, "POST", other))
            assert reply.status == 401
            # Whoever looks for the reason finds the URL that the server sees.
            assert here in challenges(reply)["dpop"].params["error_description"]
        reply = await web.send("GET", "/mine", **proving(token, "GET", here.replace("mcp", "mine")))
        assert reply.status == 200


#: A resource's URLs, root path and path of a request; the URL that counts.
PLACES = [
    (["https://h/mcp"], "", "/mcp", None, "https://h/mcp"),
    (["https://h/mcp"], "", "/mcp/", None, "https://h/mcp/"),
    (["https://h"], "", "/mcp", None, "https://h/mcp"),
    (["https://h/"], "", "/sse", None, "https://h/sse"),
    (["https://h/mcp"], "", "/other", None, "https://h/other"),
    (["https://h/tools/mcp"], "", "/mcp", None, "https://h/tools/mcp"),
    (["https://h/tools/mcp"], "/tools", "/tools/mcp", None, "https://h/tools/mcp"),
    (["https://h/tools"], "/tools", "/tools/mcp", None, "https://h/tools/mcp"),
    (["https://h/sse"], "", "/messages", "/sse", "https://h/messages"),
    (["https://h/tools/sse"], "", "/messages", "/sse", "https://h/tools/messages"),
    (["https://h/a", "https://i:8/b"], "", "/b", None, "https://i:8/b"),
    (["https://h/a?b=c"], "", "/a", None, "https://h/a"),
    (["https://h"], "", "/a b\u00e9", None, "https://h/a%20b%C3%A9"),
    ([], "", "/mcp", None, "http://127.0.0.1/mcp"),
    ([], "/root", "/root/mcp", None, "http://127.0.0.1/root/mcp"),
    ([], "/root", "/mcp", None, "http://127.0.0.1/root/mcp"),
    ([], "", "/mcp/", None, "http://127.0.0.1/mcp/"),
]


@pytest.mark.parametrize(("urls", "root", "path", "part_of", "url"), PLACES)
async def test_the_url_of_a_request(
    urls: list[str], root: str, path: str, part_of: str | None, url: str
) -> None:
    given = ["urn:desk", *urls]
    judge = desk(DPoPVerifier(tokens(audience=given))).authorization
    assert judge is not None
    token = bound(aud="urn:desk")
    sent = proving(token, "POST", url)
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "root_path": root,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    http = HttpRequest({"host": "127.0.0.1"}, scope, resource_path=part_of)
    admitted = await judge.admit(http)
    assert admitted.principal is not None
    wrong = proving(token, "POST", f"{url}x")
    scope["headers"] = [(name.encode(), value.encode()) for name, value in wrong.items()]
    with pytest.raises(Denied):
        await judge.admit(http)


# -- nonces -----------------------------------------------------------------------------------


async def test_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(_dpop_verifier, "time", lambda: now)
    async with served(desk(verifier(nonces=True, nonce_seconds=100))) as web:
        reply = await web.post(call("who"), **proving(TOKEN, "POST", URL))
        assert reply.status == 401
        assert challenges(reply)["dpop"].params["error"] == "use_dpop_nonce"
        nonce = reply.headers["dpop-nonce"]
        reply = await web.post(call("who"), **proving(TOKEN, "POST", URL, nonce=nonce))
        assert reply.status == 200
        assert "dpop-nonce" not in reply.headers
        now += 60
        for tool, status in (("who", 200), ("wipe", 403)):
            reply = await web.post(call(tool), **proving(TOKEN, "POST", URL, nonce=nonce))
            assert reply.status == status
            assert reply.headers["dpop-nonce"] != nonce
        newer = reply.headers["dpop-nonce"]
        now += 75
        reply = await web.post(call("who"), **proving(TOKEN, "POST", URL, nonce=nonce))
        assert reply.status == 401
        assert reply.headers["dpop-nonce"] not in (nonce, newer)
        reply = await web.post(call("who"), **proving(TOKEN, "POST", URL, nonce=newer))
        assert reply.status == 200


async def test_a_new_nonce_comes_with_scopes_that_every_caller_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = time.time()
    monkeypatch.setattr(_dpop_verifier, "time", lambda: now)
    guarded = desk(verifier(nonces=True), required_scopes={"files:all"})
    async with served(guarded) as web:
        reply = await web.post(call("who"), **proving(TOKEN, "POST", URL))
        nonce = reply.headers["dpop-nonce"]
        now += 200
        reply = await web.post(call("who"), **proving(TOKEN, "POST", URL, nonce=nonce))
        assert reply.status == 403
        assert reply.headers["dpop-nonce"] != nonce


async def test_pages_of_other_origins() -> None:
    page = "https://page.example"
    async with served(desk(verifier(nonces=True)), allowed_origins=[page]) as web:
        wanted = "authorization, dpop, content-type"
        reply = await web.send(
            "OPTIONS", "/mcp", origin=page, access_control_request_headers=wanted
        )
        assert "dpop" in reply.headers["access-control-allow-headers"]
        reply = await web.post(call("who"), origin=page, **proving(TOKEN, "POST", URL))
        assert reply.status == 401
        exposed = reply.headers["access-control-expose-headers"]
        assert {"dpop-nonce", "www-authenticate"} <= set(exposed.split(", "))
        assert "dpop-nonce" in reply.headers


# -- other doors ------------------------------------------------------------------------------


async def test_a_stream_and_its_messages() -> None:
    stream_url, messages_url = f"{HERE}/sse", f"{HERE}/messages"
    async with served(desk()) as web:
        posted = proving(TOKEN, "POST", stream_url)
        assert (await web.send("GET", "/sse", **posted)).status == 401
        sent: dict[str, Any] = proving(TOKEN, "GET", stream_url)
        async with web.open("GET", "/sse", accept="text/event-stream", **sent) as stream:
            assert stream.status == 200
            path = (await stream.event()).data.decode()
            hello = json.dumps({**HELLO, "id": 7}).encode()
            for headers, status in (
                (sent, 401),
                (proving(TOKEN, "POST", stream_url), 401),
                (proving(TOKEN, "POST", messages_url), 202),
                (proving(bound(sub="mallory"), "POST", messages_url), 404),
            ):
                async with web.open("POST", path, hello, **JSON, **headers) as answer:
                    assert answer.status == status
            assert (await stream.message())["id"] == 7


@pytest.mark.parametrize("kind", KINDS)
async def test_a_websocket(kind: str) -> None:
    url = f"{HERE}/ws" if kind == "hosted" else f"{HERE.replace('https', 'wss')}/ws"
    for sent, is_accepted in (
        (proving(TOKEN, "GET", url), True),
        (proving(TOKEN, "POST", url), False),
        (proving(TOKEN, "GET", URL), False),
        (bearer(TOKEN), False),
        ({"authorization": f"DPoP {TOKEN}"}, False),
    ):
        async with opened(kind, desk()) as raw:
            await raw.stream.send_all(upgrade("127.0.0.1", "/ws", *sent.items()))
            status, _ = await raw.head()
            assert status == (101 if is_accepted else 401)
            if is_accepted:
                await raw.send(text(call("who")))
                said = json.dumps(await message(raw))
                assert "alice" in said
                assert TOKEN not in said
                assert sent["dpop"] not in said


@pytest.mark.parametrize("accept_bearer", [False, True])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_page_cannot_send_a_proof(kind: str, accept_bearer: bool) -> None:
    """A browser's WebSocket has no headers: where plain tokens are accepted it may bring one."""
    for token, is_accepted in ((TOKEN, False), (PLAIN, accept_bearer)):
        judge = verifier(accept_bearer=accept_bearer)
        async with opened(kind, desk(judge)) as raw:
            offered = f"mcp, bearer.{token}"
            await raw.stream.send_all(upgrade("127.0.0.1", "/ws", subprotocol=offered))
            status, _ = await raw.head()
            assert status == (101 if is_accepted else 401)


# -- what belongs to whom ---------------------------------------------------------------------


async def test_a_session_belongs_to_the_user_and_client_and_not_to_the_key() -> None:
    """A client that has lost its key goes on with the next; each request has its own proof."""
    async with served(desk()) as web:
        hello = await web.post(HELLO, **proving(TOKEN, "POST", URL))
        session = {"mcp_session_id": hello.headers["mcp-session-id"]}
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        for sent, status in (
            (proving(TOKEN, "POST", URL), 200),
            (proving(bound(OTHER), "POST", URL, OTHER), 200),
            (proving(bound(OTHER, sub="mallory"), "POST", URL, OTHER), 404),
            (bearer(TOKEN), 401),
        ):
            reply = await web.post(listing, **session, **sent)
            assert reply.status == status


async def test_a_server_that_knows_nothing_of_proofs() -> None:
    """It asks for bearer tokens, and shows a proof to nobody either."""
    guarded: Server[Any] = Server("plain", version="1", auth=tokens())

    @guarded.tool
    async def who(ctx: Context) -> str:
        return str(ctx.http_headers)

    async with served(guarded) as web:
        reply = await web.post(call("who"), **proving(TOKEN, "POST", URL))
        assert reply.status == 401
        assert list(challenges(reply)) == ["bearer"]
        assert "error" not in challenges(reply)["bearer"].params
        reply = await web.post(call("who"), **bearer(TOKEN))
        assert challenges(reply)["bearer"].params["error"] == "invalid_token"
        shown = proof(PLAIN, "POST", URL)
        reply = await web.post(call("who"), **bearer(PLAIN), dpop=shown)
        assert reply.status == 200
        assert shown not in reply.body.decode()
        reply = await web.send("GET", "/.well-known/oauth-protected-resource/mcp")
        assert not any("dpop" in name for name in reply.message)


async def test_too_many_callers(caplog: pytest.LogCaptureFixture) -> None:
    async with served(desk(verifier(replay_entries=1))) as web:
        assert (await web.post(call("who"), **proving(TOKEN, "POST", URL))).status == 200
        other = proving(bound(sub="bob"), "POST", URL)
        reply = await web.post(call("who"), **other)
        assert reply.status == 503
        assert "replay_entries=" in caplog.text


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({}, "replays="),
        ({"nonces": True}, "replays="),
        ({"nonces": True, "replays": MemoryNonceStore()}, "nonce_keys="),
    ],
)
async def test_workers_that_share_nothing(options: dict[str, Any], missing: str) -> None:
    with pytest.raises(ValueError, match=f"workers=2.*{missing}"):
        await desk(verifier(**options)).serve_http("127.0.0.1", 0, workers=2)


def test_what_several_processes_share() -> None:
    shared = {"replays": MemoryNonceStore(), "nonces": True, "nonce_keys": [b"k" * 16]}
    for judge in (verifier(**shared), verifier(replays=MemoryNonceStore())):
        authorization = desk(judge).authorization
        assert authorization is not None
        assert authorization.unshared is None
    plain = Server("plain", auth=tokens()).authorization
    assert plain is not None
    assert plain.unshared is None


# -- any input --------------------------------------------------------------------------------

PIECES = st.binary(max_size=40) | st.sampled_from(
    [b"", b"a.b.c", b"x" * 9000, b"e30.e30.e30", b"eyJhbGciOiJub25lIn0.e30."]
)


def test_whatever_the_header_contains_it_is_an_answer() -> None:
    """Never an error of the server, and the next good request is served."""

    async def check(values: list[bytes], place: int, byte: int) -> None:
        judge = desk().authorization
        assert judge is not None
        good = proof(TOKEN, "POST", URL).encode()
        place %= len(good)
        values.append(good[:place] + bytes([byte]) + good[place + 1 :])
        token = (b"authorization", b"DPoP " + TOKEN.encode())
        for several in (values[:1], values[-1:], values):
            pairs = [token, *((b"dpop", value) for value in several)]
            if await admission(judge, pairs) == 200:
                assert several == [good]
        good = proof(TOKEN, "POST", URL).encode()
        assert await admission(judge, [token, (b"dpop", good)]) == 200
        assert await admission(judge, [token, (b"dpop", good)]) == 401

    @hypothesis.given(st.lists(PIECES, max_size=3), st.integers(0, 10**6), st.integers(0, 255))
    def run(values: list[bytes], place: int, byte: int) -> None:
        trio.run(check, values, place, byte)

    run()


async def admission(judge: Any, pairs: list[tuple[bytes, bytes]]) -> int:
    """The status with which a request is answered."""
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": pairs}
    denied = None
    try:
        with trio.fail_after(PATIENCE):
            await judge.admit(HttpRequest({"host": "127.0.0.1"}, scope))
    except Denied as caught:
        denied = caught
    if denied is None:
        return 200
    assert denied.status in (400, 401)
    challenge = denied.headers["www-authenticate"]
    assert challenge.isascii()
    assert challenge.isprintable()
    return denied.status


CHANGES: list[tuple[str, str, Any]] = [
    ("header", "typ", "JWT"),
    ("header", "alg", "none"),
    ("header", "alg", "RS256"),
    ("header", "jwk", {"kty": "EC", "crv": "?"}),
    ("header", "jwk", 5),
    ("said", "jti", None),
    ("said", "htm", ["POST"]),
    ("said", "htu", {"": 1}),
    ("said", "iat", "now"),
    ("said", "ath", None),
]


async def test_changed_proofs_over_the_wire() -> None:
    async with served(desk()) as web:
        for part, name, value in CHANGES:
            header, said = proof_parts(TOKEN, "POST", URL)
            (header if part == "header" else said)[name] = value
            sent = {"authorization": f"DPoP {TOKEN}", "dpop": signed(header, said)}
            reply = await web.post(request("tools/list"), **sent)
            assert reply.status == 401, (name, value)
            assert challenges(reply)["dpop"].params["error"] == "invalid_dpop_proof"
            good = proving(TOKEN, "POST", URL)
            assert (await web.post(request("tools/list"), **good)).status == 200
