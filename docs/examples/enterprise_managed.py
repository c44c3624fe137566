"""A program whose user has logged in at their organization. The organization's identity provider,
the server that is called and its authorization server run beside it."""

import functools
import json
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
from trimcp.auth import EnterpriseManaged

TOKENS: dict[str, Principal] = {}

#: What the identity provider has given out: ID tokens, and grants for other servers. Real ones are
#: signed, so nobody has to remember them.
LOGINS = {"id-token-of-alice": "alice", "id-token-of-bob": "bob"}
GRANTS: dict[str, str] = {}


class Issued:
    """Knows the tokens that were given out below."""

    async def verify(self, token: str) -> Principal:
        if token not in TOKENS:
            raise InvalidToken
        return TOKENS[token]


def protected(issuer: str) -> Server[None]:
    """An MCP server that wants tokens of an authorization server."""
    server = Server("wiki", auth=Issued(), authorization_servers=[issuer])

    @server.tool
    def search(words: str) -> str:
        return f"2 pages about {words}"

    return server


# -- the identity provider, and the authorization server of the MCP server ----------------------

provider = Server("provider")
issuing = Server("issuing")


def answer(document: dict[str, Any], status: int = 200) -> HttpResponse:
    body = json.dumps(document).encode()
    return HttpResponse(body, status, {"content-type": "application/json"})


def form_of(request: HttpRequest) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


@provider.custom_route("/.well-known/openid-configuration")
@issuing.custom_route("/.well-known/oauth-authorization-server")
async def metadata(request: HttpRequest) -> HttpResponse:
    issuer = f"http://{request.headers['host']}"
    return answer({"issuer": issuer, "token_endpoint": f"{issuer}/token"})


@provider.custom_route("/token", methods=["POST"])
async def exchange(request: HttpRequest) -> HttpResponse:
    form = form_of(request)
    user = LOGINS[form["subject_token"]]
    print("may", user, "use", urlsplit(form["resource"]).path + "?")
    if user != "alice":
        error = {"error": "access_denied", "error_description": "not without a training"}
        return answer(error, 400)
    grant = secrets.token_urlsafe()
    GRANTS[grant] = user
    kind = "urn:ietf:params:oauth:token-type:id-jag"
    return answer({"access_token": grant, "issued_token_type": kind, "token_type": "N_A"})


@issuing.custom_route("/token", methods=["POST"])
async def token(request: HttpRequest) -> HttpResponse:
    user = GRANTS.pop(form_of(request)["assertion"])
    issued = secrets.token_urlsafe()
    TOKENS[issued] = Principal(user, "assistant")
    return answer({"access_token": issued, "token_type": "Bearer", "expires_in": 600})


# -- the program --------------------------------------------------------------------------------


async def search(url: str, issuer: str, idp: str, user: str) -> None:
    async def id_token() -> str:
        """The token of the user's login, while it is good; then the user logs in again."""
        return f"id-token-of-{user}"

    auth = EnterpriseManaged(
        id_token=id_token,
        idp_issuer=idp,
        idp_client_id="assistant-at-idp",
        client_id="assistant",
        client_secret="s3cret",
        issuer=issuer,
    )
    try:
        async with open_client(url, auth=auth) as client:
            print((await client.call_tool("search", {"words": "eggs"})).content[0])
    except AuthorizationFailed as error:
        print("not allowed:", error)


async def main() -> None:
    async with trio.open_nursery() as nursery:
        issuer = await serve(nursery, issuing)
        idp = await serve(nursery, provider)
        url = await serve(nursery, protected(issuer)) + "/mcp"
        await search(url, issuer, idp, "alice")
        await search(url, issuer, idp, "bob")
        nursery.cancel_scope.cancel()


async def serve(nursery: trio.Nursery, server: Server[None]) -> str:
    """Serve on a free port; returns the origin."""
    (url,) = await nursery.start(functools.partial(server.serve_http, port=0))
    return f"http://{urlsplit(url).netloc}"


if __name__ == "__main__":
    trio.run(main)
