"""Who calls, and what they may do: a server that answers nobody without an access token.

The program is also its own authorization server: it signs the tokens of three callers, and calls
itself with them, over each transport. A real one is given `keys="https://…/jwks"`.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio
from joserfc import jwt
from joserfc.jwk import ECKey

from trimcp import (
    Client,
    Context,
    Forbidden,
    Principal,
    RequestError,
    Server,
    open_http_client,
    open_websocket_client,
)
from trimcp.auth import JWTVerifier
from trimcp.types import TextResourceContents

ISSUER = "https://auth.example.com"
RESOURCE = "https://mcp.example.com"

KEY = ECKey.generate_key("P-256", {"kid": "2026-11"})

server = Server(
    "secure",
    version="1.0",
    auth=JWTVerifier(
        issuer=ISSUER,
        audience=RESOURCE,
        keys={"keys": [KEY.as_dict(private=False)]},
        algorithms=["ES256"],
        implied_scopes={"admin": {"files:write"}},
    ),
    required_scopes={"mcp"},
)


@dataclass
class User:
    id: str
    name: str


@server.resource("user://{id}")
def get_user(id: str, ctx: Context) -> User:
    """What is known of a user; for themselves and for administrators."""
    caller = ctx.principal
    if caller is None or (caller.subject != id and "admin" not in caller.scopes):
        raise Forbidden("not yours")
    return User(id, f"User {id}")


@server.tool(scopes={"files:write"})
async def delete_file(name: str) -> str:
    """Delete a file."""
    return f"{name} is gone"


def scopes_to_share(principal: Principal, arguments: Mapping[str, Any]) -> set[str]:
    """What somebody needs who shares a file: nothing to share it with themselves."""
    if arguments["user"] == principal.subject:
        return set()
    return {"files:share"}


@server.tool(scopes=scopes_to_share)
async def share_file(name: str, user: str, ctx: Context) -> str:
    """Let a user read a file."""
    return f"{user} may read {name}"


def token(subject: str, scope: str = "mcp", **changed: object) -> str:
    """What the authorization server would send to a client."""
    claims: dict[str, object] = {"iss": ISSUER, "aud": RESOURCE, "sub": subject, "scope": scope}
    claims |= {"exp": time.time() + 600, **changed}
    return jwt.encode({"alg": "ES256", "kid": "2026-11"}, claims, KEY)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def read_alice(client: Client) -> str:
    """Try to read what is known of alice."""
    try:
        result = await client.read_resource("user://alice")
    except RequestError as error:
        return f"refused: {error.message}"
    content = result.contents[0]
    assert isinstance(content, TextResourceContents)
    return content.text


async def main() -> None:
    """Serve, and call the server as several people."""
    callers = {
        "the owner": token("alice"),
        "another user": token("bob"),
        "an administrator": token("carol", "mcp admin"),
    }
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(server.serve_http, "127.0.0.1", 0)
        for who, given in callers.items():
            async with open_http_client(f"{url}/mcp", headers=bearer(given)) as client:
                print(f"{who}: {await read_alice(client)}")
        socket_url = f"{url.replace('http', 'ws')}/ws"
        async with open_websocket_client(socket_url, headers=bearer(token("alice"))) as client:
            print("over a WebSocket:", await read_alice(client))
        try:
            async with open_http_client(f"{url}/mcp") as client:
                pass
        except RequestError as error:
            print(f"nobody: {error.message} ({error.http_status})")
        server.shutdown()


if __name__ == "__main__":
    trio.run(main)
