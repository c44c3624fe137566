"""A protected HTTP server made with the official Python SDK, the peer of the client under test.

Usage: ``python protected_server_sdk.py ISSUER SECRET``

Asks oidc-provider about each token, as the client `resource-server` with that secret. Serves on a
free port until it gets SIGTERM, and says its URL on standard output.
"""

from __future__ import annotations

import socket
import sys

import httpx2
import uvicorn
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer


class Introspection:
    """Asks the authorization server; the SDK has no verifier of its own."""

    def __init__(self, issuer: str, secret: str) -> None:
        self.url = f"{issuer}/token/introspection"
        self.form = {"client_id": "resource-server", "client_secret": secret}

    async def verify_token(self, token: str) -> AccessToken | None:
        """Who a token was issued for; None if it is not accepted."""
        async with httpx2.AsyncClient() as client:
            answer = await client.post(self.url, data={**self.form, "token": token})
        said = answer.raise_for_status().json()
        if not said["active"]:
            return None
        return AccessToken(
            token=token,
            client_id=said["client_id"],
            scopes=said["scope"].split(),
            expires_at=said["exp"],
            resource=said["aud"],
            subject=said["sub"],
            claims=said,
        )


def create_server(url: str, issuer: str, secret: str) -> MCPServer:
    """A server at that URL, for tokens of that authorization server."""
    server = MCPServer(
        "protected-python-sdk-peer",
        version="1.0.0",
        token_verifier=Introspection(issuer, secret),
        auth=AuthSettings.model_validate(
            {
                "issuer_url": issuer,
                "resource_server_url": url,
                "required_scopes": ["notes:read"],
                "validate_token_resource": True,
            }
        ),
    )

    @server.tool(structured_output=False)
    async def who() -> str:
        """Who calls."""
        token = get_access_token()
        assert token is not None
        return str(token.subject)

    return server


def main() -> None:
    """Listen, say where, and serve."""
    # With its protocol named asyncio sends small pieces at once.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    app = create_server(url, *sys.argv[1:]).streamable_http_app()
    print(url, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
