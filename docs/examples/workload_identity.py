"""A program that its platform knows, and that has no secret of its own. Its platform, the server
that it calls and the authorization server are parts of this program."""

import functools
import json
import os
import secrets
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import trio
from joserfc import jwt
from joserfc.jwk import ECKey

from trimcp import HttpRequest, HttpResponse, InvalidToken, Principal, Server, open_client
from trimcp.auth import WorkloadIdentity, token_from_file

#: With which the platform signs; everybody knows the public part.
PLATFORM = ECKey.generate_key("P-256")

TOKENS: dict[str, Principal] = {}


class Issued:
    """Knows the tokens that were given out below."""

    async def verify(self, token: str) -> Principal:
        if token not in TOKENS:
            raise InvalidToken
        return TOKENS[token]


def protected(issuer: str) -> Server[None]:
    """An MCP server that wants tokens of an authorization server."""
    server = Server("deployments", auth=Issued(), authorization_servers=[issuer])

    @server.tool
    def deploy(version: str) -> str:
        return f"{version} is deployed"

    return server


# -- the platform -------------------------------------------------------------------------------


def write_token(path: Path, audience: str) -> None:
    """What Kubernetes does, again and again."""
    claims = {"sub": "system:serviceaccount:shop:deployer", "aud": audience}
    path.write_text(
        jwt.encode({"alg": "ES256"}, {**claims, "exp": int(time.time()) + 600}, PLATFORM)
    )


# -- the authorization server -------------------------------------------------------------------

issuing = Server("issuing")


def answer(document: dict[str, Any], status: int = 200) -> HttpResponse:
    body = json.dumps(document).encode()
    return HttpResponse(body, status, {"content-type": "application/json"})


@issuing.custom_route("/.well-known/oauth-authorization-server")
async def metadata(request: HttpRequest) -> HttpResponse:
    issuer = f"http://{request.headers['host']}"
    return answer({"issuer": issuer, "token_endpoint": f"{issuer}/token"})


@issuing.custom_route("/token", methods=["POST"])
async def token(request: HttpRequest) -> HttpResponse:
    form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
    claims = jwt.decode(form["assertion"], PLATFORM, algorithms=["ES256"]).claims
    is_for_us = claims["aud"] == f"http://{request.headers['host']}"
    if not is_for_us or claims["exp"] <= time.time():
        return answer({"error": "invalid_grant"}, 400)
    print("the platform says:", claims["sub"])
    issued = secrets.token_urlsafe()
    TOKENS[issued] = Principal(claims["sub"], "deployer")
    return answer({"access_token": issued, "token_type": "Bearer", "expires_in": 600})


# -- the program --------------------------------------------------------------------------------


async def deploy(url: str, issuer: str, path: Path) -> None:
    auth = WorkloadIdentity(token=token_from_file(path), issuer=issuer)
    async with open_client(url, auth=auth) as client:
        print((await client.call_tool("deploy", {"version": "1.4"})).content[0])


# -- tokens of other platforms ------------------------------------------------------------------

ISSUER = "https://auth.example.com"


async def github_token() -> str:
    """A job of GitHub Actions, with `permissions: id-token: write`."""
    url = os.environ["ACTIONS_ID_TOKEN_REQUEST_URL"]
    headers = {"Authorization": f"Bearer {os.environ['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
    async with httpx2.AsyncClient(headers=headers) as http:
        answer = await http.get(f"{url}&audience={ISSUER}")
        return str(answer.raise_for_status().json()["value"])


async def google_token() -> str:
    """A machine, a container or a function at Google Cloud."""
    url = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default"
    async with httpx2.AsyncClient(headers={"Metadata-Flavor": "Google"}) as http:
        answer = await http.get(f"{url}/identity", params={"audience": ISSUER})
        return answer.raise_for_status().text


async def azure_token() -> str:
    """A virtual machine at Azure; the audience is that of an application there."""
    url = "http://169.254.169.254/metadata/identity/oauth2/token"
    asked = {"api-version": "2018-02-01", "resource": "api://auth.example.com"}
    async with httpx2.AsyncClient(headers={"Metadata": "true"}) as http:
        answer = await http.get(url, params=asked)
        return str(answer.raise_for_status().json()["access_token"])


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "token"
        async with trio.open_nursery() as nursery:
            issuer = await serve(nursery, issuing)
            url = await serve(nursery, protected(issuer)) + "/mcp"
            write_token(path, issuer)
            await deploy(url, issuer, path)
            nursery.cancel_scope.cancel()


async def serve(nursery: trio.Nursery, server: Server[None]) -> str:
    """Serve on a free port; returns the origin."""
    (url,) = await nursery.start(functools.partial(server.serve_http, port=0))
    return f"http://{urlsplit(url).netloc}"


if __name__ == "__main__":
    trio.run(main)
