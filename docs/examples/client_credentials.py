"""A program that has a secret or a key, and no user. The server that it calls and the authorization
server run beside it."""

import base64
import functools
import json
import secrets
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import trio
from joserfc import jwt
from joserfc.jwk import ECKey

from trimcp import (
    AuthorizationFailed,
    HttpRequest,
    HttpResponse,
    InvalidToken,
    Principal,
    Server,
    open_client,
)
from trimcp.auth import ClientCredentials

#: Made when the program was registered; the authorization server has the public part.
KEY = ECKey.generate_key("P-256", {"kid": "2026-11"})
SECRET = "café & 100%"

TOKENS: dict[str, Principal] = {}


class Issued:
    """Knows the tokens that were given out below."""

    async def verify(self, token: str) -> Principal:
        if token not in TOKENS:
            raise InvalidToken
        return TOKENS[token]


def protected(issuer: str) -> Server[None]:
    """An MCP server that wants tokens of an authorization server."""
    server = Server(
        "orders", auth=Issued(), authorization_servers=[issuer], required_scopes={"orders:read"}
    )

    @server.tool
    def new_orders() -> int:
        return 3

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
            "token_endpoint": f"{issuer}/token",
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256"],
        }
    )


@issuing.custom_route("/token", methods=["POST"])
async def token(request: HttpRequest) -> HttpResponse:
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    client = by_key(form, f"http://{request.headers['host']}") or by_secret(request)
    if client is None:
        return answer({"error": "invalid_client"}, 401)
    issued = secrets.token_urlsafe()
    TOKENS[issued] = Principal(client, client, scopes=form["scope"].split())
    return answer({"access_token": issued, "token_type": "Bearer", "expires_in": 600})


def by_key(form: dict[str, str], issuer: str) -> str | None:
    """The client whose key has signed."""
    if "client_assertion" not in form:
        return None
    claims = jwt.decode(form["client_assertion"], KEY, algorithms=["ES256"]).claims
    return str(claims["sub"]) if claims["aud"] == issuer else None


def by_secret(request: HttpRequest) -> str | None:
    """The client that knows its secret."""
    _, _, pair = request.headers.get("authorization", "").partition(" ")
    client, _, secret = base64.b64decode(pair).decode().partition(":")
    return client if unquote_plus(secret) == SECRET else None


# -- the program --------------------------------------------------------------------------------


async def report(url: str, auth: ClientCredentials) -> None:
    async with open_client(url, auth=auth) as client:
        print("new orders:", (await client.call_tool("new_orders")).structured_content)


async def with_a_secret(url: str, issuer: str) -> None:
    await report(url, ClientCredentials(client_id="nightly", client_secret=SECRET, issuer=issuer))


async def with_a_key(url: str, issuer: str) -> None:
    pem = KEY.as_pem(private=True)
    await report(url, ClientCredentials(client_id="nightly", private_key=pem, issuer=issuer))


async def with_a_wrong_secret(url: str, issuer: str) -> None:
    try:
        await report(url, ClientCredentials(client_id="nightly", client_secret="?", issuer=issuer))
    except AuthorizationFailed as error:
        print("no token:", error)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        issuer = await serve(nursery, issuing)
        url = await serve(nursery, protected(issuer)) + "/mcp"
        await with_a_secret(url, issuer)
        await with_a_key(url, issuer)
        await with_a_wrong_secret(url, issuer)
        nursery.cancel_scope.cancel()


async def serve(nursery: trio.Nursery, server: Server[None]) -> str:
    """Serve on a free port; returns the origin."""
    (url,) = await nursery.start(functools.partial(server.serve_http, port=0))
    return f"http://{urlsplit(url).netloc}"


if __name__ == "__main__":
    trio.run(main)
