"""Fetched key sets: who fetches, when, how often, and what if it fails."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import trio
import trio.testing

from trimcp import InvalidToken, VerifierUnavailable
from trimcp.auth import JWTVerifier
from trimcp.auth._discovery import server_metadata_urls

from .answering import answering, https_server, plain, trusting
from .signing import AUDIENCE, EC, ISSUER, OTHER, RSA, SECRET, claims, key_set, sign

if TYPE_CHECKING:
    from collections.abc import Callable

    from joserfc.jwk import ECKey

URL = "https://issuer.example/jwks"


class Issuer:
    """Answers requests for its key set, when it is let.

    Attributes:
        keys: What it answers; a Response as it is.
        fetches: How often it was asked.
    """

    def __init__(self) -> None:
        self.keys: Any = key_set(EC)
        self.fetches = 0
        self.gate = trio.Event()
        self.gate.set()
        self.verifier = JWTVerifier(
            issuer=ISSUER,
            audience=AUDIENCE,
            keys=URL,
            algorithms=["ES256", "RS256"],
            http_client=answering(self.answer),
        )

    async def answer(self, request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == URL
        self.fetches += 1
        await self.gate.wait()
        if isinstance(self.keys, httpx2.Response):
            return self.keys
        return httpx2.Response(200, json=self.keys)

    def fail(self, status: int = 500) -> None:
        self.keys = httpx2.Response(status)

    async def accepts(self, token: str | None = None) -> bool:
        try:
            await self.verifier.verify(sign() if token is None else token)
        except InvalidToken:
            return False
        return True


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which keys age."""
    now = 1000.0

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("trimcp.auth._kept.monotonic", lambda: now)
    return move


async def test_over_tls() -> None:
    async with https_server(lambda _: plain(key_set(EC))) as port:
        verifier = JWTVerifier(
            issuer=ISSUER,
            audience=AUDIENCE,
            keys=f"https://localhost:{port}/jwks",
            algorithms=["ES256"],
            ssl_context=trusting(),
        )
        assert (await verifier.verify(sign())).subject == "alice"
    # Not asked again: nobody listens there any more.
    assert (await verifier.verify(sign())).subject == "alice"


async def test_an_untrusted_certificate() -> None:
    async with https_server(lambda _: plain(key_set(EC))) as port:
        verifier = JWTVerifier(
            issuer=ISSUER,
            audience=AUDIENCE,
            keys=f"https://localhost:{port}/jwks",
            algorithms=["ES256"],
        )
        with pytest.raises(VerifierUnavailable, match="certificate"):
            await verifier.verify(sign())


async def test_fetched_once(issuer: Issuer, later: Callable[[float], None]) -> None:
    for _ in range(20):
        assert await issuer.accepts()
    assert not await issuer.accepts(sign(claims(exp=1)))
    assert not await issuer.accepts("a.b.c")
    assert not await issuer.accepts(sign(header={"alg": "ES384"}))
    assert not await issuer.accepts(sign(key=OTHER, header={"kid": "ec"}))
    assert issuer.fetches == 1
    later(599)
    assert await issuer.accepts()
    assert issuer.fetches == 1
    later(2)
    assert await issuer.accepts()
    assert issuer.fetches == 2


async def test_a_wrong_signature_fetches_nothing(
    issuer: Issuer, later: Callable[[float], None]
) -> None:
    assert await issuer.accepts()
    later(11)
    assert not await issuer.accepts(sign(key=OTHER, header={"kid": "ec"}))
    assert issuer.fetches == 1


async def test_an_unusable_token_fetches_nothing(issuer: Issuer) -> None:
    for token in ("", "a.b.c", sign(header={"alg": "HS256"}), sign(header={"typ": "dpop+jwt"})):
        assert not await issuer.accepts(token)
    assert issuer.fetches == 0


async def test_many_at_once_fetch_once(issuer: Issuer) -> None:
    issuer.gate = trio.Event()
    accepted = []

    async def verify() -> None:
        accepted.append(await issuer.accepts())

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(verify)
        await trio.testing.wait_all_tasks_blocked()
        assert issuer.fetches == 1
        issuer.gate.set()
    assert accepted == [True] * 50
    assert issuer.fetches == 1


async def test_the_first_of_many_is_cancelled(issuer: Issuer) -> None:
    issuer.gate = trio.Event()
    accepted = []

    async def verify() -> None:
        accepted.append(await issuer.accepts())

    async def leave(scope: trio.CancelScope) -> None:
        with scope:
            await verify()

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave, scope)
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(20):
            nursery.start_soon(verify)
        await trio.testing.wait_all_tasks_blocked()
        assert issuer.fetches == 1
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert issuer.fetches == 2
        issuer.gate.set()
    assert accepted == [True] * 20
    assert issuer.fetches == 2


# -- rotation ---------------------------------------------------------------------------------


async def test_a_new_key_is_found(issuer: Issuer, later: Callable[[float], None]) -> None:
    assert await issuer.accepts()
    issuer.keys = key_set(OTHER)
    later(11)
    assert await issuer.accepts(sign(key=OTHER))
    assert issuer.fetches == 2
    assert not await issuer.accepts(sign())  # withdrawn


async def test_a_new_key_is_found_by_tokens_that_name_none(
    issuer: Issuer, later: Callable[[float], None]
) -> None:
    unnamed = {"kid": None}
    assert await issuer.accepts(sign(header=unnamed))
    issuer.keys = key_set(OTHER)
    later(11)
    assert await issuer.accepts(sign(key=OTHER, header=unnamed))


async def test_a_new_key_among_keys_without_names(
    issuer: Issuer, later: Callable[[float], None]
) -> None:
    def unnamed(key: ECKey) -> dict[str, Any]:
        return {name: each for name, each in key.as_dict(private=False).items() if name != "kid"}

    issuer.keys = {"keys": [unnamed(EC)]}
    assert await issuer.accepts()
    issuer.keys = {"keys": [unnamed(OTHER)]}
    later(11)
    assert await issuer.accepts(sign(key=OTHER))


async def test_a_storm_of_unknown_keys(issuer: Issuer, later: Callable[[float], None]) -> None:
    assert await issuer.accepts()
    storm = [sign(key=OTHER, header={"kid": f"k{number}"}) for number in range(300)]
    for token in storm[:100]:
        assert not await issuer.accepts(token)
    assert issuer.fetches == 1  # that was a moment ago
    later(11)
    issuer.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for token in storm[100:]:
            nursery.start_soon(issuer.accepts, token)
        await trio.testing.wait_all_tasks_blocked()
        assert await issuer.accepts()  # known keys do not wait for it
        issuer.gate.set()
    assert issuer.fetches == 2
    later(11)
    assert not await issuer.accepts(storm[0])
    assert issuer.fetches == 3
    assert await issuer.accepts()


# -- failures ---------------------------------------------------------------------------------


async def test_old_keys_are_used_while_new_ones_cannot_be_fetched(
    issuer: Issuer, later: Callable[[float], None]
) -> None:
    assert await issuer.accepts()
    issuer.fail()
    later(601)
    for _ in range(20):
        assert await issuer.accepts()
    assert issuer.fetches == 2  # it is left in peace for a while
    later(2990)
    assert await issuer.accepts()
    assert issuer.fetches == 3
    later(11)
    with pytest.raises(VerifierUnavailable, match="500"):
        await issuer.accepts()
    issuer.keys = key_set(EC)
    later(11)
    assert await issuer.accepts()


async def test_others_do_not_wait_for_new_keys(
    issuer: Issuer, later: Callable[[float], None], autojump_clock: trio.testing.MockClock
) -> None:
    assert await issuer.accepts()
    later(601)
    issuer.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(issuer.accepts)
        await trio.testing.wait_all_tasks_blocked()
        assert issuer.fetches == 2
        start = trio.current_time()
        for _ in range(5):
            assert await issuer.accepts()
        assert trio.current_time() == start
        issuer.gate.set()


async def test_no_keys_at_all(issuer: Issuer, later: Callable[[float], None]) -> None:
    issuer.fail(503)
    for _ in range(20):
        with pytest.raises(VerifierUnavailable, match="503"):
            await issuer.accepts()
    assert issuer.fetches == 1
    issuer.keys = key_set(EC)
    later(11)
    assert await issuer.accepts()
    assert issuer.fetches == 2


async def test_nobody_waits_in_turn_for_a_dead_issuer(
    issuer: Issuer, autojump_clock: trio.testing.MockClock
) -> None:
    issuer.gate = trio.Event()
    failed = []

    async def verify() -> None:
        with pytest.raises(VerifierUnavailable, match="longer than 5 seconds"):
            await issuer.accepts()
        failed.append(trio.current_time())

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(verify)
    assert len(failed) == 30
    assert trio.current_time() - start == pytest.approx(5)
    assert issuer.fetches == 1


async def test_an_unknown_key_that_cannot_be_looked_for(
    issuer: Issuer, later: Callable[[float], None]
) -> None:
    assert await issuer.accepts()
    issuer.fail()
    later(11)
    for _ in range(10):
        with pytest.raises(VerifierUnavailable):
            await issuer.accepts(sign(key=OTHER))
        assert await issuer.accepts()
    assert issuer.fetches == 2


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(404),
        httpx2.Response(302, headers={"location": "https://evil.example/jwks"}),
        httpx2.Response(302, headers={"location": "/jwks"}),
        httpx2.Response(200, content=b""),
        httpx2.Response(200, content=b"<html>"),
        httpx2.Response(200, content=b"[]"),
        httpx2.Response(200, content=b"{}"),
        httpx2.Response(200, content=b'{"keys": {}}'),
        httpx2.Response(200, content=b'{"keys": null}'),
        httpx2.Response(200, content=b'{"keys": [' + b"[" * 10_000 + b"]" * 10_000 + b"]}"),
        httpx2.Response(200, content=b" " * 1_000_000),
    ],
    ids=str,
)
async def test_unusable_answers(issuer: Issuer, answer: httpx2.Response) -> None:
    issuer.keys = answer
    with pytest.raises(VerifierUnavailable):
        await issuer.accepts()


async def test_unusable_keys_of_a_set(issuer: Issuer) -> None:
    issuer.keys = {
        "keys": [
            5,
            {},
            {"kty": "EC", "crv": "P-999", "kid": "ec", "x": "AA", "y": "AA"},
            EC.as_dict(private=True),
            SECRET.as_dict(private=True),
            OTHER.as_dict(private=True),
            *key_set(EC, RSA)["keys"],
        ]
    }
    assert await issuer.accepts()
    assert await issuer.accepts(sign(key=RSA, alg="RS256"))
    assert not await issuer.accepts(sign(key=OTHER))  # whoever reads the set could sign with it


async def test_how_many_keys_of_a_set_are_used(issuer: Issuer) -> None:
    issuer.keys = {"keys": [*key_set(EC)["keys"] * 100, *key_set(OTHER)["keys"]]}
    assert await issuer.accepts()
    assert not await issuer.accepts(sign(key=OTHER))


def test_one_verifier_for_several_runs(issuer: Issuer) -> None:
    """A module may hold a server, and tests may run it again and again."""
    for _ in range(3):
        assert trio.run(issuer.accepts)
    assert issuer.fetches == 1


# -- the metadata of an issuer ----------------------------------------------------------------


class Site:
    """An issuer's documents, by their URLs."""

    def __init__(self, documents: dict[str, Any]) -> None:
        self.documents = documents
        self.asked: list[str] = []

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url)
        self.asked.append(url)
        found = self.documents.get(url, 404)
        return (
            httpx2.Response(found) if isinstance(found, int) else httpx2.Response(200, json=found)
        )

    async def verify(self, issuer: str = ISSUER, **options: Any) -> str:
        verifier = JWTVerifier.from_issuer(
            issuer, audience=AUDIENCE, http_client=answering(self.answer), **options
        )
        assert verifier.issuer == (issuer,)
        assert verifier.audience == (AUDIENCE,)
        granted = claims(iss=issuer)
        principal = await verifier.verify(sign(granted))
        assert await verifier.verify(sign(granted)) == principal
        with pytest.raises(InvalidToken, match="issuer"):
            await verifier.verify(sign(claims(iss=issuer + "/")))
        return principal.subject


@pytest.mark.parametrize("issuer", [ISSUER, "https://issuer.example/tenant/"])
async def test_from_an_issuer(issuer: str) -> None:
    for number, url in enumerate(server_metadata_urls(issuer)):
        site = Site({url: {"issuer": issuer, "jwks_uri": URL}, URL: key_set(EC)})
        assert await site.verify(issuer) == "alice"
        assert site.asked == [*server_metadata_urls(issuer)[: number + 1], URL]


async def test_from_an_issuer_over_tls() -> None:
    def answer(request: bytes) -> bytes:
        if b"/jwks" in request:
            return plain(key_set(RSA))
        if b"openid-configuration" in request:
            return plain({"issuer": url, "jwks_uri": f"{url}/jwks"})
        return plain({}, b"HTTP/1.1 404 Not Found\r\n")

    async with https_server(answer) as port:
        url = f"https://localhost:{port}"
        verifier = JWTVerifier.from_issuer(url, audience=AUDIENCE, ssl_context=trusting())
        token = sign(claims(iss=url), key=RSA, alg="RS256")
        assert (await verifier.verify(token)).subject == "alice"


FIRST = server_metadata_urls(ISSUER)[0]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (500, "500"),
        (302, "302"),
        ({}, "issuer"),
        ({"issuer": None, "jwks_uri": URL}, "issuer"),
        ({"issuer": ISSUER + "/", "jwks_uri": URL}, "not 'https://issuer.example'"),
        ({"issuer": "https://evil.example", "jwks_uri": URL}, "evil"),
        ({"issuer": ISSUER}, "no JWK set"),
        ({"issuer": ISSUER, "jwks_uri": 5}, "no JWK set"),
        ({"issuer": ISSUER, "jwks_uri": "http://issuer.example/jwks"}, "without TLS"),
        ({"issuer": ISSUER, "jwks_uri": "https:///"}, "URL"),
        ({"issuer": ISSUER, "jwks_uri": "https://nowhere.example/"}, "404"),
        ([], "no object"),
        (404, "no metadata"),
    ],
)
async def test_metadata_that_are_refused(metadata: Any, reason: str) -> None:
    site = Site({FIRST: metadata, URL: key_set(EC)})
    with pytest.raises(VerifierUnavailable, match=reason):
        await site.verify()


@pytest.mark.parametrize("url", ["issuer.example", "", "ftp://issuer.example", "https://"])
def test_an_issuer_that_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        JWTVerifier.from_issuer(url, audience=AUDIENCE)


async def test_algorithms_of_an_issuer() -> None:
    site = Site({FIRST: {"issuer": ISSUER, "jwks_uri": URL}, URL: key_set(EC)})
    with pytest.raises(InvalidToken, match="algorithm"):
        await site.verify(algorithms=["RS256"])
    with pytest.raises(ValueError, match="not fetched"):
        await site.verify(algorithms=["HS256"])
    with pytest.raises(ValueError, match="at least one"):
        await site.verify(algorithms=[])


async def test_tokens_are_not_logged(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = sign()
    assert await issuer.accepts(token)
    assert not any(part in caplog.text for part in token.split("."))
