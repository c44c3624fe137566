"""Tokens about which the authorization server is asked."""

from __future__ import annotations

import base64
import json
import logging
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import httpx2
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from trimcp import InvalidToken, Principal, TokenVerifier, VerifierUnavailable
from trimcp.auth import IntrospectionVerifier

from .answering import answering, https_server, plain, trusting
from .signing import AUDIENCE, ISSUER, claims

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://issuer.example/introspect"
TOKEN = "opaque.Token_1"


class Endpoint:
    """Answers questions about tokens, when it is let.

    Attributes:
        answer: What it answers; a Response as it is.
        asked: The tokens it was asked about.
    """

    def __init__(self, **options: Any) -> None:
        self.answer: Any = {"active": True, **claims()}
        self.asked: list[str] = []
        self.gate = trio.Event()
        self.gate.set()
        usual: dict[str, Any] = {
            "client_id": "server",
            "client_secret": "s3cret",
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "http_client": answering(self.reply),
        }
        self.verifier = IntrospectionVerifier(URL, **(usual | options))

    async def reply(self, request: httpx2.Request) -> httpx2.Response:
        assert str(request.url) == URL
        form = parse_qs(request.content.decode(), strict_parsing=True)
        assert form["token_type_hint"] == ["access_token"]
        self.asked += form["token"]
        await self.gate.wait()
        if isinstance(self.answer, httpx2.Response):
            return self.answer
        return httpx2.Response(200, content=json.dumps(self.answer))

    async def accepts(self, token: str = TOKEN) -> bool:
        try:
            await self.verifier.verify(token)
        except InvalidToken:
            return False
        return True


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which answers age."""
    now = 1000.0

    def move(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("trimcp.auth._introspection.monotonic", lambda: now)
    return move


async def test_over_tls() -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes:
        seen.append(request)
        return plain({"active": True, **claims()})

    async with https_server(answer) as port:
        verifier: TokenVerifier = IntrospectionVerifier(
            f"https://localhost:{port}/introspect",
            client_id="a server:1",
            client_secret="p%ä +",
            issuer=ISSUER,
            audience=AUDIENCE,
            ssl_context=trusting(),
        )
        assert (await verifier.verify("a+b/c==")).subject == "alice"
    (request,) = seen
    assert request.startswith(b"POST /introspect HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\ntoken=a%2Bb%2Fc%3D%3D&token_type_hint=access_token")
    # Each part is form-encoded before it is put together (RFC 6749, section 2.3.1).
    expected = base64.b64encode(b"a+server%3A1:p%25%C3%A4+%2B")
    assert b"authorization: basic " + expected.lower() + b"\r\n" in request.lower()
    assert b"content-type: application/x-www-form-urlencoded\r\n" in request.lower()


async def test_a_principal(endpoint: Endpoint) -> None:
    endpoint.answer = {"active": True, **claims(exp=2_000_000_000, username="Alice")}
    principal = await endpoint.verifier.verify(TOKEN)
    assert principal == Principal(
        "alice", "app", ISSUER, {"files:read", "files:write"}, {}, 2_000_000_030
    )
    assert principal.claims == endpoint.answer
    assert endpoint.verifier.issuer == (ISSUER,)
    assert endpoint.verifier.audience == (AUDIENCE,)


async def test_what_an_answer_may_leave_out() -> None:
    endpoint = Endpoint(audience=None)
    endpoint.answer = {"active": True, "client_id": "job"}
    assert await endpoint.verifier.verify(TOKEN) == Principal("job", "job", ISSUER)
    assert (await endpoint.verifier.verify(TOKEN)).expires == math.inf
    assert endpoint.verifier.audience == ()


async def test_scopes_that_include_others() -> None:
    endpoint = Endpoint(implied_scopes={"files:write": {"files:delete"}})
    assert "files:delete" in (await endpoint.verifier.verify(TOKEN)).scopes


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"active": False}, "not active"),
        ({"active": False, **claims()}, "not active"),
        (claims(), "not active"),
        ({"active": "true", **claims()}, "not active"),
        ({"active": 1, **claims()}, "not active"),
        ({"active": None, **claims()}, "not active"),
        ({"active": True, **claims(iss="https://evil.example")}, "another issuer"),
        ({"active": True, **claims(aud="https://other.example")}, "another server"),
        ({"active": True, **claims(aud=None)}, "which server it is for"),
        ({"active": True, **claims(exp=1)}, "has expired"),
        ({"active": True, **claims(exp="x")}, "malformed time"),
        ({"active": True, **claims(nbf=10**10)}, "not valid yet"),
        ({"active": True, **claims(sub=None, client_id=None)}, "whom it was issued for"),
        ({"active": True, **claims(cnf={"jkt": "x"})}, "bound to a key"),
        ({"active": True, **claims(token_type="DPoP")}, "kind of token"),
        ({"active": True, **claims(token_type="refresh_token")}, "kind of token"),
        ({"active": True, **claims(token_type=5)}, "kind of token"),
    ],
)
async def test_tokens_that_are_refused(endpoint: Endpoint, answer: Any, reason: str) -> None:
    endpoint.answer = answer
    with pytest.raises(InvalidToken, match=reason):
        await endpoint.verifier.verify(TOKEN)


async def test_a_token_that_the_issuer_does_not_answer_for(endpoint: Endpoint) -> None:
    """As oidc-provider answers for tokens that are signed."""
    endpoint.answer = httpx2.Response(400, json={"error": "unsupported_token_type"})
    assert not await endpoint.accepts()


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "access_token"])
async def test_kinds_that_are_accepted(endpoint: Endpoint, kind: str) -> None:
    endpoint.answer["token_type"] = kind
    assert await endpoint.accepts()


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(401),
        httpx2.Response(400),
        httpx2.Response(400, json={"active": True, **claims()}),
        httpx2.Response(400, json={"error": "invalid_request"}),
        httpx2.Response(401, json={"error": "unsupported_token_type"}),
        httpx2.Response(500),
        httpx2.Response(302, headers={"location": URL}),
        httpx2.Response(200, content=b""),
        httpx2.Response(200, content=b"[]"),
        httpx2.Response(200, content=b'{"active": true'),
        httpx2.Response(200, content=b'{"active": true, "x": "' + b"x" * 100_000 + b'"}'),
        httpx2.Response(200, content=b"[" * 10_000),
    ],
    ids=str,
)
async def test_no_usable_answer(endpoint: Endpoint, answer: httpx2.Response) -> None:
    endpoint.answer = answer
    with pytest.raises(VerifierUnavailable) as caught:
        await endpoint.verifier.verify(TOKEN)
    assert TOKEN not in str(caught.value)
    endpoint.answer = {"active": True, **claims()}
    assert await endpoint.accepts()


@pytest.mark.parametrize("token", ["", "ä", "\ud800", "a\nb", "a\x00"])
async def test_no_tokens(endpoint: Endpoint, token: str) -> None:
    assert not await endpoint.accepts(token)
    assert endpoint.asked == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    JSON
    | st.fixed_dictionaries(
        {"active": st.just(True) | JSON},
        optional={name: st.just(value) | JSON for name, value in claims(nbf=0, azp="a").items()},
    )
)
async def test_any_answer(answer: Any) -> None:
    endpoint = Endpoint()
    endpoint.answer = answer
    with suppress(InvalidToken, VerifierUnavailable):
        await endpoint.verifier.verify(TOKEN)
        assert answer["active"] is True


# -- what is kept -----------------------------------------------------------------------------


async def test_an_answer_is_kept_for_a_short_time(
    endpoint: Endpoint, later: Callable[[float], None]
) -> None:
    for _ in range(10):
        assert await endpoint.accepts()
    assert endpoint.asked == [TOKEN]
    later(29)
    assert await endpoint.accepts()
    assert len(endpoint.asked) == 1
    later(2)
    endpoint.answer = {"active": False}
    assert not await endpoint.accepts()
    assert len(endpoint.asked) == 2


async def test_an_answer_is_not_kept_longer_than_its_token(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.time()
    endpoint.answer = {"active": True, **claims(exp=start + 5)}
    assert await endpoint.accepts()
    monkeypatch.setattr("trimcp.auth._introspection.time", lambda: start + 34)
    assert await endpoint.accepts()
    assert len(endpoint.asked) == 1
    monkeypatch.setattr("trimcp.auth._introspection.time", lambda: start + 36)
    assert not await endpoint.accepts()
    assert len(endpoint.asked) == 2


async def test_nothing_is_kept_of_refused_tokens(endpoint: Endpoint) -> None:
    endpoint.answer = {"active": False}
    for _ in range(3):
        assert not await endpoint.accepts()
    assert len(endpoint.asked) == 3
    assert not endpoint.verifier._flights._flights


async def test_nothing_is_kept_if_so_wished() -> None:
    endpoint = Endpoint(cache_seconds=0)
    for _ in range(3):
        assert await endpoint.accepts()
    assert len(endpoint.asked) == 3


async def test_how_much_is_kept() -> None:
    endpoint = Endpoint(cache_size=3)
    for number in range(10):
        assert await endpoint.accepts(f"t{number}")
    assert len(endpoint.verifier._cache._kept) == 3
    for number in (7, 8, 9):
        assert await endpoint.accepts(f"t{number}")
    assert len(endpoint.asked) == 10
    assert await endpoint.accepts("t0")
    assert len(endpoint.asked) == 11


async def test_tokens_are_not_kept(endpoint: Endpoint) -> None:
    assert await endpoint.accepts()
    kept = f"{vars(endpoint.verifier)} {vars(endpoint.verifier._cache)}"
    assert TOKEN not in kept
    assert TOKEN.encode().hex() not in kept


# -- many at once -----------------------------------------------------------------------------


async def many(endpoint: Endpoint, count: int, results: list[object]) -> None:
    async def verify() -> None:
        try:
            results.append((await endpoint.verifier.verify(TOKEN)).subject)
        except (InvalidToken, VerifierUnavailable) as error:
            results.append(type(error))

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(verify)
        await trio.testing.wait_all_tasks_blocked()
        endpoint.gate.set()


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"active": True, **claims()}, "alice"),
        ({"active": False}, InvalidToken),
        (httpx2.Response(500), VerifierUnavailable),
    ],
)
async def test_one_question_for_all(endpoint: Endpoint, answer: Any, result: object) -> None:
    endpoint.answer = answer
    endpoint.gate = trio.Event()
    results: list[object] = []
    await many(endpoint, 30, results)
    assert results == [result] * 30
    assert endpoint.asked == [TOKEN]
    assert not endpoint.verifier._flights._flights


async def test_the_first_of_many_is_cancelled(endpoint: Endpoint) -> None:
    endpoint.gate = trio.Event()
    scope = trio.CancelScope()

    async def leave() -> None:
        with scope:
            await endpoint.verifier.verify(TOKEN)

    results: list[object] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await trio.testing.wait_all_tasks_blocked()
        assert len(endpoint.asked) == 1
        nursery.start_soon(many, endpoint, 10, results)
        scope.cancel()
    assert results == ["alice"] * 10
    assert len(endpoint.asked) == 2


async def test_all_are_cancelled(endpoint: Endpoint) -> None:
    endpoint.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(endpoint.accepts)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert not endpoint.verifier._flights._flights
    endpoint.gate.set()
    assert await endpoint.accepts()


async def test_questions_at_once_are_bounded(
    endpoint: Endpoint, autojump_clock: trio.testing.MockClock
) -> None:
    endpoint.gate = trio.Event()
    failed: list[float] = []

    async def verify(token: str) -> None:
        with pytest.raises(VerifierUnavailable, match="longer than 5 seconds"):
            await endpoint.verifier.verify(token)
        failed.append(trio.current_time())

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        for number in range(120):
            nursery.start_soon(verify, f"t{number}")
    assert len(failed) == 120
    assert max(failed) - start == pytest.approx(5)
    assert len(endpoint.asked) == 50


def test_one_verifier_for_several_runs(endpoint: Endpoint) -> None:
    for _ in range(3):
        assert trio.run(endpoint.accepts)
    assert len(endpoint.asked) == 1


# -- construction and secrets -----------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"issuer": ""},
        {"audience": ""},
        {"audience": []},
        {"leeway": -1},
        {"cache_seconds": -1},
        {"cache_size": 0},
    ],
)
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        Endpoint(**options)


def test_a_url_that_is_none() -> None:
    with pytest.raises(ValueError, match="URL"):
        IntrospectionVerifier(
            "issuer.example", client_id="a", client_secret="b", issuer="c", audience=None
        )


async def test_secrets_are_not_logged_or_shown(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await endpoint.accepts()
    endpoint.answer = httpx2.Response(500)
    with pytest.raises(VerifierUnavailable) as caught:
        await endpoint.verifier.verify("other")
    credentials = base64.b64encode(b"server:s3cret").decode()
    for text in (caplog.text, repr(endpoint.verifier), repr(caught.value)):
        assert TOKEN not in text
        assert "s3cret" not in text
        assert credentials not in text
