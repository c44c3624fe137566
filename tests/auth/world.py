"""An MCP server that demands tokens and the authorization server that gives them, on one port.

What a test wants otherwise it changes in the `World`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import trio

from trimcp.auth import OAuth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trimcp.auth import TokenStorage

#: Seconds within which everything happens; some tests have a clock that jumps.
SOON = 3600.0

#: Grants in which no user takes part.
WITHOUT_USER = ("client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer")

#: The most requests that one test makes, so that one which would go on for ever fails.
MOST = 200


@attrs.define
class Request:
    """One HTTP request.

    Attributes:
        method: Such as GET.
        target: Its path and query.
        headers: By their names in lower case.
        body: Its body.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def form(self) -> dict[str, str]:
        pairs = parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True)
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))

    @property
    def rpc(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self.body)
        return loaded


@attrs.define
class Answer:
    """What is answered to a request."""

    status: int = 200
    document: Any = None
    headers: dict[str, str] = attrs.field(factory=dict)

    @property
    def wire(self) -> bytes:
        body = b"" if self.document is None else json.dumps(self.document).encode()
        lines = [f"HTTP/1.1 {self.status} X", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if body:
            lines.append("content-type: application/json")
        return "\r\n".join([*lines, "", ""]).encode() + body


@attrs.define
class World:
    """Both servers.

    Attributes:
        origin: Where they are.
        requests: All of them, in order.
        challenge: What a request without a good token is told.
        scopes: Those that a call of a tool needs.
        answer_with: What is answered otherwise, by path.
        before: Called before a request is answered, by path; its answer counts, if it gives one.
        good: The access tokens that are good, with their scopes.
        refresh: The refresh tokens that are good, with their scopes.
        life: What tokens say of their life, in seconds.
        gives_refresh: Whether there are refresh tokens.
        withheld: Scopes that no token gets.
        more_metadata: Added to the authorization server's metadata.
        more_resource: Added to the server's metadata.
        ttl_ms: How long a list may be kept.
        websocket: The port of a server to which WebSockets are passed on.
    """

    origin: str
    requests: list[Request] = attrs.field(factory=list)
    challenge: str = ""
    scopes: set[str] = attrs.field(factory=set)
    answer_with: dict[str, Answer] = attrs.field(factory=dict)
    before: dict[str, Any] = attrs.field(factory=dict)
    good: dict[str, set[str]] = attrs.field(factory=dict)
    refresh: dict[str, set[str]] = attrs.field(factory=dict)
    life: int | None = 3600
    gives_refresh: bool = True
    withheld: set[str] = attrs.field(factory=set)
    more_metadata: dict[str, Any] = attrs.field(factory=dict)
    more_resource: dict[str, Any] = attrs.field(factory=dict)
    ttl_ms: int = 0
    websocket: int = 0
    _codes: dict[str, dict[str, str]] = attrs.field(factory=dict)

    @property
    def url(self) -> str:
        return f"{self.origin}/mcp"

    def of(self, path: str) -> list[Request]:
        """The requests of a path."""
        return [each for each in self.requests if each.path == path]

    @property
    def calls(self) -> list[Request]:
        """The calls of tools."""
        return [each for each in self.of("/mcp") if each.rpc["method"] == "tools/call"]

    @property
    def logins(self) -> list[dict[str, str]]:
        """The parameters of the authorization requests."""
        return [each.query for each in self.of("/authorize")]

    def revoke(self) -> None:
        """No token is good any more, but for refreshing."""
        self.good.clear()

    async def answer(self, request: Request) -> Answer:
        self.requests.append(request)
        assert len(self.requests) <= MOST
        if request.path in self.before:
            given: Answer | None = await self.before[request.path](request)
            if given is not None:
                return given
        if request.path in self.answer_with:
            return self.answer_with[request.path]
        routes: dict[str, Callable[[Request], Answer]] = {
            "/mcp": self._mcp,
            "/ws": self._ws,
            "/.well-known/oauth-protected-resource/mcp": self._resource,
            "/.well-known/oauth-authorization-server": self._metadata,
            "/register": self._register,
            "/authorize": self._authorize,
            "/token": self._token,
        }
        route = routes.get(request.path)
        return Answer(404) if route is None else route(request)

    def _resource(self, request: Request) -> Answer:
        document = {"resource": self.url, "authorization_servers": [self.origin]}
        return Answer(200, document | self.more_resource)

    def _metadata(self, request: Request) -> Answer:
        document = {
            "issuer": self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "registration_endpoint": f"{self.origin}/register",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return Answer(200, document | self.more_metadata)

    def _register(self, request: Request) -> Answer:
        return Answer(201, {**request.rpc, "client_id": f"client{len(self.of('/register'))}"})

    def _authorize(self, request: Request) -> Answer:
        asked = request.query
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        back = {"code": code, "state": asked["state"], "iss": self.origin}
        return Answer(302, headers={"location": f"{asked['redirect_uri']}?{urlencode(back)}"})

    def _token(self, request: Request) -> Answer:
        form = request.form
        if form["grant_type"] == "refresh_token":
            scopes = self.refresh.pop(form["refresh_token"], None)
            if scopes is None:
                return Answer(400, {"error": "invalid_grant"})
            return self._tokens(scopes)
        if form["grant_type"] in WITHOUT_USER:
            return self._tokens(set(form.get("scope", "").split()))
        asked = self._codes.pop(form["code"])
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
        for name in ("redirect_uri", "resource"):
            assert form[name] == asked[name], name
        if "authorization" not in request.headers:
            assert form["client_id"] == asked["client_id"]
        return self._tokens(set(asked.get("scope", "").split()))

    def _tokens(self, scopes: set[str]) -> Answer:
        token, refresh = (f"{kind}-{secrets.token_urlsafe()}" for kind in ("access", "refresh"))
        scopes = scopes - self.withheld
        self.good[token] = scopes
        document: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        if self.life is not None:
            document["expires_in"] = self.life
        if self.gives_refresh:
            self.refresh[refresh] = scopes
            document["refresh_token"] = refresh
        return Answer(200, document)

    def _unauthorized(self, request: Request) -> Answer | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer" and token in self.good:
            return None
        said = self.challenge or f'Bearer resource_metadata="{self._hint}"'
        return Answer(401, headers={"www-authenticate": said})

    def _ws(self, request: Request) -> Answer:
        return self._unauthorized(request) or Answer(101)

    def _mcp(self, request: Request) -> Answer:
        refusal = self._unauthorized(request)
        if refusal is not None:
            return refusal
        scheme, _, token = request.headers["authorization"].partition(" ")
        method = request.rpc["method"]
        if method == "tools/call" and not self.scopes <= self.good[token]:
            scope = " ".join(sorted(self.scopes))
            said = f'{scheme} error="insufficient_scope", scope="{scope}"'
            return Answer(403, headers={"www-authenticate": said})
        return Answer(
            200, {"jsonrpc": "2.0", "id": request.rpc["id"], "result": self._result(method)}
        )

    @property
    def _hint(self) -> str:
        return f"{self.origin}/.well-known/oauth-protected-resource/mcp"

    def _result(self, method: str) -> dict[str, Any]:
        if method == "server/discover":
            return {
                "resultType": "complete",
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}},
                "ttlMs": 0,
                "cacheScope": "private",
            }
        if method == "tools/list":
            tool = {"name": "x", "inputSchema": {"type": "object"}}
            more = {"ttlMs": self.ttl_ms, "cacheScope": "private"}
            return {"resultType": "complete", "tools": [tool], **more}
        return {"resultType": "complete", "content": [{"type": "text", "text": "done"}]}

    async def visit(self, url: str) -> str:
        """A user who agrees to everything, without a browser."""
        answer = await self.answer(Request("GET", url.removeprefix(self.origin), {}, b""))
        return answer.headers["location"]

    def oauth(self, storage: TokenStorage | None = None, **options: Any) -> OAuth:
        """A login without a browser."""
        return OAuth(storage=storage, **{"redirect": self.visit, **options})


WorldT = TypeVar("WorldT", bound=World)


@asynccontextmanager
async def open_world(**changes: Any) -> AsyncIterator[World]:
    """Both servers, on the loopback."""
    async with open_world_of(World, **changes) as world:
        yield world


@asynccontextmanager
async def open_world_of(kind: type[WorldT], **changes: Any) -> AsyncIterator[WorldT]:
    """Both servers, of another kind."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    world = kind(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", **changes)

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                while (request := await _read(stream)) is not None:
                    answer = await world.answer(request)
                    if answer.status == 101:
                        await _relay(request, stream, world.websocket)
                        return
                    await stream.send_all(answer.wire)
            except trio.BrokenResourceError:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        try:
            with trio.fail_after(SOON):
                yield world
        finally:
            nursery.cancel_scope.cancel()


async def _read(stream: trio.SocketStream) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await stream.receive_some()
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    while len(body) < int(headers.get("content-length", 0)):
        body += await stream.receive_some()
    return Request(method, target, headers, body)


async def _relay(request: Request, stream: trio.SocketStream, port: int) -> None:
    """Pass a WebSocket on to another server."""
    lines = [f"{name}: {value}" for name, value in request.headers.items()]
    other = await trio.open_tcp_stream("127.0.0.1", port)

    async def pass_on(source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            async for piece in source:
                await target.send_all(piece)
        finally:
            nursery.cancel_scope.cancel()

    async with other, trio.open_nursery() as nursery:
        await other.send_all(
            "\r\n".join([f"GET {request.target} HTTP/1.1", *lines, "", ""]).encode()
        )
        nursery.start_soon(pass_on, stream, other)
        nursery.start_soon(pass_on, other, stream)
