"""A client that logs in. Its server and the authorization server run beside it, the latter for one
user who agrees to everything."""

import functools
import json
import secrets
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import trio

from trimcp import (
    AuthorizationFailed,
    HttpRequest,
    HttpResponse,
    InvalidToken,
    Principal,
    Server,
    open_client,
)
from trimcp.auth import MemoryTokenStorage, OAuth

TOKENS: dict[str, Principal] = {}
ASKED: dict[str, str] = {}


class Issued:
    """Knows the tokens that were given out below."""

    async def verify(self, token: str) -> Principal:
        if token not in TOKENS:
            raise InvalidToken
        return TOKENS[token]


def protected(issuer: str) -> Server[None]:
    """An MCP server that wants tokens of an authorization server."""
    server = Server(
        "protected", auth=Issued(), authorization_servers=[issuer], required_scopes={"notes:read"}
    )

    @server.tool
    def read_notes() -> str:
        return "buy milk"

    @server.tool(scopes={"notes:write"})
    def write_note(text: str) -> str:
        return f"noted: {text}"

    return server


# -- the authorization server -------------------------------------------------------------------

issuing = Server("issuing")


def answer(document: dict[str, Any], status: int = 200) -> HttpResponse:
    body = json.dumps(document).encode()
    return HttpResponse(body, status, {"content-type": "application/json"})


@issuing.custom_route("/.well-known/oauth-authorization-server")
async def metadata(request: HttpRequest) -> HttpResponse:
    issuer = f"http://{request.headers['host']}"
    return answer(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "registration_endpoint": f"{issuer}/register",
            "code_challenge_methods_supported": ["S256"],
        }
    )


@issuing.custom_route("/register", methods=["POST"])
async def register(request: HttpRequest) -> HttpResponse:
    asked = json.loads(request.body)
    print("registered:", asked["client_name"], asked["application_type"])
    return answer({**asked, "client_id": "c1"}, 201)


@issuing.custom_route("/authorize")
async def authorize(request: HttpRequest) -> HttpResponse:
    asked = {name: values[0] for name, values in request.query.items()}
    code = secrets.token_urlsafe()
    ASKED[code] = asked["scope"]
    print("the user agrees to:", asked["scope"])
    target = f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"
    return HttpResponse(b"", 302, {"location": target})


@issuing.custom_route("/token", methods=["POST"])
async def token(request: HttpRequest) -> HttpResponse:
    (code,) = parse_qs(request.body.decode())["code"]
    issued = secrets.token_urlsafe()
    TOKENS[issued] = Principal("alice", "c1", scopes=ASKED.pop(code).split())
    return answer({"access_token": issued, "token_type": "Bearer", "expires_in": 3600})


# -- the client ---------------------------------------------------------------------------------


async def visit(url: str) -> str:
    """Stands for a user with a browser: goes where it is sent, and says where that ended."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        page = await browser.get(url)
        return page.headers["location"]


async def log_in(url: str) -> None:
    auth = OAuth(storage=MemoryTokenStorage(), client_name="notes", redirect=visit)
    async with open_client(url, auth=auth) as client:
        print((await client.call_tool("read_notes")).content[0])
        print((await client.call_tool("write_note", {"text": "eggs"})).content[0])


async def refuse(url: str) -> None:
    def nobody(url: str) -> str:
        return "http://127.0.0.1/callback?error=access_denied"

    try:
        async with open_client(url, auth=OAuth(redirect=nobody)):
            pass
    except AuthorizationFailed as error:
        print("not logged in:", error)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        issuer = await serve(nursery, issuing)
        url = await serve(nursery, protected(issuer)) + "/mcp"
        await log_in(url)
        await refuse(url)
        nursery.cancel_scope.cancel()


async def serve(nursery: trio.Nursery, server: Server[None]) -> str:
    """Serve on a free port; returns the origin."""
    (url,) = await nursery.start(functools.partial(server.serve_http, port=0))
    return f"http://{urlsplit(url).netloc}"


if __name__ == "__main__":
    trio.run(main)
