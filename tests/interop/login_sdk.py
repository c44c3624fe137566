"""A client made with the official Python SDK that logs in, the peer of the server under test.

Usage: ``python login_sdk.py handshake|stateless URL [CLIENT_ID]``

Calls `who` and `write` at a protected server. Where the user is to log in, it prints ``visit URL``
and reads the URL at which that ended from standard input. In the end it prints one JSON object with
what each call brought. Without a client id it registers.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import anyio
from client_sdk import MODES, attempt
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)

REDIRECT_URI: Any = "http://127.0.0.1/callback"


class Storage:
    """Keeps tokens and credentials in memory."""

    def __init__(self, client_id: str | None) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None
        if client_id is not None:
            self.client = OAuthClientInformationFull(
                client_id=client_id,
                redirect_uris=[REDIRECT_URI],
                token_endpoint_auth_method="none",
            )

    async def get_tokens(self) -> OAuthToken | None:
        """The tokens, if there are any."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep tokens."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """The credentials, if there are any."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep credentials."""
        self.client = client_info


async def visit(url: str) -> None:
    """Tell where the user is to go."""
    print("visit", url, flush=True)


async def answer() -> AuthorizationCodeResult:
    """Read where that ended."""
    line = await anyio.to_thread.run_sync(sys.stdin.readline)
    return AuthorizationCodeResult.model_validate(dict(parse_qsl(urlsplit(line.strip()).query)))


async def run(era: str, url: str, client_id: str | None) -> dict[str, Any]:
    """Connect and call both tools."""
    metadata = OAuthClientMetadata(
        client_name="python-sdk-peer",
        redirect_uris=[REDIRECT_URI],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(url, metadata, Storage(client_id), visit, answer)
    async with create_mcp_http_client(auth=auth) as http_client:
        client = Client(streamable_http_client(url, http_client=http_client), mode=MODES[era])
        async with client:
            return {
                "who": await attempt(lambda: client.call_tool("who", {})),
                "write": await attempt(lambda: client.call_tool("write", {"text": "eggs"})),
            }


def main() -> None:
    """Read the arguments, call, print what that brought."""
    era, url, *more = sys.argv[1:]
    print(json.dumps(anyio.run(run, era, url, more[0] if more else None)), flush=True)


if __name__ == "__main__":
    main()
