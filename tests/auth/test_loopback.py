"""The page to which a browser comes back.

Specification: RFC 8252, section 7.3; 2026-07-28, Open Redirection.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import pytest
import trio

from trimcp import AuthorizationFailed, open_client
from trimcp.auth import MemoryTokenStorage, OAuth
from trimcp.auth._codes import Authorization, CodeRefused
from trimcp.auth._discovery import ServerMetadata
from trimcp.auth._loopback import ANYWHERE, Catcher, listen, open_catcher

from .world import Request, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

ISSUER = "https://as.example"


@asynccontextmanager
async def catching() -> AsyncIterator[tuple[Catcher, Authorization]]:
    async with open_catcher(ANYWHERE, await listen(ANYWHERE)) as catcher:
        server = ServerMetadata(ISSUER, f"{ISSUER}/authorize", f"{ISSUER}/token", names_itself=True)
        request = Authorization(server, "me", catcher.redirect_uri, "https://a.example", None)
        catcher.expect(request)
        yield catcher, request


async def ask(url: str, data: bytes | None = None) -> str:
    """What a browser gets."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    stream = await trio.open_tcp_stream("127.0.0.1", parts.port or 0)
    async with stream:
        await stream.send_all(data or f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b""
        while piece := await stream.receive_some():
            answer += piece
    return answer.decode()


def back(request: Authorization, **params: str) -> str:
    said = {"state": request.state, "iss": ISSUER, "code": "c", **params}
    return f"{request.redirect_uri}?{urlencode(said)}"


async def test_a_code_is_caught() -> None:
    async with catching() as (catcher, request):
        assert urlsplit(catcher.redirect_uri).hostname == "127.0.0.1"
        answer = await ask(back(request))
        assert answer.startswith("HTTP/1.1 200 ")
        assert "You may close this window" in answer
        assert "<script" not in answer
        assert "default-src 'none'" in answer
        assert await catcher.code() == "c"


async def test_what_else_browsers_ask_for_does_not_count() -> None:
    async with catching() as (catcher, request):
        origin = catcher.redirect_uri.removesuffix("/callback")
        assert (await ask(f"{origin}/favicon.ico")).startswith("HTTP/1.1 404 ")
        assert (await ask(f"{origin}/")).startswith("HTTP/1.1 404 ")
        for data in (b"POST /callback HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"x" * 16 * 1024):
            assert (await ask(origin, data)).startswith("HTTP/1.1 400 ")
        for foreign in ({"state": "other"}, {"state": ""}):
            answer = await ask(back(request, **foreign))
            assert answer.startswith("HTTP/1.1 400 ")
        assert (await ask(back(request) + "&code=d")).startswith("HTTP/1.1 400 ")
        assert (await ask(catcher.redirect_uri)).startswith("HTTP/1.1 400 ")
        await ask(back(request))
        assert await catcher.code() == "c"


async def test_only_the_first_answer_counts() -> None:
    async with catching() as (catcher, request):
        await ask(back(request))
        assert (await ask(back(request, code="d"))).startswith("HTTP/1.1 400 ")
        assert await catcher.code() == "c"


async def test_an_error_ends_the_login_and_is_not_shown() -> None:
    async with catching() as (catcher, request):
        answer = await ask(back(request, error="<b>evil</b>"))
        assert answer.startswith("HTTP/1.1 400 ")
        assert "evil" not in answer
        with pytest.raises(CodeRefused, match="evil"):
            await catcher.code()


async def test_a_forged_issuer_ends_the_login() -> None:
    async with catching() as (catcher, request):
        await ask(back(request, iss="https://evil.example"))
        with pytest.raises(CodeRefused, match="another authorization server"):
            await catcher.code()


async def test_who_says_nothing_is_left(autojump_clock: MockClock) -> None:
    async with catching() as (catcher, request):
        port = urlsplit(catcher.redirect_uri).port
        streams = [await trio.open_tcp_stream("127.0.0.1", port or 0) for _ in range(30)]
        for stream in streams:
            assert await stream.receive_some() == b""
            await stream.aclose()
        await ask(back(request))
        assert await catcher.code() == "c"


async def test_idle_connections_do_not_keep_the_answer_out() -> None:
    async with catching() as (catcher, request):
        port = urlsplit(catcher.redirect_uri).port
        idle = [await trio.open_tcp_stream("127.0.0.1", port or 0) for _ in range(25)]
        with trio.fail_after(5):
            # The oldest have made room for the newest.
            assert await idle[0].receive_some() == b""
            assert (await ask(back(request))).startswith("HTTP/1.1 200 ")
            assert await catcher.code() == "c"
            await idle[-1].send_all(b"GET / HTTP/1.1\r\n\r\n")
            assert (await idle[-1].receive_some()).startswith(b"HTTP/1.1 404 ")
        for stream in idle:
            await stream.aclose()


# -- with a client ------------------------------------------------------------------------------


def browser(world: World) -> object:
    """A browser that goes where it is sent."""

    async def browse(url: str) -> None:
        request = Request("GET", url.removeprefix(world.origin), {}, b"")
        location = (await world.answer(request)).headers["location"]
        assert (await ask(location)).startswith("HTTP/1.1 200 ")

    return browse


async def test_a_login_with_a_browser() -> None:
    async with open_world() as world:
        auth = OAuth(browser=browser(world))  # type: ignore[arg-type]
        async with open_client(world.url, auth=auth) as client:
            await client.call_tool("x")
        (registration,) = world.of("/register")
        assert registration.rpc["redirect_uris"] == [world.logins[0]["redirect_uri"]]


async def test_the_registered_port_is_used_again_if_it_is_free() -> None:
    async with open_world(gives_refresh=False) as world:
        storage = MemoryTokenStorage()

        async def log_in() -> str:
            auth = OAuth(storage=storage, browser=browser(world))  # type: ignore[arg-type]
            async with open_client(world.url, auth=auth):
                world.revoke()
                return world.logins[-1]["redirect_uri"]

        first = await log_in()
        assert await log_in() == first
        assert len(world.of("/register")) == 1
        port = urlsplit(first).port
        listeners = await trio.open_tcp_listeners(port or 0, host="127.0.0.1")
        assert await log_in() != first
        # The authorization server may insist on what was registered, so the client did so again.
        assert len(world.of("/register")) == 2
        for listener in listeners:
            await listener.aclose()


async def test_a_port_that_the_user_has_chosen() -> None:
    async with open_world() as world:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        uri = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/back"
        auth = OAuth(browser=browser(world), redirect_uri=uri)  # type: ignore[arg-type]
        with pytest.raises(AuthorizationFailed, match="nothing can listen"):
            async with open_client(world.url, auth=auth):
                pass
        await listener.aclose()
        async with open_client(world.url, auth=auth):
            assert world.logins[0]["redirect_uri"] == uri


async def test_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: False)
    async with open_world() as world:
        with pytest.raises(AuthorizationFailed, match="redirect="):
            async with open_client(world.url, auth=OAuth()):
                pass
