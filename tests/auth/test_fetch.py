"""HTTP exchanges with authorization servers: bounds, addresses, redirects, documents."""

from __future__ import annotations

import base64
import gzip
import logging
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import httpx2
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp.auth._fetch import (
    AddressRefused,
    Fetcher,
    FetchFailed,
    Unreachable,
    basic_credentials,
    read_json,
)

from .answering import answering, https_server, plain, trusting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

URL = "https://as.example/document"


async def test_a_document_over_tls() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return plain({"a": [1]}, b"HTTP/1.1 200 OK\r\nX-Mark: 1\r\n")

    async with https_server(answer) as port:
        url = f"https://localhost:{port}/d?x=1"
        answered = await Fetcher(ssl_context=trusting()).get(url, headers={"x-more": "2"})
    assert answered.status == 200
    assert answered.headers["x-mark"] == "1"
    assert answered.document() == {"a": [1]}
    assert answered.url == url
    (request,) = seen
    head = request.lower()
    assert head.startswith(b"get /d?x=1 http/1.1\r\n")
    assert b"accept-encoding: identity\r\n" in head
    assert b"accept: application/json\r\n" in head
    assert b"x-more: 2\r\n" in head


async def test_a_form_is_posted() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return plain({}, b"HTTP/1.1 400 Bad Request\r\n")

    async with https_server(answer) as port:
        fetcher = Fetcher(ssl_context=trusting())
        url = f"https://localhost:{port}/token"
        answered = await fetcher.post_form(url, [("resource", "a b"), ("resource", "ä&")])
        assert answered.status == 400
        await fetcher.post_form(url, {"a": "b"}, headers={"authorization": "Basic x"})
        await fetcher.post_json(url, {"redirect_uris": []})
    assert seen[0].endswith(b"\r\n\r\nresource=a+b&resource=%C3%A4%26")
    assert b"content-type: application/x-www-form-urlencoded\r\n" in seen[0].lower()
    assert b"authorization: Basic x\r\n" in seen[1]
    assert seen[2].endswith(b'\r\n\r\n{"redirect_uris":[]}')
    assert b"content-type: application/json\r\n" in seen[2].lower()


async def test_a_certificate_of_another_name_is_refused() -> None:
    async with https_server(lambda _: plain({}), "other.example") as port:
        with pytest.raises(Unreachable, match="certificate"):
            await Fetcher(ssl_context=trusting()).get(f"https://localhost:{port}/")


async def test_nobody_listens() -> None:
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable, match="gave no answer"):
            await Fetcher().get(f"http://127.0.0.1:{port}/")


# -- bounds -----------------------------------------------------------------------------------


class Drip(httpx2.AsyncByteStream):
    """One byte a second, without end."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await trio.sleep(1)
            yield b" "


class Flood(httpx2.AsyncByteStream):
    """Without end, and quick."""

    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await trio.lowlevel.checkpoint()
            self.sent += 1000
            yield b"x" * 1000


async def test_one_deadline_for_all_of_it(autojump_clock: trio.testing.MockClock) -> None:
    drip = answering(lambda _: httpx2.Response(200, stream=Drip()))
    start = trio.current_time()
    with pytest.raises(FetchFailed, match="longer than 7 seconds"):
        await Fetcher(client=drip, seconds=7).get(URL)
    assert trio.current_time() - start == pytest.approx(7)

    async def silent(_: httpx2.Request) -> httpx2.Response:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(FetchFailed, match="longer"):
        await Fetcher(client=answering(silent), seconds=7).post_form(URL, {})


async def test_the_callers_own_deadline_is_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    drip = answering(lambda _: httpx2.Response(200, stream=Drip()))
    with trio.move_on_after(1) as scope:
        await Fetcher(client=drip).get(URL)
    assert scope.cancelled_caught


async def test_a_body_is_bounded() -> None:
    flood = Flood()
    client = answering(lambda _: httpx2.Response(200, stream=flood))
    with pytest.raises(FetchFailed, match="more than 5000 bytes"):
        await Fetcher(client=client, most_bytes=5000).get(URL)
    assert flood.sent <= 7000
    exact = answering(lambda _: httpx2.Response(200, content=b" " * 4998 + b"{}"))
    answered = await Fetcher(client=exact, most_bytes=5000).get(URL)
    assert answered.document() == {}


async def test_a_long_body_over_tls_is_left_at_its_bound() -> None:
    async with https_server(lambda _: plain(b"x" * 1_000_000)) as port:
        with pytest.raises(FetchFailed, match="more than"):
            await Fetcher(ssl_context=trusting()).get(f"https://localhost:{port}/")


async def test_what_is_compressed_is_refused() -> None:
    data = gzip.compress(b"{}" + b" " * 10_000_000)
    bomb = answering(
        lambda _: httpx2.Response(
            200, headers={"content-encoding": "gzip"}, stream=httpx2.ByteStream(data)
        )
    )
    with pytest.raises(FetchFailed, match="compressed"):
        await Fetcher(client=bomb).get(URL)


# -- URLs, redirects, addresses ---------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "ftp://as.example/",
        "https:///x",
        "https://as.example:0/",
        "https://as.example:99999/",
        "/relative",
        "https://user:secret@as.example/",
        "https://a\x00b/",
        "https://[::1/",
    ],
)
async def test_unusable_urls(url: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        await Fetcher(client=answering(lambda _: httpx2.Response(200))).get(url)
    assert "secret" not in str(caught.value)


def redirecting(location: str, status: int = 302) -> tuple[Fetcher, list[str]]:
    seen: list[str] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        if request.url.path == "/document":
            return httpx2.Response(status, headers={"location": location})
        return httpx2.Response(200, json={"moved": True})

    return Fetcher(client=answering(answer)), seen


async def test_redirects_are_given_back() -> None:
    fetcher, seen = redirecting("/new")
    assert (await fetcher.get(URL)).status == 302
    assert (await fetcher.post_form(URL, {"a": "b"})).status == 302
    assert seen == [URL, URL]


async def test_redirects_within_the_origin() -> None:
    fetcher, seen = redirecting("/new", 307)
    answered = await fetcher.get(URL, redirects=1)
    assert answered.url == seen[-1] == "https://as.example/new"
    assert answered.document() == {"moved": True}
    fetcher, seen = redirecting("/document")
    assert (await fetcher.get(URL, redirects=3)).status == 302
    assert len(seen) == 4


@pytest.mark.parametrize(
    "location",
    [
        "https://other.example/",
        "http://as.example/new",
        "https://as.example:444/",
        "//x/",
        "https://[",
        "/" + "x" * 9000,
    ],
)
async def test_redirects_across_origins_are_refused(location: str) -> None:
    fetcher, seen = redirecting(location)
    with pytest.raises(FetchFailed, match="redirects to"):
        await fetcher.get(URL, redirects=3)
    assert seen == [URL]


async def test_every_address_is_judged() -> None:
    judged: list[IPv4Address | IPv6Address] = []

    def guard(address: IPv4Address | IPv6Address) -> bool:
        judged.append(address)
        return allowed

    async with https_server(lambda _: plain({"a": 1})) as port:
        fetcher = Fetcher(ssl_context=trusting(), guard=guard)
        allowed = True
        assert (await fetcher.get(f"https://localhost:{port}/")).document() == {"a": 1}
        assert IPv4Address("127.0.0.1") in judged
        allowed = False
        for url in ("localhost", "127.0.0.1", "127.1", "0x7f000001", "2130706433"):
            judged.clear()
            with pytest.raises(AddressRefused, match="not allowed"):
                await fetcher.get(f"https://{url}:{port}/")
            assert judged[0].is_loopback


async def test_one_bad_address_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    async def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("93.184.216.34", port)), (0, 0, 0, "", ("169.254.169.254", port))]

    monkeypatch.setattr(trio.socket, "getaddrinfo", both)
    with pytest.raises(AddressRefused, match=r"169\.254"):
        await Fetcher(guard=lambda address: address.is_global).get("http://as.example/")


async def test_a_judged_name_that_does_not_resolve() -> None:
    with pytest.raises(Unreachable):
        await Fetcher(guard=lambda _: True).get("http://name.invalid/")


async def test_addresses_are_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else: the name is not resolved again, and TLS still checks it."""
    real = trio.socket.getaddrinfo
    resolved: list[str] = []

    async def both(host: str, port: int, **more: object) -> list[tuple[object, ...]]:
        if host not in ("as.example", "other.example"):
            return await real(host, port, **more)  # type: ignore[arg-type, return-value]
        resolved.append(host)
        return [(0, 0, 0, "", ("127.0.0.2", port)), (0, 0, 0, "", ("127.0.0.1", port))]

    monkeypatch.setattr(trio.socket, "getaddrinfo", both)
    async with https_server(lambda _: plain({}), "as.example") as port:
        fetcher = Fetcher(ssl_context=trusting(), guard=lambda _: True)
        assert (await fetcher.get(f"https://as.example:{port}/")).status == 200
        assert resolved == ["as.example"]
        with pytest.raises(Unreachable, match="certificate"):
            await fetcher.get(f"https://other.example:{port}/")


# -- documents and secrets --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "flaw"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "no object"),
        (b"NaN", "malformed"),
        (b'{"a": NaN}', "malformed"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": "\\ud800"}', "JSON"),
        (b"[" * 100 + b"]" * 100, "nested deeper"),
        (b"[" * 100_000, "nested deeper"),
        (b"{}{}", "malformed"),
    ],
)
async def test_unusable_documents(data: bytes, flaw: str) -> None:
    client = answering(lambda _: httpx2.Response(200, content=data))
    answered = await Fetcher(client=client).get(URL)
    with pytest.raises(FetchFailed, match=flaw):
        answered.document()


@given(st.binary())
def test_any_bytes_are_json_or_a_value_error(data: bytes) -> None:
    with suppress(ValueError):
        read_json(data)


async def test_bodies_and_secrets_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answer = plain({"access_token": "s3cret"}, b"HTTP/1.1 200 OK\r\nX-Mark: here\r\n")
    async with https_server(lambda _: answer) as port:
        answered = await Fetcher(ssl_context=trusting()).post_form(
            f"https://localhost:{port}/?code=s3cret",
            {"code": "s3cret"},
            headers={"authorization": basic_credentials("me", "s3cret")},
        )
    assert "s3cret" not in repr(answered).partition("url=")[2].partition("?")[0]
    assert "access_token" not in repr(answered)
    assert "access_token" not in caplog.text
    assert base64.b64encode(b"me:s3cret").decode() not in caplog.text


@given(st.text(), st.text())
def test_basic_credentials_are_form_encoded(client_id: str, secret: str) -> None:
    try:
        f"{client_id}{secret}".encode()
    except UnicodeEncodeError:
        return
    scheme, _, value = basic_credentials(client_id, secret).partition(" ")
    assert scheme == "Basic"
    first, colon, second = base64.b64decode(value).decode().partition(":")
    assert (unquote_plus(first), colon, unquote_plus(second)) == (client_id, ":", secret)
