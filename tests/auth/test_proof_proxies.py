"""Proofs behind a proxy: they name the URL that clients see, which the server never does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from trimcp.auth import DPoPVerifier

from ..http.harness import Web, call, mirrored
from ..http.test_nginx import NGINX, behind_nginx
from ..ports import free_port
from .provers import bound, proving, tokens
from .test_proof_door import desk

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(NGINX is None, reason="Debian's nginx is not installed")

#: A prefix is stripped from the path, and the host is another for the server.
STRIPPING = """
        location /tools/ {{
            proxy_pass http://127.0.0.1:{behind}/;
        }}
"""


@pytest.mark.parametrize("location", [STRIPPING, None], ids=["strips a prefix", "as in the docs"])
@pytest.mark.parametrize("is_option", [False, True], ids=["audience", "resource_url"])
async def test_the_url_that_clients_see(
    location: str | None, is_option: bool, tmp_path: Path
) -> None:
    path = "/mcp" if location is None else "/tools/mcp"
    public = f"https://public.example{path}"
    audience = "urn:desk" if is_option else public
    token = bound(aud=audience)
    port = free_port()
    guarded = desk(
        DPoPVerifier(tokens(audience=audience)), resource_url=public if is_option else None
    )
    async with behind_nginx(guarded, tmp_path, port=port, location=location):
        web = Web(port)
        message = call("who")
        sent = {"content-type": "application/json", **mirrored(message)}
        body = json.dumps(message).encode()
        for url, status in (
            (public, 200),
            (f"http://127.0.0.1:{port}{path}", 401),
            (f"https://public.example{'/mcp' if location else '/tools/mcp'}", 401),
        ):
            headers: dict[str, str | None] = {**sent, **proving(token, "POST", url)}
            async with web.open("POST", path, body, **headers) as answer:
                assert answer.status == status
