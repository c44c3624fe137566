"""Tokens that are bound to a key: a stolen one is useless without proofs of that key (DPoP).

The program is authorization server, MCP server, client and thief at once.
"""

import base64
import hashlib
import secrets
import time
from collections.abc import Generator

import httpx2
import trio
from joserfc import jws, jwt
from joserfc.jwk import ECKey

from trimcp import Context, RequestError, Server, open_http_client
from trimcp.auth import DPoPVerifier, JWTVerifier
from trimcp.types import TextContent

ISSUER = "https://auth.example.com"

KEY = ECKey.generate_key("P-256", {"kid": "2026-11"})

tokens = JWTVerifier(
    issuer=ISSUER,
    audience="urn:example:files",
    keys={"keys": [KEY.as_dict(private=False)]},
    algorithms=["ES256"],
)

server = Server("files", version="1.0", auth=DPoPVerifier(tokens, nonces=True))


@server.tool
async def who(ctx: Context) -> str:
    """Who calls."""
    assert ctx.principal is not None
    return ctx.principal.subject


def token(subject: str, key: ECKey) -> str:
    """What the authorization server sends to a client that has shown that it has a key."""
    claims = {"iss": ISSUER, "aud": "urn:example:files", "sub": subject, "exp": time.time() + 600}
    bound = {**claims, "cnf": {"jkt": key.thumbprint()}}
    return jwt.encode({"alg": "ES256", "kid": "2026-11"}, bound, KEY)


class Proving(httpx2.Auth):
    """Sends a token with a new proof in each request, and once more if a nonce is wanted."""

    def __init__(self, token: str, key: ECKey) -> None:
        self.token = token
        self.key = key
        self.nonce: str | None = None

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        answer = yield self.proven(request)
        self.nonce = answer.headers.get("dpop-nonce", self.nonce)
        if answer.status_code == 401 and "use_dpop_nonce" in answer.headers["www-authenticate"]:
            yield self.proven(request)

    def proven(self, request: httpx2.Request) -> httpx2.Request:
        digest = hashlib.sha256(self.token.encode()).digest()
        claims = {
            "jti": secrets.token_urlsafe(),
            "htm": request.method,
            "htu": str(request.url.copy_with(query=None, fragment=None)),
            "iat": int(time.time()),
            "ath": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        }
        if self.nonce is not None:
            claims["nonce"] = self.nonce
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.key.as_dict(private=False)}
        request.headers["Authorization"] = f"DPoP {self.token}"
        request.headers["DPoP"] = jwt.encode(header, claims, self.key, registry=WIDE)
        return request


class Wide(jws.JWSRegistry):
    """Headers with a key are longer than joserfc expects."""

    max_header_length = 2048


WIDE = Wide(algorithms=["ES256"])


async def call(url: str, auth: httpx2.Auth | None = None, **headers: str) -> str:
    """Ask the server who calls."""
    async with httpx2.AsyncClient(auth=auth, headers=headers, trust_env=False) as http:
        try:
            async with open_http_client(url, http_client=http) as client:
                [content] = (await client.call_tool("who")).content
        except RequestError as error:
            return f"refused: {error.message} ({error.http_status})"
    assert isinstance(content, TextContent)
    return content.text


async def main() -> None:
    """Serve, call, and try what a thief could try."""
    key, other = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    given = token("alice", key)
    async with trio.open_nursery() as nursery:
        [url] = await nursery.start(server.serve_http, "127.0.0.1", 0)
        mine = Proving(given, key)
        print("with proofs:", await call(f"{url}/mcp", mine))
        print("without:", await call(f"{url}/mcp", Authorization=f"Bearer {given}"))
        print("another key:", await call(f"{url}/mcp", Proving(given, other)))
        seen = mine.proven(httpx2.Request("POST", f"{url}/mcp")).headers
        again = {"Authorization": seen["authorization"], "DPoP": seen["dpop"]}
        print("a proof again:", await call(f"{url}/mcp", None, **again))
        server.shutdown()


if __name__ == "__main__":
    trio.run(main)
