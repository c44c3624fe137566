"""Context variables: what one request sets, no other one sees, even on the same connection.

A proxy sends the requests of many users on one connection.
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any

import pytest

from trimcp import Context, HttpRequest, Server

from .harness import call
from .test_connections import head, post
from .test_http1 import serving

USER: ContextVar[str] = ContextVar("USER", default="nobody")

LOCAL = {"host": "localhost"}


def make_server() -> Server[Any]:
    server: Server[Any] = Server("contexts", version="1")

    def note(user: str) -> str:
        seen = USER.get()
        USER.set(user)
        return seen

    @server.tool
    async def plain(user: str) -> str:
        return note(user)

    @server.tool
    async def asking(ctx: Context, user: str) -> str:
        return note(user)

    @server.tool
    def blocking(user: str) -> str:
        return note(user)

    @server.custom_route("/route")
    async def route(request: HttpRequest) -> str:
        return note("the route")

    return server


def requests() -> list[bytes]:
    """One of each kind, twice in different order."""
    tools = ["plain", "asking", "blocking"]
    calls = [post(call(name, {"user": f"user of {name}"}), **LOCAL) for name in tools]
    calls.append(head("GET", "/route", **LOCAL))
    return calls + calls[::-1]


def seen_in(body: bytes) -> str:
    if not body.startswith(b"{"):
        return body.decode()
    text: str = json.loads(body)["result"]["content"][0]["text"]
    return text


@pytest.mark.parametrize("is_pipelined", [False, True])
async def test_no_request_sees_those_of_another(is_pipelined: bool, parser: Any) -> None:
    server = make_server()
    async with (
        server.application(signals=False),
        serving(server.asgi_app(), parser) as hosted,
    ):
        client = hosted.connect()
        if is_pipelined:
            await client.send(b"".join(requests()))
        for request in requests():
            if not is_pipelined:
                await client.send(request)
            _, body = await client.answer()
            assert seen_in(body) == "nobody"
