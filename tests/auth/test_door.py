"""What a protected server asks of an HTTP request before it looks at anything else."""

from __future__ import annotations

import itertools
import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import hypothesis
import pytest
import trio
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount

from trimcp import (
    Context,
    HttpRequest,
    InvalidToken,
    Limits,
    Principal,
    RegistrationError,
    Server,
    VerifierUnavailable,
)
from trimcp.runtime import Denied
from trimcp.server._bearer import MalformedCredentials, credentials_in, without_token
from trimcp.server._resource_server import ResourceServer

from ..architecture.test_architecture import loaded
from ..http.harness import PATIENCE, Opened, Web, call, request, served
from ..raw_websocket import upgrade
from .guarded import Known, bearer, parameters, principal, scopes_of, server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

PATHS = [
    ("POST", "/mcp"),
    ("GET", "/mcp"),
    ("DELETE", "/mcp"),
    ("GET", "/sse"),
    ("POST", "/sse"),
    ("POST", "/messages"),
]


def whoami() -> Server[Any]:
    guarded = server()

    @guarded.tool
    def who(ctx: Context) -> str:
        assert ctx.principal is not None
        assert ctx.http_headers is not None
        assert ctx.http_scope is not None
        raw = dict(ctx.http_scope["headers"])
        return (
            f"{ctx.principal.subject} {ctx.http_headers['authorization']} {raw[b'authorization']!r}"
        )

    return guarded


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_without_a_token_every_endpoint_answers_with_a_challenge(
    method: str, path: str
) -> None:
    async with served(whoami()) as web:
        reply = await web.send(method, path)
        assert reply.status == 401
        challenge = reply.headers["www-authenticate"]
        # The stream and the messages of HTTP+SSE are one resource.
        resource = path.replace("/messages", "/sse")
        assert parameters(challenge) == {
            "resource_metadata": f"http://127.0.0.1:{web.port}"
            f"/.well-known/oauth-protected-resource{resource}",
            "scope": "mcp",
        }
        assert "error" in reply.message


async def test_a_method_that_is_not_there_is_told_to_callers_only() -> None:
    async with served(whoami()) as web:
        assert (await web.send("PATCH", "/mcp")).status == 401
        assert (await web.send("PATCH", "/mcp", **bearer("alice"))).status == 405


async def test_a_token_opens_the_door_and_is_seen_by_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(whoami()) as web:
        reply = await web.post(call("who"), **bearer("alice"))
        (content,) = reply.message["result"]["content"]
        assert content["text"] == "alice Bearer [redacted] b'Bearer [redacted]'"
    assert "Bearer alice" not in caplog.text


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "BeArEr"])
async def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    async with served(whoami()) as web:
        reply = await web.post(call("who"), authorization=f"{scheme} alice")
        assert reply.status == 200


REFUSED = [
    ("Bearer bad-token", 401, "invalid_token"),
    ("Bearer", 400, "invalid_request"),
    ("Bearer ", 400, "invalid_request"),
    ("Bearer alice bob", 400, "invalid_request"),
    ("Bearer alice, Bearer bob", 400, "invalid_request"),
    ("Bearer alice,bob", 400, "invalid_request"),
    ("Bearer,alice", 400, "invalid_request"),
    ("Bearer al\xefce", 400, "invalid_request"),
    ("Bearer " + "x" * 200, 401, "invalid_token"),
    ("Basic YWxpY2U6eA==", 401, None),
    ("alice", 401, None),
    ("", 401, None),
]


@pytest.mark.parametrize(("value", "status", "error"), REFUSED)
async def test_what_is_no_good_token(value: str, status: int, error: str | None) -> None:
    async with served(server(limits=Limits(token_bytes=100))) as web:
        reply = await raw_post(web, [("authorization", value)])
        assert reply.status == status
        told = parameters(reply.headers["www-authenticate"])
        assert told.get("error") == error
        assert told["scope"] == "mcp"
        assert (error is None) is ("error_description" not in told)
        assert "bad-token" not in str(reply.headers)


async def raw_post(web: Web, more: Sequence[tuple[str, str]], target: str = "/mcp") -> Any:
    """A POST whose headers are exactly these."""
    body = json.dumps(request("tools/list")).encode()
    head = [
        ("host", f"127.0.0.1:{web.port}"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/list"),
        ("content-length", str(len(body))),
        *more,
    ]
    lines = [f"POST {target} HTTP/1.1", *(f"{name}: {value}" for name, value in head), "", ""]
    async with await web.connect() as stream:
        opened = Opened(stream)
        await opened.send_raw("\r\n".join(lines).encode("latin-1") + body)
        await opened.begin()
        return await opened.reply()


async def test_two_authorization_headers_are_a_malformed_request() -> None:
    async with served(server()) as web:
        twice = [("authorization", "Bearer alice"), ("Authorization", "Bearer alice")]
        reply = await raw_post(web, twice)
        assert reply.status == 400
        assert parameters(reply.headers["www-authenticate"])["error"] == "invalid_request"


async def test_a_token_in_the_url_is_not_read() -> None:
    verifier = Known()
    async with served(server(verifier)) as web:
        reply = await raw_post(web, [], "/mcp?access_token=alice")
        assert reply.status == 401
        assert "error" not in parameters(reply.headers["www-authenticate"])
        assert "URL" in reply.message["error"]["message"]
        reply = await raw_post(web, [("authorization", "Bearer bob")], "/mcp?access_token=alice")
        assert reply.status == 200
    assert verifier.seen == ["bob"]


async def test_a_token_without_the_required_scopes() -> None:
    async with served(server(required_scopes={"mcp", "extra"})) as web:
        reply = await web.post(request("tools/list"), **bearer("alice"))
        assert reply.status == 403
        told = parameters(reply.headers["www-authenticate"])
        assert told["error"] == "insufficient_scope"
        assert scopes_of(reply.headers["www-authenticate"]) == {"mcp", "extra"}
        assert reply.message["error"]["data"] == {"scope": "extra mcp"}


@pytest.mark.parametrize("token", ["slow", "down", "broken", "none"])
async def test_a_verifier_that_fails(token: str, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is let in, nobody is told to log in again, and the log does not hold the token."""
    async with served(server(limits=Limits(token_seconds=0.05))) as web:
        reply = await web.post(call("who"), **bearer(token))
        assert reply.status == 503
        assert reply.headers["retry-after"] == "1"
        assert "www-authenticate" not in reply.headers
    assert f" {token}" not in caplog.text
    assert "verifier" in caplog.text


class Endless(Known):
    """A verifier that takes forever, and tells when it is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.ended = trio.Event(), trio.Event()

    async def verify(self, token: str) -> Principal:
        self.began.set()
        try:
            await trio.sleep_forever()
        finally:
            self.ended.set()
        raise AssertionError


DOORS = ["http", "hosted WebSocket", "standalone WebSocket"]


@asynccontextmanager
async def judged(door: str, guarded: Server[Any], verifier: Endless) -> AsyncIterator[Opened]:
    """A request or a handshake that the verifier judges."""
    async with trio.open_nursery() as nursery:
        if door == "standalone WebSocket":
            ((_, port),) = await nursery.start(guarded.serve_websocket, "127.0.0.1", 0)
            web = Web(port)
        else:
            web = await nursery.start(host, guarded)
        async with await web.connect() as stream:
            opened = Opened(stream)
            if door == "http":
                sent = web.headers(content_length="2", **bearer("alice"))
                await opened.send("POST", "/mcp", sent, b"{}")
            else:
                head = upgrade("127.0.0.1", "/ws", ("authorization", "Bearer alice"))
                await opened.send_raw(head)
            await verifier.began.wait()
            yield opened
        with trio.fail_after(PATIENCE):
            await verifier.ended.wait()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("door", DOORS)
async def test_a_token_is_judged_while_its_client_waits(door: str) -> None:
    verifier = Endless()
    guarded = server(verifier, limits=Limits(token_seconds=100))
    async with judged(door, guarded, verifier) as opened:
        await opened.stream.aclose()


@pytest.mark.parametrize("door", DOORS)
async def test_a_shutdown_does_not_wait_for_a_verifier(door: str) -> None:
    """Nothing of such a request has begun, so it is refused when the shutdown begins."""
    verifier = Endless()
    guarded = server(verifier, limits=Limits(token_seconds=100), shutdown_grace=PATIENCE * 3)
    async with judged(door, guarded, verifier) as opened:
        guarded.shutdown()
        await opened.begin()
        assert opened.status == 503
        assert "www-authenticate" not in opened.headers
        assert b"shutting down" in await opened.body()


async def host(guarded: Server[Any], *, task_status: trio.TaskStatus[Web]) -> None:
    async with served(guarded) as web:
        task_status.started(web)
        await trio.sleep_forever()


async def test_what_needs_no_token() -> None:
    async with served(server()) as web:
        assert (await web.send("GET", "/healthz")).status == 200
        assert (await web.send("OPTIONS", "/mcp")).status == 204
        assert (await web.send("GET", "/.well-known/oauth-protected-resource")).status == 200


async def test_who_may_not_call_at_all_learns_nothing() -> None:
    verifier = Known()
    async with served(server(verifier)) as web:
        for path in ("/mcp", "/.well-known/oauth-protected-resource/mcp"):
            reply = await web.send("GET", path, host="evil.example", **bearer("alice"))
            assert reply.status == 403
            assert "www-authenticate" not in reply.headers
    assert verifier.seen == []


async def test_middleware_and_custom_routes_see_the_principal() -> None:
    guarded = server()
    seen: list[Any] = []

    @guarded.middleware
    async def watch(ctx: Context, call_next: Any) -> Any:
        seen.append(ctx.principal and ctx.principal.subject)
        return await call_next()

    @guarded.custom_route("/mine", scopes={"files"})
    async def mine(http: HttpRequest) -> str:
        assert http.principal is not None
        return f"{http.principal.subject} {http.headers['authorization']}"

    @guarded.custom_route("/open")
    async def open_(http: HttpRequest) -> str:
        return repr(http.principal)

    async with served(guarded) as web:
        await web.post(request("tools/list"), **bearer("alice"))
        assert seen == ["alice"]
        reply = await web.send("GET", "/mine", **bearer("alice+files"))
        assert reply.body == b"alice Bearer [redacted]"
        reply = await web.send("GET", "/mine", **bearer("alice"))
        assert reply.status == 403
        assert scopes_of(reply.headers["www-authenticate"]) == {"files", "mcp"}
        for token in ({}, bearer("bad"), bearer("x" * 20_000), {"authorization": "Bearer a b"}):
            reply = await web.send("GET", "/mine", **token)
            assert reply.status in (400, 401)
            assert scopes_of(reply.headers["www-authenticate"]) == {"files", "mcp"}
        assert (await web.send("GET", "/open")).body == b"None"


async def test_without_authorization_nothing_is_asked() -> None:
    plain: Server[Any] = Server("plain")

    @plain.tool
    def who(ctx: Context) -> str:
        assert ctx.http_headers is not None
        return f"{ctx.principal} {ctx.http_headers['authorization']}"

    async with served(plain) as web:
        reply = await web.post(call("who"), **bearer("mine"))
        assert reply.message["result"]["content"][0]["text"] == "None Bearer mine"
        reply = await web.send("GET", "/.well-known/oauth-protected-resource")
        assert reply.status == 404


# -- metadata ---------------------------------------------------------------------------------


async def document(web: Web, path: str, **headers: str) -> Any:
    reply = await web.send("GET", f"/.well-known/oauth-protected-resource{path}", **headers)
    assert reply.status == 200, path
    assert reply.headers["content-type"] == "application/json"
    return reply.message


async def test_metadata_of_the_urls_that_clients_use() -> None:
    guarded = server(scopes_supported={"mcp", "files", "offline_access"})
    async with served(guarded) as web:
        origin = f"http://127.0.0.1:{web.port}"
        for path, resource in (("", "/mcp"), ("/mcp", "/mcp"), ("/sse", "/sse"), ("/ws", "/ws")):
            assert await document(web, path) == {
                "resource": f"{origin}{resource}",
                "authorization_servers": ["https://as.example"],
                "scopes_supported": ["files", "mcp"],
                "bearer_methods_supported": ["header"],
            }
        for other in ("/other", "/messages"):
            reply = await web.send("GET", f"/.well-known/oauth-protected-resource{other}")
            assert reply.status == 404
        reply = await web.send("POST", "/.well-known/oauth-protected-resource/mcp")
        assert reply.status == 405


@pytest.mark.parametrize(
    ("audience", "option", "resource"),
    [
        ("https://mcp.example.com/tools", None, "https://mcp.example.com/tools"),
        (["api://x", "https://mcp.example.com/"], None, "https://mcp.example.com/"),
        ("api://x", "https://mcp.example.com/a?b=c", "https://mcp.example.com/a?b=c"),
        ("https://mcp.example.com", "https://other.example", "https://other.example"),
    ],
)
async def test_a_resource_with_a_url_of_its_own(
    audience: Any, option: str | None, resource: str
) -> None:
    verifier = Known()
    verifier.audience = audience
    async with served(server(verifier, resource_url=option)) as web:
        for path in ("", "/mcp"):
            assert (await document(web, path))["resource"] == resource
        reply = await web.send("POST", "/mcp")
        origin, _, path = resource.removeprefix("https://").partition("/")
        told = parameters(reply.headers["www-authenticate"])["resource_metadata"]
        rest = f"/{path}" if path else ""
        assert told == f"https://{origin}/.well-known/oauth-protected-resource{rest}"
        assert (await document(web, rest.partition("?")[0]))["resource"] == resource


SITE = "https://mcp.example.com"
TOLD = [
    # The audiences, the option, and what is told at /mcp, /sse and the bare well-known path.
    ([f"{SITE}/mcp", f"{SITE}/sse"], None, ["/mcp", "/sse", "/mcp"]),
    ([f"{SITE}/sse", SITE, f"{SITE}/mcp"], None, ["/mcp", "/sse", ""]),
    ([f"{SITE}/mcp", f"{SITE}/sse"], SITE, ["", "", ""]),
    ([f"{SITE}/mcp", f"{SITE}/sse"], f"{SITE}/mcp", ["/mcp", "/sse", "/mcp"]),
    ([f"{SITE}/a/mcp", f"{SITE}/a/sse"], None, ["/a/mcp", "/a/sse", "/a/mcp"]),
    (
        [f"{SITE}/m", f"{SITE}/mcp/more", f"{SITE}/mcp?x=y", f"{SITE}/"],
        None,
        ["/mcp?x=y", "/", "/"],
    ),
]


@pytest.mark.parametrize(("audiences", "option", "told"), TOLD)
async def test_the_resource_that_fits_an_endpoint_is_told(
    audiences: list[str], option: str | None, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    verifier = Known()
    verifier.audience = audiences
    async with served(server(verifier, resource_url=option)) as web:
        for path, rest in zip(("/mcp", "/sse", ""), told, strict=True):
            assert (await document(web, path))["resource"] == SITE + rest
            if path:
                challenge = (await web.send("GET", path)).headers["www-authenticate"]
                url = f"{SITE}/.well-known/oauth-protected-resource{rest.rstrip('/')}"
                assert parameters(challenge)["resource_metadata"] == url
    assert "cannot log in" not in caplog.text


async def test_of_several_hosts_the_one_that_was_asked_is_told() -> None:
    verifier = Known()
    verifier.audience = ["http://a.example/mcp", "http://b.example/mcp"]
    async with served(server(verifier), allowed_hosts=["*"]) as web:
        for host in ("a.example", "B.example"):
            reply = await web.send("GET", "/mcp", host=host)
            url = parameters(reply.headers["www-authenticate"])["resource_metadata"]
            assert url.startswith(f"http://{host.lower()}/")


async def test_an_endpoint_outside_of_the_resource_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served(server(resource_url=f"{SITE}/mcp")) as web:
        for path in ("/mcp", "/sse", "/sse", "/messages", "/mcp"):
            assert (await web.send("GET", path)).status == 401
    (record,) = [each for each in caplog.records if "cannot log in" in each.getMessage()]
    assert "'/sse'" in record.getMessage()
    assert f"resource_url='{SITE}'" in record.getMessage()


@pytest.mark.parametrize(("mount", "quoted"), [("/a b", "/a%20b"), ("/é", "/%C3%A9")])
async def test_a_path_is_told_as_it_is_written_in_urls(mount: str, quoted: str) -> None:
    guarded = server()
    app = guarded.http_app("/mcp")
    site = Starlette(routes=[Mount(mount, app=app)], lifespan=guarded.asgi_lifespan)
    async with served(guarded, app=site) as web:
        origin = f"http://127.0.0.1:{web.port}"
        reply = await web.send("POST", f"{quoted}/mcp")
        told = parameters(reply.headers["www-authenticate"])["resource_metadata"]
        assert told == f"{origin}{quoted}/.well-known/oauth-protected-resource/mcp"
        reply = await web.send("GET", told.removeprefix(origin))
        assert reply.message["resource"] == f"{origin}{quoted}/mcp"


async def test_an_application_below_a_path_tells_where_its_metadata_can_be_had() -> None:
    async with served(server(), root_path="/tools") as web:
        reply = await web.send("POST", "/mcp")
        told = parameters(reply.headers["www-authenticate"])["resource_metadata"]
        origin = f"http://127.0.0.1:{web.port}"
        assert told == f"{origin}/tools/.well-known/oauth-protected-resource/mcp"
        for path in ("/mcp", "/tools/mcp"):
            assert (await document(web, path))["resource"] == f"{origin}/tools/mcp"


async def test_an_application_that_is_mounted_tells_where_its_metadata_can_be_had() -> None:
    """Also where the mount is the endpoint itself."""
    guarded = server()
    app = guarded.http_app("/")
    site = Starlette(routes=[Mount("/mine", app=app)], lifespan=guarded.asgi_lifespan)
    async with served(guarded, app=site) as web:
        origin = f"http://127.0.0.1:{web.port}"
        reply = await web.send("POST", "/mine/")
        assert reply.status == 401
        told = parameters(reply.headers["www-authenticate"])["resource_metadata"]
        assert told == f"{origin}/mine/.well-known/oauth-protected-resource"
        reply = await web.send("GET", told.removeprefix(origin))
        assert reply.message["resource"] == f"{origin}/mine"


async def test_without_an_authorization_server_there_is_no_metadata() -> None:
    """Such as with API keys: then there is nothing that a client could discover."""
    verifier = Known()
    verifier.issuer = None
    async with served(server(verifier)) as web:
        reply = await web.send("POST", "/mcp")
        assert reply.headers["www-authenticate"] == 'Bearer scope="mcp"'
        assert (await web.send("GET", "/.well-known/oauth-protected-resource")).status == 404


@pytest.mark.parametrize(
    "options",
    [
        {"required_scopes": "mcp"},
        {"required_scopes": {"a b"}},
        {"required_scopes": {'a"'}},
        {"required_scopes": {"mcp", "offline_access"}},
        {"resource_url": "mcp.example.com"},
        {"resource_url": "https://u:secret@mcp.example.com/mcp"},
        {"resource_url": "https://mcp.example.com:99999/mcp"},
        {"resource_url": "https://mcp.example.com:0/mcp"},
        {"resource_url": "https://:443/mcp"},
        {"resource_url": "https://mcp.example.com/#x"},
        {"resource_url": 'https://mcp.example.com/"'},
        {"authorization_servers": "https://as.example"},
        {"authorization_servers": ["as.example"]},
        {"auth": object()},
        {"auth": None},
    ],
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(RegistrationError) as caught:
        Server("guarded", **{"auth": Known(), "required_scopes": {"mcp"}, **options})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("path", ["/mcp", "/mcp/", "/sse", "/messages"])
def test_a_custom_route_does_not_replace_an_endpoint_that_asks_for_tokens(path: str) -> None:
    async def answer(http: HttpRequest) -> str:
        return "open to all"

    before, after, plain = server(), server(), Server("plain")
    before.custom_route(path)(answer)
    with pytest.raises(RegistrationError, match="access tokens"):
        before.asgi_app()
    after.asgi_app()
    with pytest.raises(RegistrationError, match="access tokens"):
        after.custom_route(path)
    after.custom_route("/mcp/more")(answer)
    plain.custom_route(path)(answer)
    plain.asgi_app()


def test_scopes_that_nobody_asks_for_are_refused() -> None:
    with pytest.raises(RegistrationError, match="auth="):
        Server("plain").custom_route("/x", scopes={"files"})


# -- any input --------------------------------------------------------------------------------

VALUES = st.binary(max_size=60) | st.sampled_from(
    [b"Bearer alice", b"bearer  alice", b"Bearer a,b", b"Basic x", b"Bearer"]
)


@hypothesis.given(st.lists(VALUES, max_size=3), st.lists(st.text(max_size=20), max_size=3))
def test_a_token_is_read_whole_or_not_at_all(values: list[bytes], offered: list[str]) -> None:
    scope = {
        "type": "websocket",
        "headers": [(b"Authorization", value) for value in values],
        "subprotocols": ["mcp", *(f"bearer.{each}" for each in offered)],
    }
    try:
        found = credentials_in(scope)
    except MalformedCredentials:
        return
    assert len(values) + len(offered) <= 1
    if found is not None:
        scheme, token = found
        assert scheme == "bearer"
        assert token.isascii()
        assert token.isprintable()
        assert not set(token) & set(" ,")
        assert token in (offered or [values[0].decode("latin-1")])[0]
    headers, bare = without_token(scope)
    assert bare["subprotocols"] == ["mcp"]
    assert set(headers.values()) <= {"Bearer [redacted]"}


async def test_a_challenge_is_always_one_header() -> None:
    """Whatever a verifier says of a token: no line, no quotation mark, not the token."""

    class Rude(Known):
        async def verify(self, token: str) -> Any:
            raise InvalidToken(f'"{token}"\r\nSet-Cookie: x=\xff\\' + "y" * 1000)

    rude = ResourceServer(
        Rude(), Limits(), required=frozenset(), supported=None, resource=None, issuers=None
    )
    http = HttpRequest(
        {},
        {"type": "http", "path": "/mcp", "headers": [(b"authorization", b"Bearer secret-token")]},
    )
    with trio.fail_after(PATIENCE), pytest.raises(Denied) as caught:
        await rude.admit(http)
    challenge = caught.value.headers["www-authenticate"]
    assert challenge.isascii()
    assert challenge.isprintable()
    assert challenge.count('"') == 6
    assert len(challenge) < 500
    assert "secret-token" not in challenge + str(caught.value)


async def test_no_part_of_a_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """In no form; but which exceptions there were, and where."""
    token = 'headhead.body/"body.signature'
    forms = [token, quote(token, safe=""), json.dumps(token), token[:12], token[9:19]]

    class Careless(Known):
        async def verify(self, token: str) -> Any:
            try:
                raise KeyError(forms[0])
            except KeyError:
                raise failure  # noqa: B904

    kinds = (ValueError, VerifierUnavailable, InvalidToken, SystemExit)
    for form, kind in itertools.product(forms, kinds):
        caplog.clear()
        caplog.set_level(logging.INFO)
        failure = kind(f"cannot decode {form}")
        async with served(server(Careless())) as web:
            reply = await web.post(call("who"), **bearer(token))
        assert reply.status == (401 if kind is InvalidToken else 503)
        said = caplog.text + reply.body.decode() + str(reply.headers)
        assert not any(each in said for each in ("headhead", "body", "signature"))
        if kind is ValueError:
            assert "ValueError in verify (" in said
            assert "test_door.py" in said


@pytest.mark.parametrize("reason", [5, None, ["x"], ""])
async def test_any_reason_is_made_text(reason: Any) -> None:
    class Odd(Known):
        async def verify(self, token: str) -> Any:
            raise InvalidToken(reason)

    async with served(server(Odd())) as web:
        reply = await web.post(call("who"), **bearer("alice"))
        assert reply.status == 401
        assert parameters(reply.headers["www-authenticate"])["error_description"]


async def test_an_interrupt_passes_a_verifier() -> None:
    class Interrupted(Known):
        async def verify(self, token: str) -> Any:
            raise KeyboardInterrupt

    judge = server(Interrupted()).authorization
    assert judge is not None
    scope = {"type": "http", "path": "/mcp", "headers": [(b"authorization", b"Bearer alice")]}
    with pytest.raises(KeyboardInterrupt):
        await judge.admit(HttpRequest({}, scope))


ODD = [
    ({"subject": None}, TypeError),
    ({"subject": 5}, TypeError),
    ({"subject": ""}, ValueError),
    ({"client": 5}, TypeError),
    ({"client": ""}, ValueError),
    ({"issuer": b"x"}, TypeError),
    ({"scopes": "mcp files"}, TypeError),
    ({"scopes": b"mcp"}, TypeError),
    ({"scopes": None}, TypeError),
    ({"scopes": [1]}, TypeError),
    ({"scopes": [["mcp"]]}, TypeError),
    ({"claims": None}, TypeError),
    ({"claims": [("a", 1)]}, TypeError),
    ({"expires": None}, TypeError),
    ({"expires": "5"}, TypeError),
    ({"expires": True}, TypeError),
    ({"expires": float("nan")}, ValueError),
    ({"expires": 10**400}, ValueError),
]


@pytest.mark.parametrize(("fields", "kind"), ODD)
async def test_a_principal_that_makes_no_sense(
    fields: dict[str, Any], kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    (name,) = fields
    whole = {"subject": "alice", **fields}
    with pytest.raises(kind, match=f"{name}="):
        Principal(**whole)

    class Odd(Known):
        async def verify(self, token: str) -> Any:
            return Principal(**whole)

    async with served(server(Odd())) as web:
        reply = await web.post(call("who"), **bearer("alice"))
        assert reply.status == 503
    assert kind.__name__ in caplog.text


def test_a_server_without_authorization_loads_nothing_of_it() -> None:
    plain = loaded("from trimcp import Server; Server('x').http_app()")
    names = {"trimcp.auth", "joserfc", "trimcp.server._resource_server", "trimcp.server._bearer"}
    assert names & plain == set()


def test_a_principal_is_told_by_issuer_subject_and_client() -> None:
    assert principal("a").identity == principal("a", "more", seconds=5).identity
    assert principal("a").identity != principal("a", client="other").identity
