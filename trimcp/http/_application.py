"""The ASGI application: lifespan, protection, routes, and the border for errors."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
import trio

from trimcp._groups import logged
from trimcp.errors import NotServing
from trimcp.protocol.http import SESSION_ID, fold_headers
from trimcp.runtime import NETWORK_GRACE, WELL_KNOWN, Denied, HttpRequest, path_in, root_of

from ._access import note_answered
from ._admitting import admitted
from ._asgi import ENDINGS, disconnect_of, tell_without_trio
from ._legacy import MessagesEndpoint, StreamEndpoint
from ._routes import CustomEndpoint
from ._settings import Settings
from ._streamable import StreamableEndpoint
from ._visits import Refused, RequestBody, Response, Visit, refused_as
from ._websocket import refuse_websocket, websocket_endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trimcp.protocol import Callers
    from trimcp.protocol.http import Headers
    from trimcp.runtime import Served, Serving

    from ._asgi import Receive, Scope, Send

__all__ = [
    "Endpoint",
    "HttpApplication",
    "WebSocketApp",
    "make_asgi_app",
    "make_http_app",
    "make_sse_app",
]

logger = logging.getLogger("trimcp.http")

_HEALTH: Final = "/healthz"
_MCP: Final = "/mcp"
_SSE: Final = "/sse"
_MESSAGES: Final = "/messages"
_WEBSOCKET: Final = "/ws"

#: The answer to a plain HTTP request at the path of the WebSocket.
_UPGRADE_REQUIRED: Final = 426

#: Headers that a page of another origin may read, if it may read the answer.
_READABLE: Final = f"{SESSION_ID}, www-authenticate, dpop-nonce"

#: Seconds for sending that the application has failed.
_CLOSE_SECONDS: Final = 1.0

#: How long a browser may cache the answer to a CORS preflight, in seconds.
_PREFLIGHT_SECONDS: Final = "600"


class Endpoint(Protocol):
    """Answers the requests for one path."""

    @property
    def methods(self) -> Sequence[str]:
        """The HTTP methods that it knows."""

    @property
    def scopes(self) -> frozenset[str] | None:
        """What a caller needs beside the server's own required scopes; None for no token."""

    async def serve(self, visit: Visit) -> None:
        """Answer one. Raises Refused."""


class HttpApplication:
    """An ASGI application of a server.

    Args:
        server: The server. While its application is not open every request gets 503.
        endpoints: By path.
        settings: What the user chose.
        websocket_path: Where WebSockets are served, if anywhere.

    Raises:
        RegistrationError: A custom route would replace an endpoint that asks for tokens.

    Attributes:
        keeps_sessions: Whether a client's next request must come to the same process.
    """

    def __init__(
        self,
        server: Served,
        endpoints: Mapping[str, Endpoint],
        settings: Settings,
        *,
        websocket_path: str | None = None,
    ) -> None:
        self._server = server
        self._endpoints = dict(endpoints)
        if server.authorization is not None:
            server.claim(self._endpoints)
        self._websocket_path = websocket_path
        self.keeps_sessions = settings.sessions
        self._callers = settings.callers
        self._websocket_callers: Callers | None = settings.callers
        self._readers = settings.readers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI callable."""
        if not trio.lowlevel.in_trio_run():
            await tell_without_trio(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._contained(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._serve_websocket(scope, receive, send)
        else:
            raise ValueError(f"unknown ASGI scope {scope['type']!r}")

    async def _live(self, receive: Receive, send: Send) -> None:
        """Keep the application open between the server's startup and shutdown events.

        When it ends by itself, requests get 503 until the process is gone, since ASGI has no event
        for that. The ASGI server handles signals.

        Specification: ASGI, Lifespan Protocol.
        """
        await receive()
        state = "startup"
        try:
            async with self._server.application(signals=False):
                await send({"type": "lifespan.startup.complete"})
                state = "running"
                await receive()
                state = "shutdown"
        except Exception as error:
            name = self._server.identity.name
            logger.error("the application of server %r failed", name, exc_info=logged(error))
            outcome = {"type": "lifespan.shutdown.failed", "message": type(error).__name__}
        else:
            outcome = {"type": "lifespan.shutdown.complete"}
        if state == "startup":
            outcome["type"] = "lifespan.startup.failed"
        elif state == "running":
            await receive()
        await send(outcome)

    async def _contained(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises only Cancelled, since other errors may end the server."""
        response = Response(send)
        began = response.last_sent
        try:
            await self._serve(scope, receive, response)
        except* ENDINGS:
            raise
        except* ConnectionError as gone:
            logger.debug("a client went away", exc_info=logged(gone))
        except* BaseException as failure:
            logger.error("%s %s failed", scope["method"], scope["path"], exc_info=logged(failure))
            await _fail(response)
        finally:
            note_answered(scope, response, began)

    async def _serve(self, scope: Scope, receive: Receive, response: Response) -> None:
        http = HttpRequest(fold_headers(scope["headers"]), scope, is_mirror=True)
        gone = disconnect_of(scope)
        body = RequestBody(receive, is_here=gone is not None and gone.has_body)
        try:
            await self._visit(http, body, response)
        except NotServing as error:
            await _refuse(response, body, Refused(503, str(error)))
        except Denied as denied:
            await _refuse(response, body, refused_as(denied))
        except Refused as refused:
            await _refuse(response, body, refused)
        finally:
            body.release()

    async def _visit(self, http: HttpRequest, body: RequestBody, response: Response) -> None:
        """Find out what is wanted and answer it. Raises Refused, NotServing."""
        path = path_in(http.scope)
        if path == _HEALTH:
            await self._tell_health(http, response)
            return
        application = self._entered()
        self._check_caller(application, http.headers)
        self._share(http, response)
        endpoint = self._find(path, http)
        if http.method == "OPTIONS":
            await _answer_preflight(http, response, endpoint)
            return
        visit = Visit(application, http, body, response)
        gone = disconnect_of(http.scope)
        visit.lent = None if gone is None else gone.scope_for(self)
        with application.attending(visit, NETWORK_GRACE):
            authorization = self._server.authorization
            if authorization is not None and endpoint.scopes is not None:
                if isinstance(endpoint, MessagesEndpoint):
                    # It is one resource with the stream, whose URL is all that a client knows.
                    http = attrs.evolve(http, resource_path=_SSE)
                visit.http = await admitted(application, authorization, http, endpoint.scopes)
                response.headers.update(visit.http.response_headers)
            _check_method(endpoint, http.method)
            await endpoint.serve(visit)

    def _entered(self) -> Serving:
        """The server's application. Raises Refused (503)."""
        application = self._server.running
        if application is None:
            logger.error(
                "the application of server %r is not open: serve it with lifespan events, or "
                "enter server.asgi_lifespan or server.application() around it",
                self._server.identity.name,
            )
            raise Refused(503, "the server's application is not open")
        if application.is_closing:
            raise Refused(503, "the server is shutting down", headers={"connection": "close"})
        limit = self._server.limits.http_requests
        if len(application.guests) >= limit:
            logger.warning("more than %d HTTP requests at once: one refused", limit)
            raise Refused(503, "too many requests at once", headers={"retry-after": "1"})
        return application

    def _check_caller(self, application: Serving, headers: Headers) -> None:
        """Specification: Streamable HTTP, Security & Endpoint. Raises Refused (403)."""
        origins = [headers["origin"]] if "origin" in headers else []
        host = headers.get("host", "")
        refusal = application.refusal(self._callers, host, origins)
        if refusal is not None:
            raise Refused(403, refusal)

    def _find(self, path: str, http: HttpRequest) -> Endpoint:
        endpoint = self._endpoints.get(path) or self._endpoints.get(path.rstrip("/"))
        route = self._server.custom_routes.get(path)
        if route is not None:
            endpoint = CustomEndpoint(route)
        elif path.startswith(WELL_KNOWN):
            endpoint = self._described(path.removeprefix(WELL_KNOWN), http)
        if endpoint is None:
            raise Refused(404, "there is nothing here")
        return endpoint

    def _described(self, path: str, http: HttpRequest) -> Endpoint | None:
        """What tells of the protected resource at a path; None where there is none.

        At the bare well-known path that is the whole origin, if the server was told so, or else the
        first endpoint.
        """
        authorization = self._server.authorization
        if authorization is None:
            return None
        path = path.removeprefix(root_of(http.scope)).rstrip("/")
        told = authorization.resource_paths
        mine = {*self._endpoints, *self._server.custom_routes, self._websocket_path, *told}
        is_part = isinstance(self._endpoints.get(path), MessagesEndpoint)
        if path and (is_part or path not in mine):
            return None
        from ._metadata import MetadataEndpoint

        if not path and path not in told:
            path = next(iter([*self._endpoints, self._websocket_path or ""])).rstrip("/")
        return MetadataEndpoint(authorization, path)

    def _share(self, http: HttpRequest, response: Response) -> None:
        """Let a page of another origin, if that is allowed, read the answer."""
        origin = http.headers.get("origin")
        if origin is None or self._readers is None:
            return
        if self._readers.refusal("", [origin]) is None:
            response.headers["access-control-allow-origin"] = origin
            response.headers["access-control-expose-headers"] = _READABLE
            response.headers["vary"] = "origin"

    async def _tell_health(self, http: HttpRequest, response: Response) -> None:
        """Say whether requests are served, for load balancers; under any host name."""
        if http.method not in ("GET", "HEAD"):
            raise Refused(405, "only GET, HEAD here", headers={"allow": "GET, HEAD"})
        application = self._server.running
        is_well = application is not None and not application.is_closing
        body = b"ok\n" if is_well else b"not serving\n"
        plain = {"content-type": "text/plain; charset=utf-8"}
        await response.whole(200 if is_well else 503, body, plain)

    async def _serve_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if path_in(scope) != self._websocket_path:
                raise Refused(404, "there is nothing here")
            application = self._entered()
        except Refused as refused:
            await refuse_websocket(scope, receive, send, refused.status, refused.message)
            return
        await websocket_endpoint(application, scope, receive, send, callers=self._websocket_callers)


class WebSocketApp(HttpApplication):
    """An HTTP application without endpoints: it serves a server's WebSockets and their metadata.

    It joins the application that the user has opened, or opens its own, from the ASGI server's
    `lifespan.startup` to its `lifespan.shutdown`; without these events every client is refused with
    503.

    Args:
        server: The server.
        path: The path of the server's URL.
        callers: Who may connect; see `websocket_endpoint`.
    """

    def __init__(self, server: Served, path: str, callers: Callers | None) -> None:
        super().__init__(server, {}, Settings(sessions=False), websocket_path=path)
        self._websocket_callers = callers
        self._callers = callers or self._callers
        self._application: Serving | None = None

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            # The process belongs to the ASGI server, and with it the signals.
            async with self._server.joined(signals=False) as self._application:
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception:
            event = "startup" if self._application is None else "shutdown"
            with trio.CancelScope(shield=True, relative_deadline=_CLOSE_SECONDS):
                await send({"type": f"lifespan.{event}.failed"})
            raise
        finally:
            self._application = None
        await send({"type": "lifespan.shutdown.complete"})

    async def _contained(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a plain HTTP request: only WebSockets are served, and what is told of them."""
        if self._server.authorization is not None and path_in(scope).startswith(WELL_KNOWN):
            await super()._contained(scope, receive, send)
            return
        status = _UPGRADE_REQUIRED if path_in(scope) == self._websocket_path else 404
        headers = [(b"upgrade", b"websocket"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body"})

    def _entered(self) -> Serving:
        if self._application is None:
            logger.error("the ASGI server has sent no lifespan events: no request can be served")
            raise Refused(503, "the server has not been started")
        return self._application


def _check_method(endpoint: Endpoint, method: str) -> None:
    """Raises Refused (405)."""
    if method not in endpoint.methods:
        allowed = ", ".join(endpoint.methods)
        raise Refused(405, f"only {allowed} here", headers={"allow": allowed})


async def _refuse(response: Response, body: RequestBody, refused: Refused) -> None:
    if response.has_begun:
        await response.end()
        return
    await response.json(refused.status, refused.body, refused.headers, more=True)
    await body.linger()
    await response.end()


async def _fail(response: Response) -> None:
    if not response.has_begun:
        await response.json(500, Refused(500, "Internal error").body)


async def _answer_preflight(http: HttpRequest, response: Response, endpoint: Endpoint) -> None:
    """Tell a browser what a page of the allowed origin may send.

    Specification: Fetch Standard, CORS-preflight.
    """
    wanted = http.headers.get("access-control-request-headers", "")
    allowed = ", ".join(endpoint.methods)
    headers = {"allow": allowed}
    if "access-control-allow-origin" in response.headers:
        headers |= {
            "access-control-allow-methods": allowed,
            "access-control-max-age": _PREFLIGHT_SECONDS,
        }
        if wanted:
            headers["access-control-allow-headers"] = wanted
    await response.whole(204, headers=headers)


# -- making one -------------------------------------------------------------------------------


def make_http_app(server: Served, path: str, options: Mapping[str, Any]) -> HttpApplication:
    """See `Server.http_app`."""
    settings = Settings(**options)
    return HttpApplication(server, {_checked(path): StreamableEndpoint(settings)}, settings)


def make_sse_app(server: Served, options: Mapping[str, Any]) -> HttpApplication:
    """See `Server.sse_app`."""
    settings = Settings(**options)
    if not settings.sessions:
        raise ValueError("HTTP+SSE is nothing but sessions: http_app() can do without")
    return HttpApplication(server, _legacy(settings), settings)


def make_asgi_app(
    server: Served, options: Mapping[str, Any], listening: Sequence[str] = ()
) -> HttpApplication:
    """See `Server.asgi_app`.

    Args:
        server: The server.
        options: See `HttpOptions`.
        listening: Names that are the server's own.
    """
    settings = Settings(**options, listening=listening)
    endpoints: dict[str, Endpoint] = {_MCP: StreamableEndpoint(settings)}
    if settings.sessions:
        endpoints |= _legacy(settings)
    return HttpApplication(server, endpoints, settings, websocket_path=_WEBSOCKET)


def _legacy(settings: Settings) -> dict[str, Endpoint]:
    return {_SSE: StreamEndpoint(settings, _MESSAGES), _MESSAGES: MessagesEndpoint()}


def _checked(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"the path {path!r} does not begin with a slash")
    return path.rstrip("/") or "/"
