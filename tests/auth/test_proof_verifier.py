"""Which proofs are accepted, and with which tokens."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx2
import hypothesis
import pytest
import trio
from hypothesis import strategies as st
from joserfc.jwk import OctKey, OKPKey, RSAKey

from trimcp import InvalidToken, Principal, VerifierUnavailable
from trimcp.auth import DPoPVerifier, IntrospectionVerifier, StaticTokenVerifier, _dpop_verifier
from trimcp.auth._thumbprint import thumbprint
from trimcp.runtime import MemoryNonceStore, Presentation, ProofRefused

from .answering import answering
from .provers import KEYS, bound, digest, proof, proof_parts, public, signed, tokens, verifier
from .signing import EC, EDWARDS, OTHER, P384, RSA, claims, encode, seal, sign

URL = "https://mcp.example/mcp"

TOKEN = bound()


def presented(*proofs: str, token: str = TOKEN, scheme: str = "dpop") -> Presentation:
    return Presentation(token, scheme, "POST", URL, proofs)


def shown(token: str = TOKEN, key: Any = EC, alg: str = "ES256", **changed: Any) -> Presentation:
    """A token with a proof that was made for it, but for what is changed."""
    return presented(proof(token, "POST", URL, key, alg, **changed), token=token)


async def refusal(judge: DPoPVerifier, given: Presentation) -> str:
    """Why a proof is refused."""
    with pytest.raises(ProofRefused) as caught:
        await judge.verify_presented(given)
    assert caught.value.error == "invalid_dpop_proof"
    assert caught.value.nonce is None
    return str(caught.value)


class Clock:
    """The time, which stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = float(int(time.time()))
        monkeypatch.setattr(_dpop_verifier, "time", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_the_thumbprint_of_the_specification() -> None:
    """RFC 7638, section 3.1; RFC 8037, appendix A.3."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP"
        "ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY"
        "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f"
        "M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = {"kty": "RSA", "n": modulus, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    edwards = {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert thumbprint(edwards) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.parametrize("key", [EC, P384, RSA, EDWARDS], ids=lambda key: key.kid)
def test_it_is_the_same_as_that_of_others(key: Any) -> None:
    assert thumbprint(public(key)) == key.thumbprint()


@pytest.mark.parametrize("alg", KEYS)
async def test_a_bound_token_with_its_proof(alg: str) -> None:
    key = KEYS[alg]
    proven = await verifier().verify_presented(shown(bound(key), key, alg))
    assert proven.principal.subject == "alice"
    assert proven.nonce is None


@pytest.mark.parametrize("bits", [2048, 4096])
async def test_keys_of_rsa(bits: int) -> None:
    key = RSAKey.generate_key(bits)
    await verifier().verify_presented(shown(bound(key), key, "PS256"))


async def test_a_key_that_says_what_it_is_for() -> None:
    for said in ({"use": "sig"}, {"key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]}):
        header, claims = proof_parts(TOKEN, "POST", URL)
        header["jwk"] |= said
        await verifier().verify_presented(presented(signed(header, claims)))


async def test_what_an_unnamed_algorithm_signs() -> None:
    judge = verifier(algorithms=["ES384"])
    assert judge.proof_algorithms == ("ES384",)
    assert "algorithm" in await refusal(judge, shown())
    await judge.verify_presented(shown(bound(P384), P384, "ES384"))


async def test_a_proof_is_used_once() -> None:
    judge, given = verifier(), shown()
    await judge.verify_presented(given)
    assert "before" in await refusal(judge, given)
    await judge.verify_presented(shown())


async def test_of_many_at_once_one_is_accepted() -> None:
    judge, given = verifier(), shown()
    outcomes: list[bool] = []

    async def attempt() -> None:
        await trio.lowlevel.checkpoint()
        try:
            await judge.verify_presented(given)
            outcomes.append(True)
        except ProofRefused:
            outcomes.append(False)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(attempt)
    assert sorted(outcomes) == [False] * 9 + [True]


async def test_what_is_refused_is_not_used_up() -> None:
    """Nobody can spoil a proof by sending it with something else."""
    judge, given = verifier(), shown()
    await refusal(judge, Presentation(TOKEN, "dpop", "GET", URL, given.proofs))
    other = bound(scope="other")
    await refusal(judge, presented(*given.proofs, token=other))
    await judge.verify_presented(given)


MISFITS = [
    ({"htm": "GET"}, "htm"),
    ({"htm": "post"}, "htm"),
    ({"htm": None}, "htm"),
    ({"htm": ["POST"]}, "htm"),
    ({"htu": "https://mcp.example/other"}, "htu"),
    ({"htu": "https://evil.example/mcp"}, "htu"),
    ({"htu": None}, "htu"),
    ({"htu": 5}, "htu"),
    ({"ath": digest("other")}, "ath"),
    ({"ath": None}, "ath"),
    ({"ath": ""}, "ath"),
    ({"jti": None}, "jti"),
    ({"jti": ""}, "jti"),
    ({"jti": 5}, "jti"),
    ({"iat": None}, "iat"),
    ({"iat": "5"}, "iat"),
    ({"iat": True}, "iat"),
    ({"iat": 10**400}, "iat"),
    ({"iat": 0}, "iat"),
    ({"iat": -1e300}, "iat"),
    ({"iat": 1e300}, "iat"),
    ({"nonce": 5}, "nonce"),
    ({"nonce": ""}, "nonce"),
]


@pytest.mark.parametrize(("changed", "flaw"), MISFITS)
async def test_a_proof_for_something_else(changed: dict[str, Any], flaw: str) -> None:
    assert f"({flaw})" in await refusal(verifier(), shown(**changed))


async def test_urls_are_compared_as_the_specification_says() -> None:
    for same in ("https://MCP.example:443/mcp", f"{URL}?a=b#c", "https://mcp.example/x/%2e./mcp"):
        await verifier().verify_presented(shown(htu=same))


@pytest.mark.parametrize(
    ("age", "is_accepted"), [(-31, False), (-30, True), (0, True), (90, True), (91, False)]
)
async def test_the_time_of_a_proof(age: int, is_accepted: bool, clock: Clock) -> None:
    given = shown(iat=clock.now - age)
    if is_accepted:
        await verifier().verify_presented(given)
    else:
        assert "iat" in await refusal(verifier(), given)
    strict = verifier(proof_seconds=1, leeway=0)
    if age == 0:
        await strict.verify_presented(given)
    else:
        assert "iat" in await refusal(strict, given)


async def test_no_time_lets_a_proof_in_twice(clock: Clock) -> None:
    """However early it is used, it is remembered for as long as it could be used."""
    judge = verifier(proof_seconds=10, leeway=5)
    given = shown(iat=clock.now + 5)
    await judge.verify_presented(given)
    for _ in range(25):
        clock.now += 1
        await refusal(judge, given)


@pytest.mark.parametrize("proofs", [(), ("", ""), ("x.y.z", "x.y.z")])
async def test_there_must_be_one_proof(proofs: tuple[str, ...]) -> None:
    assert "there is" in await refusal(verifier(), presented(*proofs))


async def test_two_good_proofs_are_one_too_many() -> None:
    given = [*shown().proofs, *shown().proofs]
    assert "more than one" in await refusal(verifier(), presented(*given))
    assert "malformed" in await refusal(verifier(), presented(", ".join(given)))


def altered(change: Any) -> str:
    """A signed proof whose header or claims somebody has changed before."""
    header, said = proof_parts(TOKEN, "POST", URL)
    change(header, said)
    return signed(header, said)


HEADERS = [
    {"typ": None},
    {"typ": "JWT"},
    {"typ": "at+jwt"},
    {"typ": ["dpop+jwt"]},
    {"alg": None},
    {"alg": "none"},
    {"alg": "HS256"},
    {"alg": "ES384"},
    {"alg": "RS256"},
    {"alg": ["ES256"]},
    {"alg": {"ES256": 1}},
    {"crit": ["exp"]},
    {"crit": []},
    {"b64": False},
    {"jwk": None},
    {"jwk": []},
    {"jwk": "EC"},
    {"jwk": {}},
    {"jwk": {"kty": ["EC"]}},
    {"jwk": public(OTHER)},
    {"jwk": public(P384)},
    {"jwk": public(RSA)},
    {"jwk": EC.as_dict(private=True)},
    {"jwk": OctKey.generate_key(256).as_dict(private=True)},
    *({"jwk": {**public(EC), "d": each}} for each in (None, "", "AQAB", 5)),
    *({"jwk": {**public(EC), "x": each}} for each in (None, "", "AQAB", 5, "A" * 43, "=" * 43)),
    *({"jwk": {**public(EC), "crv": each}} for each in (None, "P-384", "secp256k1", "?", 5, [])),
    {"jwk": {**public(EC), "y": public(EC)["x"]}},
    {"jwk": {**public(EC), "y": "A" + public(EC)["y"]}},
    {"jwk": {**public(EC), "alg": "ES384"}},
    {"jwk": {**public(EC), "use": "enc"}},
    *(
        {"jwk": {**public(EC), "key_ops": each}}
        for each in (["sign"], ["encrypt"], ["Verify"], [], "verify", {"verify": 1}, None, 5)
    ),
    {"jwk": {**public(EC), "k": "AQAB"}},
]


@pytest.mark.parametrize("changed", HEADERS, ids=repr)
async def test_headers_that_are_refused(changed: dict[str, Any]) -> None:
    def change(header: dict[str, Any], _: Any) -> None:
        header.update(changed)

    said = await refusal(verifier(), presented(altered(change)))
    assert "internal" not in said


def weak(bits: int, exponent: str = "AQAB") -> dict[str, Any]:
    """An RSA key of so many bits that nobody has made."""
    modulus = (1 << (bits - 1) | 1).to_bytes((bits + 7) // 8, "big")
    return {"kty": "RSA", "n": encode(modulus), "e": exponent}


RSA_KEYS = [
    weak(512),
    weak(2047),
    weak(4097),
    weak(16384),
    weak(2048, "AQ"),
    weak(2048, "Ag"),
    weak(2048, encode(b"\x01" * 5)),
    weak(2048, encode(b"\xff" * 256)),
    weak(2048, encode(b"\x00\x01\x00\x01")),
    {**public(RSA), "n": encode(b"\x00" + base64.urlsafe_b64decode(public(RSA)["n"] + "=="))},
    {**public(RSA), "n": ""},
    {**public(RSA), "e": ""},
    {**public(RSA), "e": 65537},
    {"kty": "RSA"},
    public(EDWARDS),
]


@pytest.mark.parametrize("jwk", RSA_KEYS, ids=lambda jwk: repr(jwk)[:50])
async def test_keys_of_rsa_that_are_refused(jwk: dict[str, Any]) -> None:
    header, said = proof_parts(TOKEN, "POST", URL, RSA, "RS256")
    header["jwk"] = jwk
    await refusal(verifier(), presented(signed(header, said, RSA, "RS256")))


@pytest.mark.parametrize(
    "key", [OKPKey.generate_key("Ed448"), OKPKey.generate_key("X25519")], ids=["Ed448", "X25519"]
)
async def test_other_curves_of_edwards(key: OKPKey) -> None:
    header, said = proof_parts(TOKEN, "POST", URL, EDWARDS, "EdDSA")
    header["jwk"] = public(key)
    await refusal(verifier(), presented(signed(header, said, EDWARDS, "EdDSA")))


def raw(header: bytes, said: bytes) -> str:
    return seal(f"{encode(header)}.{encode(said)}")


def test_texts_are_read_strictly() -> None:
    header, said = proof_parts(TOKEN, "POST", URL)
    head, body = json.dumps(header).encode(), json.dumps(said).encode()
    good = raw(head, body)
    malformed = [
        raw(head[:-1] + b', "typ": "dpop+jwt"}', body),
        raw(head, body[:-1] + b', "htm": "POST"}'),
        raw(head.replace(b'"jwk": {', b'"jwk": {"kty": "EC", '), body),
        raw(head, body[:-1] + b', "x": {"a": 1, "a": 1}}'),
        raw(head, body.replace(b'"jti": "', b'"jti": "\\ud800')),
        raw(head, body.replace(b'"jti": "', b'"jti": "\xff')),
        raw(head, body[:-1] + b', "x": NaN}'),
        raw(head, body[:-1] + b', "x": 1e999}'),
        raw(head, body[:-1] + b', "x": ' + b"[" * 500 + b"]" * 500 + b"}"),
        raw(b'"dpop+jwt alg jwk"', body),
        raw(b"[]", body),
        raw(head, b"[]"),
        raw(head, b"5"),
        good + "=",
        good + ".",
        good.rpartition(".")[0],
        f"x{good}",
        good.replace(".", ".A", 1),
    ]

    async def check() -> None:
        judge = verifier()
        for each in malformed:
            await refusal(judge, presented(each))
        await judge.verify_presented(presented(f" {good}\t"))

    trio.run(check)


async def test_a_long_proof_is_not_read() -> None:
    assert "too long" in await refusal(verifier(), shown(more="x" * 8192))
    await verifier().verify_presented(shown(more="x" * 4096))


async def test_a_forged_signature() -> None:
    header, said = proof_parts(TOKEN, "POST", URL)
    forged = [
        signed(header, said, OTHER),
        signed(header, said).rpartition(".")[0] + "." + encode(b"\x00" * 64),
        signed(header, said).rpartition(".")[0] + "." + encode(b"x"),
        signed({**header, "alg": "none"}, said).rpartition(".")[0] + ".",
    ]
    for each in forged:
        await refusal(verifier(), presented(each))


# -- tokens -----------------------------------------------------------------------------------


async def invalid(judge: DPoPVerifier, given: Presentation) -> str:
    """Why a token is refused."""
    with pytest.raises(InvalidToken) as caught:
        await judge.verify_presented(given)
    return str(caught.value)


async def test_a_token_that_is_bound_to_another_key() -> None:
    token = bound()
    assert "another key" in await invalid(verifier(), shown(token, OTHER))


async def test_a_token_that_is_bound_to_none() -> None:
    assert "no key" in await invalid(verifier(accept_bearer=True), shown(sign()))


@pytest.mark.parametrize("accept_bearer", [False, True])
async def test_a_bound_token_without_a_proof(accept_bearer: bool) -> None:
    judge = verifier(accept_bearer=accept_bearer)
    given = presented(*shown().proofs, scheme="bearer")
    assert "DPoP proof" in await invalid(judge, given) or accept_bearer
    with pytest.raises(InvalidToken):
        await judge.verify(TOKEN)


async def test_a_plain_token() -> None:
    plain = presented(token=sign(), scheme="bearer")
    proven = await verifier(accept_bearer=True).verify_presented(plain)
    assert proven.principal.subject == "alice"
    assert "'DPoP '" in await invalid(verifier(), plain)


OTHER_WAYS = [
    {"x5t#S256": "x"},
    {"x5t#S256": "x", "jkt": EC.thumbprint()},
    {"jkt": EC.thumbprint(), "jwk": public(EC)},
    {"jwk": public(EC)},
    {"jkt": 5},
    {},
    "x",
    5,
    [],
]


@pytest.mark.parametrize("confirmation", OTHER_WAYS, ids=repr)
async def test_tokens_that_are_bound_in_other_ways(confirmation: Any) -> None:
    token = sign(claims(cnf="…") | {"cnf": confirmation})
    for judge in (verifier(), verifier(accept_bearer=True)):
        assert "bound" in await invalid(judge, shown(token))
        with pytest.raises(InvalidToken):
            await judge.verify(token)
    with pytest.raises(InvalidToken, match="bound"):
        await tokens().verify(token)


async def test_without_this_verifier_a_bound_token_is_refused() -> None:
    inner = tokens()
    with pytest.raises(InvalidToken, match="bound"):
        await inner.verify(TOKEN)
    await DPoPVerifier(inner).verify_presented(shown())
    with pytest.raises(InvalidToken, match="bound"):
        await inner.verify(TOKEN)


async def test_an_expired_token_uses_nothing_up() -> None:
    token = bound(exp=time.time() - 60)
    assert "expired" in await invalid(verifier(), shown(token))


class Wrapping:
    """A verifier of somebody's own around another, which it asks in a task of its own."""

    def __init__(self) -> None:
        self.inner = tokens()

    async def verify(self, token: str) -> Principal:
        found: list[Principal] = []

        async def ask() -> None:
            await trio.lowlevel.checkpoint()
            found.append(await self.inner.verify(token))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
        return found[0]


async def test_a_verifier_of_a_users_own_between() -> None:
    judge = DPoPVerifier(Wrapping())
    assert judge.issuer is None
    assert judge.audience is None
    proven = await judge.verify_presented(shown())
    assert proven.principal.subject == "alice"


async def test_known_tokens() -> None:
    known = {
        "bound-token": Principal("alice", claims={"cnf": {"jkt": EC.thumbprint()}}),
        "plain-token": Principal("bob"),
    }
    judge = DPoPVerifier(StaticTokenVerifier(known), accept_bearer=True)
    proven = await judge.verify_presented(shown("bound-token"))
    assert proven.principal.subject == "alice"
    assert (await judge.verify("plain-token")).subject == "bob"
    with pytest.raises(InvalidToken, match="bound to a key"):
        await judge.verify("bound-token")
    with pytest.raises(InvalidToken, match="no key"):
        await judge.verify_presented(shown("plain-token"))


async def test_a_verifier_that_gives_nothing() -> None:
    class Empty:
        async def verify(self, token: str) -> Any:
            return None

    judge = DPoPVerifier(Empty(), accept_bearer=True)
    for given in (shown(), presented(scheme="bearer")):
        with pytest.raises(TypeError, match="no Principal"):
            await judge.verify_presented(given)


# -- nonces -----------------------------------------------------------------------------------


async def wanted_nonce(judge: DPoPVerifier, given: Presentation) -> str:
    """The nonce that a client is told to use."""
    with pytest.raises(ProofRefused) as caught:
        await judge.verify_presented(given)
    assert caught.value.error == "use_dpop_nonce"
    assert caught.value.nonce is not None
    return caught.value.nonce


async def test_a_nonce_of_this_server(clock: Clock) -> None:
    judge = verifier(nonces=True, nonce_seconds=100)
    nonce = await wanted_nonce(judge, shown())
    assert nonce.isascii()
    assert not set(nonce) & set('"\\ ,')
    # The client's clock does not matter then.
    proven = await judge.verify_presented(shown(nonce=nonce, iat=5))
    assert proven.nonce is None
    clock.now += 50
    proven = await judge.verify_presented(shown(nonce=nonce))
    assert proven.nonce not in (None, nonce)
    clock.now += 51
    newest = await wanted_nonce(judge, shown(nonce=nonce))
    assert newest != nonce
    await judge.verify_presented(shown(nonce=newest))
    await judge.verify_presented(shown(nonce=proven.nonce))


@pytest.mark.parametrize("nonce", ["x", "A" * 30, "é", "A" * 5000, ".", "AAAA"])
async def test_a_nonce_of_nobody(nonce: str) -> None:
    judge = verifier(nonces=True)
    await judge.verify_presented(shown(nonce=await wanted_nonce(judge, shown(nonce=nonce))))


async def test_a_nonce_that_somebody_has_changed() -> None:
    judge = verifier(nonces=True)
    nonce = await wanted_nonce(judge, shown())
    for place, character in enumerate(nonce):
        other = nonce[:place] + ("B" if character == "A" else "A") + nonce[place + 1 :]
        await wanted_nonce(judge, shown(nonce=other))
    await judge.verify_presented(shown(nonce=nonce))


async def test_several_processes_with_the_same_keys(clock: Clock) -> None:
    first, second = b"first key of 16+", b"second key of 16"
    old, new = (
        verifier(nonces=True, nonce_keys=[first]),
        verifier(nonces=True, nonce_keys=[second, first]),
    )
    await new.verify_presented(shown(nonce=await wanted_nonce(old, shown())))
    other = await wanted_nonce(new, shown())
    assert other != await wanted_nonce(old, shown(nonce=other))
    mine, yours = verifier(nonces=True), verifier(nonces=True)
    await wanted_nonce(yours, shown(nonce=await wanted_nonce(mine, shown())))


@pytest.mark.parametrize("fraction", [0, 0.001, 0.4, 0.999])
@pytest.mark.parametrize("leeway", [0, 30, 3600])
async def test_how_long_a_nonce_is_good(leeway: float, fraction: float, clock: Clock) -> None:
    """`leeway` is for the clocks of clients, of which a nonce says nothing."""
    judge = verifier(nonces=True, nonce_seconds=1, leeway=leeway)
    clock.now += fraction
    nonce = await wanted_nonce(judge, shown())
    clock.now += 0.99
    await judge.verify_presented(shown(nonce=nonce))
    clock.now += 0.02
    await wanted_nonce(judge, shown(nonce=nonce))


@pytest.mark.parametrize("leeway", [0, 30])
async def test_a_nonce_of_a_process_whose_clock_is_ahead(leeway: float, clock: Clock) -> None:
    keys = {"nonces": True, "nonce_keys": [b"k" * 16], "leeway": leeway}
    clock.now += 6
    nonce = await wanted_nonce(verifier(**keys), shown())
    clock.now -= 6
    await wanted_nonce(verifier(**keys), shown(nonce=nonce))
    clock.now += 1
    await verifier(**keys).verify_presented(shown(nonce=nonce))


async def test_a_nonce_makes_no_proof_good_twice(clock: Clock) -> None:
    keys = {"nonces": True, "nonce_keys": [b"k" * 16], "nonce_seconds": 10, "leeway": 0}
    judge = verifier(**keys)
    # That of another process, whose clock is ahead, is good for longest.
    clock.now += 5
    given = shown(nonce=await wanted_nonce(verifier(**keys), shown()))
    clock.now -= 5
    await judge.verify_presented(given)
    for _ in range(15):
        clock.now += 1
        assert "before" in await refusal(judge, given)
    clock.now += 1
    await wanted_nonce(judge, given)


async def test_how_long_a_store_remembers(clock: Clock) -> None:
    """For as long as any process accepts the proof, with its clock ahead or behind."""
    told: list[float] = []

    class Store(MemoryNonceStore):
        async def use(self, nonce: str, seconds: float) -> bool:
            told.append(seconds)
            return await super().use(nonce, seconds)

    await verifier(replays=Store(), proof_seconds=60, leeway=20).verify_presented(shown())
    judge = verifier(replays=Store(), nonces=True, nonce_seconds=100, leeway=20)
    await judge.verify_presented(shown(nonce=await wanted_nonce(judge, shown())))
    assert told == [105, 110]


# -- replays ----------------------------------------------------------------------------------


async def test_a_flood_of_proofs_costs_only_its_sender(clock: Clock) -> None:
    judge = verifier(replay_entries=10)
    victims = bound(OTHER, sub="victim")
    stolen = shown(victims, OTHER, iat=clock.now - 20)
    await judge.verify_presented(stolen)
    for second in range(60):
        await judge.verify_presented(shown(iat=clock.now - 60 + second))
    assert "before" in await refusal(judge, stolen)
    await judge.verify_presented(shown(victims, OTHER, iat=clock.now - 20))
    await judge.verify_presented(shown())


async def test_a_flood_cannot_use_its_own_proofs_again(clock: Clock) -> None:
    judge = verifier(replay_entries=5)
    used = [shown(iat=clock.now - 30 + second) for second in range(20)]
    for each in used:
        await judge.verify_presented(each)
    for each in used:
        await refusal(judge, each)


async def test_a_new_proof_that_is_not_newer_than_a_forgotten_one(clock: Clock) -> None:
    """It may be the client's first, so that is not what it is told."""
    judge = verifier(replay_entries=3)
    for _ in range(3):
        await judge.verify_presented(shown(iat=clock.now))
    said = await refusal(judge, shown(iat=clock.now))
    assert "before" not in said
    assert "newer" in said
    await judge.verify_presented(shown(iat=clock.now + 1))


async def test_that_there_is_no_more_room_is_logged_now_and_then(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[str]:
        return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]

    judge = verifier(replay_entries=3)
    for _ in range(2):
        await judge.verify_presented(shown(iat=clock.now))
    assert not told()
    for each in range(50):
        await judge.verify_presented(shown(iat=clock.now + each / 2))
    assert len(told()) == 1
    assert "replay_entries=3" in told()[0]
    for each in range(240):
        clock.now += 1
        await judge.verify_presented(shown(iat=clock.now + 26 + each / 100))
    assert len(told()) == 3
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("options", [{}, {"nonces": True}])
async def test_it_is_logged_where_callers_are_refused_as_well(
    options: dict[str, Any], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    judge = verifier(replay_entries=2, **options)
    nonce = await wanted_nonce(judge, shown()) if options else None
    for name in ("a", "b"):
        await judge.verify_presented(shown(bound(sub=name), nonce=nonce))
    for name in ("c", "d"):
        with pytest.raises(VerifierUnavailable, match="replay_entries="):
            await judge.verify_presented(shown(bound(sub=name), nonce=nonce))
    assert [each.levelname for each in caplog.records] == ["WARNING"]


async def test_with_nonces_it_is_sent_for_a_newer_one(clock: Clock) -> None:
    judge = verifier(nonces=True, replay_entries=3)
    nonce = await wanted_nonce(judge, shown())
    for _ in range(3):
        await judge.verify_presented(shown(nonce=nonce))
    clock.now += 1
    newer = await wanted_nonce(judge, shown(nonce=nonce))
    await judge.verify_presented(shown(nonce=newer))


async def test_too_many_callers_at_once(clock: Clock) -> None:
    judge = verifier(replay_entries=2)
    for name in ("a", "b"):
        await judge.verify_presented(shown(bound(sub=name)))
    with pytest.raises(VerifierUnavailable, match="replay_entries="):
        await judge.verify_presented(shown(bound(sub="c")))
    clock.now += 121
    await judge.verify_presented(shown(bound(sub="c"), iat=clock.now))


async def test_a_server_that_is_started_anew() -> None:
    """What is only in memory is gone: the pages say what to do about it."""
    given = shown()
    await verifier().verify_presented(given)
    await verifier().verify_presented(given)
    for options, is_known in (({}, False), ({"nonce_keys": [b"k" * 16]}, True)):
        judge = verifier(nonces=True, **options)
        given = shown(nonce=await wanted_nonce(judge, shown()))
        await judge.verify_presented(given)
        restarted = verifier(nonces=True, **options)
        if is_known:
            await restarted.verify_presented(given)
        else:
            await wanted_nonce(restarted, given)


async def test_a_store_that_several_processes_share() -> None:
    store = MemoryNonceStore()
    given = shown()
    await verifier(replays=store).verify_presented(given)
    assert "before" in await refusal(verifier(replays=store), given)
    await verifier().verify_presented(given)


# -- introspection ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["DPoP", "Bearer", None])
async def test_a_token_of_which_the_issuer_is_asked(kind: str | None) -> None:
    said = {"active": True, "sub": "alice", "cnf": {"jkt": EC.thumbprint()}}
    said = said if kind is None else said | {"token_type": kind}
    asked = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json=said)

    inner = IntrospectionVerifier(
        "https://issuer.example/introspect",
        client_id="server",
        client_secret="secret",
        issuer="https://issuer.example",
        audience=None,
        http_client=answering(answer),
    )
    judge = DPoPVerifier(inner)
    assert (await judge.verify_presented(shown())).principal.subject == "alice"
    # What is kept of the answer is of no use without a proof.
    with pytest.raises(InvalidToken):
        await inner.verify(TOKEN)
    assert (await judge.verify_presented(shown())).principal.subject == "alice"
    assert len(asked) == 2


# -- options ----------------------------------------------------------------------------------

NO_VERIFIERS = [None, "x", {"alices-token": 1}, StaticTokenVerifier, 5, object()]


@pytest.mark.parametrize("given", NO_VERIFIERS, ids=repr)
def test_around_no_verifier(given: Any) -> None:
    with pytest.raises(TypeError, match="goes around a verifier") as caught:
        DPoPVerifier(given)
    assert "alices-token" not in str(caught.value)


def test_around_itself() -> None:
    with pytest.raises(TypeError, match="goes around a verifier"):
        DPoPVerifier(verifier())


OPTIONS = [
    *(
        ({name: given}, TypeError)
        for name in ("accept_bearer", "nonces")
        for given in ("no", "0", "yes", "", 0, 1, None, [])
    ),
    ({"algorithms": []}, ValueError),
    ({"algorithms": "ES256"}, TypeError),
    ({"algorithms": ["none"]}, ValueError),
    ({"algorithms": ["HS256"]}, ValueError),
    ({"algorithms": ["ES256", "ES256K"]}, ValueError),
    ({"algorithms": [["ES256"]]}, ValueError),
    ({"algorithms": 5}, TypeError),
    ({"proof_seconds": 0}, ValueError),
    ({"proof_seconds": -5}, ValueError),
    ({"proof_seconds": float("nan")}, ValueError),
    ({"proof_seconds": float("inf")}, ValueError),
    ({"proof_seconds": "60"}, TypeError),
    ({"proof_seconds": True}, TypeError),
    ({"leeway": -1}, ValueError),
    ({"leeway": 10**400}, ValueError),
    ({"nonce_seconds": 0}, ValueError),
    ({"nonces": True, "nonce_keys": [b"short"]}, ValueError),
    ({"nonces": True, "nonce_keys": b"k" * 32}, TypeError),
    ({"nonces": True, "nonce_keys": ["k" * 32]}, TypeError),
    ({"nonce_keys": [b"k" * 32]}, ValueError),
    ({"replay_entries": 0}, ValueError),
    ({"replay_entries": 1.5}, ValueError),
    ({"replay_entries": True}, ValueError),
    ({"replays": 5}, TypeError),
]


@pytest.mark.parametrize(("options", "kind"), OPTIONS, ids=repr)
def test_options_out_of_range(options: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"{list(options)[-1]}=") as caught:
        verifier(**options)
    assert "kkkk" not in str(caught.value)
    assert "short" not in str(caught.value)


def test_what_it_says_of_itself() -> None:
    judge = verifier()
    assert judge.issuer == tokens().issuer
    assert judge.audience == tokens().audience
    assert judge.accepts_bearer is False
    assert TOKEN not in repr(shown())


# -- any input --------------------------------------------------------------------------------

VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=5), st.integers(), max_size=2)
)


@st.composite
def mutations(draw: Any) -> str:
    """A proof that is almost good: one thing about it has changed."""
    header, said = proof_parts(TOKEN, "POST", URL)
    before = json.dumps([header, said], sort_keys=True)
    target = draw(st.sampled_from([header, said, header["jwk"]]))
    name = draw(st.sampled_from(sorted(target)))
    how = draw(st.sampled_from(["gone", "changed", "twice", "bytes", "signature"]))
    if how == "gone":
        del target[name]
    elif how == "changed":
        target[name] = draw(VALUES)
    head, body = json.dumps(header), json.dumps(said)
    if how == "twice":
        member = f"{json.dumps(name)}: {json.dumps(target[name])}"
        head, body = (
            head.replace(member, f"{member}, {member}"),
            body.replace(member, f"{member}, {member}"),
        )
        hypothesis.assume((head, body) != (json.dumps(header), json.dumps(said)))
    elif how in ("gone", "changed"):
        hypothesis.assume(json.dumps([header, said], sort_keys=True) != before)
    good = raw(head.encode(), body.encode())
    if how not in ("bytes", "signature"):
        return good
    place = draw(st.integers(0, len(good) - 1)) if how == "bytes" else draw(st.integers(-86, -1))
    changed = good[:place] + draw(st.sampled_from("Aq7_-.,= \x00\xff")) + good[place:][1:]
    hypothesis.assume(changed.strip(" \t") != good)
    return changed


@hypothesis.given(mutations())
async def test_a_changed_proof_is_refused(given: str) -> None:
    """And the next good one is accepted, once."""
    judge = verifier()
    try:
        await judge.verify_presented(presented(given))
    except (ProofRefused, InvalidToken):
        pass
    else:
        # Only a proof that is good itself: another name or time, signed by the same key.
        payload = given.split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(payload + "=="))
        assert said["htm"] == "POST"
        assert said["htu"] == URL
        assert said["ath"] == digest(TOKEN)
        assert isinstance(said["jti"], str)
        await refusal(judge, presented(given))
    good = shown()
    await judge.verify_presented(good)
    await refusal(judge, good)


@hypothesis.given(st.lists(st.text(max_size=50) | st.just("a.b.c"), max_size=3))
async def test_any_header_is_refused(proofs: list[str]) -> None:
    await refusal(verifier(), presented(*proofs))


@hypothesis.given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=70))
async def test_any_parts_are_refused(head: bytes, body: bytes, signature: bytes) -> None:
    given = ".".join(map(encode, (head, body, signature)))
    await refusal(verifier(), presented(given))
