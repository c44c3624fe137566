"""A client whose tokens are bound to a key of its own (DPoP): whoever steals one can do nothing.

Its server and the authorization server run beside it, the latter for one user who agrees to
everything.
"""

import base64
import functools
import json
import secrets
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import trio
from joserfc.jwk import import_key

from trimcp import (
    AuthorizationFailed,
    HttpRequest,
    HttpResponse,
    InvalidToken,
    Principal,
    RequestError,
    Server,
    open_client,
    open_http_client,
)
from trimcp.auth import DPoPVerifier, MemoryTokenStorage, OAuth

TOKENS: dict[str, Principal] = {}


class Issued:
    """Knows the tokens that were given out below, and the key of each."""

    async def verify(self, token: str) -> Principal:
        if token not in TOKENS:
            raise InvalidToken
        return TOKENS[token]


def protected(issuer: str) -> Server[None]:
    """An MCP server that wants proofs, each with a nonce of its own."""
    verifier = DPoPVerifier(Issued(), nonces=True)
    server = Server("protected", auth=verifier, authorization_servers=[issuer])

    @server.tool
    def read_notes() -> str:
        return "buy milk"

    return server


# -- the authorization server -------------------------------------------------------------------

issuing = Server("issuing")


def answer(document: dict[str, Any]) -> HttpResponse:
    body = json.dumps(document).encode()
    return HttpResponse(body, 200, {"content-type": "application/json"})


@issuing.custom_route("/.well-known/oauth-authorization-server")
async def metadata(request: HttpRequest) -> HttpResponse:
    issuer = f"http://{request.headers['host']}"
    return answer(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "code_challenge_methods_supported": ["S256"],
            "dpop_signing_alg_values_supported": ["ES256"],
        }
    )


@issuing.custom_route("/authorize")
async def authorize(request: HttpRequest) -> HttpResponse:
    asked = {name: values[0] for name, values in request.query.items()}
    code = {"code": secrets.token_urlsafe(), "state": asked["state"]}
    return HttpResponse(b"", 302, {"location": f"{asked['redirect_uri']}?{urlencode(code)}"})


@issuing.custom_route("/token", methods=["POST"])
async def token(request: HttpRequest) -> HttpResponse:
    (grant,) = parse_qs(request.body.decode())["grant_type"]
    issued = secrets.token_urlsafe()
    claims = {"cnf": {"jkt": key_of(request.headers["dpop"])}}
    TOKENS[issued] = Principal("alice", "notes", claims=claims)
    print("a token by", grant, "with a proof")
    return answer({"access_token": issued, "token_type": "DPoP", "expires_in": 3600})


def key_of(proof: str) -> str:
    """How tokens name the key of a proof. A real server would look at the proof first."""
    head = proof.partition(".")[0]
    return import_key(json.loads(base64.urlsafe_b64decode(head + "=="))["jwk"]).thumbprint()


# -- the client ---------------------------------------------------------------------------------


async def visit(url: str) -> str:
    """Stands for a user with a browser: goes where it is sent, and says where that ended."""
    async with httpx2.AsyncClient(trust_env=False) as browser:
        page = await browser.get(url)
        return page.headers["location"]


async def log_in(url: str, issuer: str) -> None:
    auth = OAuth(
        storage=MemoryTokenStorage(),
        client_id="notes",
        issuer=issuer,
        redirect=visit,
        dpop="required",
    )
    async with open_client(url, auth=auth) as client:
        print((await client.call_tool("read_notes")).content[0])


async def steal(url: str) -> None:
    (stolen,) = TOKENS
    for scheme in ("Bearer", "DPoP"):
        try:
            async with open_http_client(url, headers={"Authorization": f"{scheme} {stolen}"}):
                pass
        except RequestError as error:
            print(f"stolen, as {scheme}:", error.http_status)


async def refuse(url: str, issuer: str) -> None:
    auth = OAuth(client_id="notes", issuer=issuer, redirect=visit, dpop="never")
    try:
        async with open_client(url, auth=auth):
            pass
    except AuthorizationFailed as error:
        print("not logged in:", error)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        issuer = await serve(nursery, issuing)
        url = await serve(nursery, protected(issuer)) + "/mcp"
        await log_in(url, issuer)
        await steal(url)
        await refuse(url, issuer)
        nursery.cancel_scope.cancel()


async def serve(nursery: trio.Nursery, server: Server[None]) -> str:
    """Serve on a free port; returns the origin."""
    (url,) = await nursery.start(functools.partial(server.serve_http, port=0))
    return f"http://{urlsplit(url).netloc}"


if __name__ == "__main__":
    trio.run(main)
