"""Signed tokens: what is accepted, and each way to be refused."""

from __future__ import annotations

import base64
import hmac
import logging
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, Key, RSAKey

from trimcp import InvalidToken, Principal, TokenVerifier
from trimcp.auth import JWTVerifier

from .signing import (
    AUDIENCE,
    EC,
    EDWARDS,
    ISSUER,
    OTHER,
    P384,
    RSA,
    SECRET,
    claims,
    encode,
    key_set,
    seal,
    sign,
)

ALL = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"]


def verifier(**options: Any) -> JWTVerifier:
    usual: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "keys": key_set(RSA, EC, P384, EDWARDS),
        "algorithms": ALL,
    }
    return JWTVerifier(**(usual | options))


async def refused(token: str, reason: str, **options: Any) -> None:
    with pytest.raises(InvalidToken, match=reason) as caught:
        await verifier(**options).verify(token)
    # Told to the client, so it neither repeats the token nor tells of our insides.
    assert caught.value.reason == str(caught.value)
    assert len(caught.value.reason) < 100
    assert not any(part and part in caught.value.reason for part in token.split("."))


async def test_a_token() -> None:
    said = claims(custom={"a": 1}, exp=time.time() + 60.5)
    accepted: TokenVerifier = verifier(leeway=5)
    principal = await accepted.verify(sign(said))
    assert principal == Principal(
        "alice", "app", ISSUER, {"files:read", "files:write"}, said, said["exp"] + 5
    )
    assert principal.claims == said
    assert principal.identity == (ISSUER, "alice", "app")


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (RSA, "RS256"),
        (RSA, "PS256"),
        (EC, "ES256"),
        (P384, "ES384"),
        (EDWARDS, "EdDSA"),
        (EDWARDS, "Ed25519"),
    ],
)
async def test_algorithms(key: Key, alg: str) -> None:
    token = sign(key=key, alg=alg)
    assert (await verifier().verify(token)).subject == "alice"
    assert (await verifier().verify(sign(key=key, alg=alg, header={"kid": None}))).subject
    other = [each for each in ALL if each != alg]
    await refused(token, "algorithm that is not accepted", algorithms=other)


async def test_a_shared_secret() -> None:
    options: dict[str, Any] = {"keys": SECRET.as_dict(private=True), "algorithms": ["HS512"]}
    token = sign(key=SECRET, alg="HS512")
    assert (await verifier(**options).verify(token)).subject == "alice"
    options["keys"] = {"keys": [SECRET.as_dict(private=True)]}
    assert (await verifier(**options).verify(token)).subject == "alice"
    content, _, signature = token.rpartition(".")
    changed = ("A" if signature[0] != "A" else "B") + signature[1:]
    await refused(f"{content}.{changed}", "signature", **options)


@pytest.mark.parametrize("key", [EC, RSA, EDWARDS])
@pytest.mark.parametrize("convert", [str, str.encode])
async def test_a_key_as_pem(key: Any, convert: Any) -> None:
    alg = {"EC": "ES256", "RSA": "RS256", "OKP": "Ed25519"}[key.key_type]
    pem = convert(key.as_pem(private=False).decode())
    accepted = verifier(keys=pem, algorithms=[alg])
    # A key without an id is for every id.
    assert (await accepted.verify(sign(key=key, alg=alg))).subject == "alice"
    assert (await accepted.verify(sign(key=key, alg=alg, header={"kid": "x"}))).subject == "alice"


async def test_several_issuers_and_audiences() -> None:
    accepted = verifier(issuer=[ISSUER, "https://b/"], audience=["https://c", AUDIENCE])
    assert accepted.issuer == (ISSUER, "https://b/")
    assert accepted.audience == ("https://c", AUDIENCE)
    token = sign(claims(iss="https://b/", aud=["x", "https://c"]))
    assert (await accepted.verify(token)).issuer == "https://b/"


async def test_client_from_azp() -> None:
    assert (await verifier().verify(sign(claims(client_id=None, azp="web")))).client == "web"
    assert (await verifier().verify(sign(claims(client_id=None)))).client is None


# -- scopes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ({"scope": "a  b"}, "ab"),
        ({"scope": ["a", "b"]}, "ab"),
        ({"scope": None, "scp": "a"}, "a"),
        ({"scope": None, "scp": ["a", "b"]}, "ab"),
        ({"scope": "a", "scp": ["b"]}, "ab"),
        ({"scope": None}, ""),
        ({"scope": ""}, ""),
        ({"scope": None, "permissions": ["a"]}, ""),
    ],
)
async def test_scopes(said: dict[str, Any], scopes: str) -> None:
    assert (await verifier().verify(sign(claims(**said)))).scopes == set(scopes)


async def test_scopes_elsewhere() -> None:
    accepted = verifier(scope_claims="permissions")
    assert (await accepted.verify(sign(claims(permissions=["a"])))).scopes == {"a"}


@pytest.mark.parametrize("scope", [5, True, {"a": 1}, ["a", 5], [["a"]]])
async def test_malformed_scopes(scope: object) -> None:
    await refused(sign(claims(scope=scope)), "malformed scopes")


async def test_scopes_that_include_others() -> None:
    accepted = verifier(
        implied_scopes={"admin": {"files:write"}, "files:write": ["files:read"], "x": {"y"}}
    )
    principal = await accepted.verify(sign(claims(scope="admin openid")))
    assert principal.scopes == {"admin", "files:write", "files:read", "openid"}


# -- claims -----------------------------------------------------------------------------------

LATER = 10**10


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": None}, "another issuer"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"iss": ISSUER + "/"}, "another issuer"),
        ({"iss": ISSUER.upper()}, "another issuer"),
        ({"iss": [ISSUER]}, "another issuer"),
        ({"iss": 5}, "another issuer"),
        ({"aud": None}, "which server it is for"),
        ({"aud": 5}, "which server it is for"),
        ({"aud": [AUDIENCE, 5]}, "which server it is for"),
        ({"aud": {AUDIENCE: 1}}, "which server it is for"),
        ({"aud": []}, "another server"),
        ({"aud": ""}, "another server"),
        ({"aud": AUDIENCE + "/"}, "another server"),
        ({"aud": "https://mcp.example"}, "another server"),
        ({"aud": "HTTPS://mcp.example/mcp"}, "another server"),
        ({"aud": ["https://other.example"]}, "another server"),
        ({"exp": None}, "when it expires"),
        ({"exp": "9999999999"}, "malformed time"),
        ({"exp": True}, "malformed time"),
        ({"exp": [LATER]}, "malformed time"),
        ({"exp": 10**400}, "malformed time"),
        ({"nbf": 10**400}, "malformed time"),
        ({"iat": -(10**400)}, "malformed time"),
        ({"exp": 1}, "has expired"),
        ({"exp": -1}, "has expired"),
        ({"nbf": LATER}, "not valid yet"),
        ({"nbf": "x"}, "malformed time"),
        ({"iat": LATER}, "in the future"),
        ({"iat": {}}, "malformed time"),
        ({"sub": None}, "whom it was issued for"),
        ({"sub": ""}, "whom it was issued for"),
        ({"sub": 5}, "malformed claim"),
        ({"client_id": ["a"]}, "malformed claim"),
        ({"azp": 5, "client_id": None}, "malformed claim"),
        ({"cnf": {"jkt": "abc"}}, "bound to a key"),
    ],
)
async def test_claims_that_are_refused(changed: dict[str, Any], reason: str) -> None:
    await refused(sign(claims(**changed)), reason)


async def test_leeway() -> None:
    now = time.time()
    early, late = claims(nbf=now + 20, iat=now + 20), claims(exp=now - 20)
    for said in (early, late):
        assert (await verifier(leeway=30).verify(sign(said))).subject == "alice"
        await refused(sign(said), "not valid yet|expired", leeway=10)
        await refused(sign(said), "not valid yet|expired", leeway=0)


# -- headers and signatures -------------------------------------------------------------------


async def test_alg_none() -> None:
    head, payload, _ = sign().split(".")
    for name in ("none", "None", "NONE"):
        forged = encode({"alg": name, "typ": "at+jwt"})
        await refused(f"{forged}.{payload}.", "malformed")
        await refused(f"{forged}.{payload}.AAAA", "algorithm that is not accepted")
    await refused(f"{head}.{payload}.", "malformed")


async def test_a_public_key_as_the_secret() -> None:
    content = sign(header={"alg": "HS256"}).rpartition(".")[0]
    pem = EC.as_pem(private=False)
    pems: dict[str, Any] = {"keys": pem.decode(), "algorithms": ["ES256"]}
    for secret in (pem, pem.strip(), EC.as_bytes(encoding="DER")):
        forged = f"{content}.{encode(hmac.digest(secret, content.encode(), 'sha256'))}"
        await refused(forged, "algorithm that is not accepted")
        await refused(forged, "algorithm that is not accepted", **pems)


async def test_a_key_of_another_algorithm() -> None:
    await refused(sign(header={"alg": "ES384"}), "signature")
    await refused(sign(header={"alg": "RS256", "kid": "ec"}), "signature")
    await refused(sign(key=RSA, alg="RS256", header={"alg": "PS256"}), "signature")


async def test_a_key_that_is_for_something_else() -> None:
    rsa = RSA.as_dict(private=False)
    token = sign(key=RSA, alg="PS256")
    for said in ({"alg": "RS256"}, {"use": "enc"}, {"key_ops": ["sign"]}):
        keys = {"keys": [rsa | said, *key_set(EC)["keys"]]}
        await refused(token, "signature|not signed", keys=keys)
    keys = {"keys": [rsa | {"alg": "PS256", "use": "sig", "key_ops": ["verify"]}]}
    assert (await verifier(keys=keys).verify(token)).subject == "alice"


async def test_a_key_that_the_token_brings() -> None:
    own = OTHER.as_dict(private=False)
    for header in (
        {"jwk": own},
        {"jwk": own, "kid": "ec"},
        {"jku": "https://evil.example/jwks", "kid": "ec"},
        {"x5c": ["AAAA"], "kid": "ec"},
        {"x5u": "https://evil.example/", "kid": "ec"},
    ):
        await refused(sign(key=OTHER, header=header), "not signed with a known key|signature")


async def test_unknown_keys() -> None:
    await refused(sign(key=OTHER), "not signed with a known key")
    await refused(sign(key=OTHER, header={"kid": None}), "not signed with a known key")
    await refused(sign(key=OTHER, header={"kid": "ec"}), "signature")


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "JWT", "jwt", None])
async def test_usual_types(typ: str | None) -> None:
    assert (await verifier().verify(sign(header={"typ": typ}))).subject == "alice"


@pytest.mark.parametrize("typ", ["dpop+jwt", "logout+jwt", "secevent+jwt", "oauth-id-jag+jwt", " "])
async def test_other_types(typ: str) -> None:
    await refused(sign(header={"typ": typ}), "kind of token")


async def test_a_demanded_type() -> None:
    accepted = verifier(typ="at+JWT")
    assert (await accepted.verify(sign(header={"typ": "application/at+jwt"}))).subject == "alice"
    await refused(sign(header={"typ": "JWT"}), "kind of token", typ="at+jwt")
    await refused(sign(header={"typ": None}), "kind of token", typ="at+jwt")


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": 5},
        {"crit": [[1]]},
        {"b64": False, "crit": ["b64"]},
        {"b64": True},
    ],
)
async def test_demands_of_the_header(header: dict[str, Any]) -> None:
    await refused(sign(header=header), "extension")


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"5",
        b'"alg"',
        b'["alg"]',
        b"null",
        b"{}",
        b'{"alg": 5}',
        b'{"alg": ["ES256"]}',
        b'{"alg": null}',
        b'{"alg": "ES256", "kid": 5}',
        b'{"alg": "ES256", "typ": 5}',
        b'{"alg": "\\ud800"}',
        b'{"alg": "\xff"}',
        b'{"alg": NaN}',
        b'{"alg": "ES256", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'\xef\xbb\xbf{"alg": "ES256"}',
    ],
)
async def test_malformed_headers(head: bytes) -> None:
    await refused(seal(f"{encode(head)}.{encode(claims())}"), "malformed")


@pytest.mark.parametrize(
    "payload",
    [
        b"5",
        b"[]",
        b"null",
        b"{",
        b"\xff",
        b'{"exp": NaN}',
        b'{"exp": 1e999}',
        b'{"iss": "\\ud800"}',
        b'{"x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
async def test_malformed_payloads(payload: bytes) -> None:
    head = encode({"alg": "ES256", "kid": "ec"})
    await refused(seal(f"{head}.{encode(payload)}"), "malformed")


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "...", "a", "a.b", "a.b.c", "a.b.c.d", "a.b.c.d.e", "ä.b.c", "\ud800.a.b"],
)
async def test_no_tokens(token: str) -> None:
    with pytest.raises(InvalidToken):
        await verifier().verify(token)


async def test_truncated_and_changed_tokens() -> None:
    accepted = verifier()
    token = sign()
    for length in range(len(token)):
        with pytest.raises(InvalidToken):
            await accepted.verify(token[:length])
    for place in range(0, len(token), 7):
        changed = f"{token[:place]}{'A' if token[place] != 'A' else 'B'}{token[place + 1 :]}"
        with pytest.raises(InvalidToken):
            await accepted.verify(changed)
    for added in ("=", "==", "A", " ", "\n", "."):
        with pytest.raises(InvalidToken):
            await accepted.verify(token + added)


async def test_one_way_to_write_a_signature() -> None:
    """The unused bits of the last character are not free."""
    head, payload, signature = sign(key=RSA, alg="RS256").split(".")
    data = base64.urlsafe_b64decode(signature + "==")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    same = [
        signature[:-1] + letter
        for letter in letters
        if base64.urlsafe_b64decode(signature[:-1] + letter + "==") == data
    ]
    assert len(same) > 1
    for other in same:
        if other != signature:
            await refused(f"{head}.{payload}.{other}", "malformed")


async def test_a_large_token() -> None:
    said = claims(groups=["x" * 1000] * 500)
    assert (await verifier().verify(sign(said, header={"x": "y" * 5000}))).subject == "alice"
    start = time.process_time()
    for token in ("." * 1_000_000, "a" * 1_000_000, "a." * 500_000, f"{'A' * 10**6}.A.A"):
        with pytest.raises(InvalidToken):
            await verifier().verify(token)
    assert time.process_time() - start < 2


# -- whatever comes ---------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
HEADERS = JSON | st.fixed_dictionaries(
    {"alg": st.sampled_from([*ALL, "none", "HS256", "ES512", 5, None]) | JSON},
    optional={
        "kid": st.sampled_from(["ec", "rsa", "p384", "edwards", ""]) | JSON,
        "typ": st.sampled_from(["JWT", "at+jwt"]) | JSON,
        "crit": JSON,
        "b64": JSON,
        "jwk": JSON,
    },
)
PAYLOADS = JSON | st.fixed_dictionaries(
    {},
    optional={
        name: st.just(value) | JSON
        for name, value in claims(azp="a", nbf=0, scp=["a"], exp=10**10).items()
    },
)
ACCEPTING = verifier()


@given(HEADERS, PAYLOADS, st.booleans(), st.binary(max_size=80))
async def test_any_token_is_accepted_or_refused(
    header: Any, payload: Any, is_signed: bool, signature: bytes
) -> None:
    try:
        content = f"{encode(header)}.{encode(payload)}"
    except UnicodeEncodeError:
        return
    token = seal(content) if is_signed else f"{content}.{encode(signature)}"
    with suppress(InvalidToken):
        principal = await ACCEPTING.verify(token)
        assert is_signed
        assert principal.issuer == ISSUER
        assert AUDIENCE in payload["aud"]


@given(PAYLOADS)
async def test_any_signed_payload(payload: Any) -> None:
    with suppress(InvalidToken):
        head = encode({"alg": "ES256"})
        principal = await ACCEPTING.verify(seal(f"{head}.{encode(payload)}"))
        assert principal.subject == payload["sub"]
        assert principal.expires > time.time()


@given(st.text() | st.text(alphabet="aA.-_=", max_size=30) | st.binary().map(encode))
async def test_any_text(token: str) -> None:
    with pytest.raises(InvalidToken):
        await ACCEPTING.verify(token)


# -- construction -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"algorithms": []}, "at least one"),
        ({"algorithms": ()}, "at least one"),
        ({"algorithms": "ES256"}, "at least one"),
        ({"algorithms": ["none"]}, "none"),
        ({"algorithms": ["ES256", "none"]}, "none"),
        ({"algorithms": ["es256"]}, "es256"),
        ({"algorithms": ["HS256", "ES256"]}, "mixes"),
        ({"algorithms": ["HS256"]}, "oct"),
        ({"algorithms": ["HS256"], "keys": EC.as_pem(private=False)}, "oct"),
        ({"algorithms": ["HS256"], "keys": "https://issuer.example/jwks"}, "is not fetched"),
        ({"algorithms": ["HS512"], "keys": {"kty": "oct", "k": "A" * 50}}, "at least 64 bytes"),
        ({"algorithms": ["HS256"], "keys": {"kty": "oct", "k": "="}}, "oct"),
        ({"algorithms": ["HS256"], "keys": {"keys": []}}, "oct"),
        ({"algorithms": ["ES512"]}, "no public key"),
        ({"keys": {"keys": []}}, "no public key"),
        ({"keys": {"keys": 5}}, "no JWK set"),
        ({"keys": {"keys": [5]}}, "no public key"),
        ({"keys": {}}, "no public key"),
        ({"keys": SECRET.as_dict(private=True)}, "no public key"),
        ({"keys": EC.as_dict(private=True)}, "private key"),
        ({"keys": {"keys": [EC.as_dict(private=True)]}}, "private key"),
        ({"keys": EC.as_pem(private=True)}, "private key"),
        ({"keys": "nonsense"}, "no PEM text"),
        ({"keys": ""}, "no PEM text"),
        ({"keys": "https:///x"}, "URL"),
        ({"issuer": ""}, "issuer="),
        ({"issuer": []}, "issuer="),
        ({"audience": ""}, "audience="),
        ({"audience": []}, "audience="),
        ({"leeway": -1}, "leeway="),
        ({"leeway": float("nan")}, "leeway="),
        ({"leeway": float("inf")}, "leeway="),
        ({"scope_claims": []}, "scope_claims="),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        verifier(**options)


def test_one_string_implies_nothing() -> None:
    with pytest.raises(TypeError, match="admin"):
        verifier(implied_scopes={"admin": "files:read"})


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_weak_keys_are_refused() -> None:
    weak = RSAKey.generate_key(1024)
    with pytest.raises(ValueError, match="no public key"):
        verifier(keys=weak.as_dict(private=False), algorithms=["RS256"])
    with pytest.raises(ValueError, match="less than 2048"):
        verifier(keys=weak.as_pem(private=False), algorithms=["RS256"])


def bad_keys() -> list[Any]:
    """Members of a set that cannot be used, with the id of one that could."""
    ec, rsa = EC.as_dict(private=False), RSA.as_dict(private=False)
    return [
        5,
        None,
        [],
        {},
        {"kty": "PQ", "kid": "ec"},
        {"kty": ["EC"], "kid": "ec"},
        ec | {"crv": "P-999"},
        ec | {"crv": 5},
        ec | {"use": "enc"},
        ec | {"use": "odd"},
        ec | {"use": ["sig"]},
        ec | {"key_ops": ["sign"]},
        ec | {"key_ops": 5},
        ec | {"x": "AAAA"},
        ec | {"x": "!!"},
        ec | {"x": 5},
        ec | {"y": ec["x"]},
        ec | {"kid": 5},
        ec | {"d": "AAAA"},
        ec | {"alg": "ES384"},
        rsa | {"n": "AAAA"},
        rsa | {"n": "A" * 100_000},
        rsa | {"n": ["A"] * 400},
        rsa | {"e": ""},
        EC.as_dict(private=True),
        SECRET.as_dict(private=True),
    ]


@pytest.mark.parametrize("number", range(len(bad_keys())))
async def test_one_bad_key_does_not_cost_the_others(number: int) -> None:
    bad = bad_keys()[number]
    if isinstance(bad, dict) and "d" in bad:
        return  # refused as a whole when it is given; see the fetched sets
    keys = {"keys": [bad, *key_set(RSA, EC)["keys"]]}
    assert (await verifier(keys=keys).verify(sign())).subject == "alice"
    assert (await verifier(keys=keys).verify(sign(key=RSA, alg="RS256"))).subject == "alice"


async def test_the_same_id_twice() -> None:
    other = ECKey.generate_key("P-256", {"kid": "ec"})
    both = verifier(keys=key_set(other, EC))
    assert (await both.verify(sign())).subject == "alice"
    assert (await both.verify(sign(key=other))).subject == "alice"


async def test_how_many_keys_are_tried_is_bounded() -> None:
    many = [ECKey.generate_key("P-256", {"kid": str(number)}) for number in range(20)]
    accepted = verifier(keys=key_set(*many))
    assert (await accepted.verify(sign(key=many[19]))).subject == "alice"
    unnamed = {"kid": None}
    assert (await accepted.verify(sign(key=many[7], header=unnamed))).subject == "alice"
    with pytest.raises(InvalidToken):
        await accepted.verify(sign(key=many[19], header=unnamed))


# -- secrets and the extra --------------------------------------------------------------------


async def test_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    accepted = verifier()
    token = sign(claims(sub="s3cret"))
    principal = await accepted.verify(token)
    with suppress(InvalidToken):
        await accepted.verify(token[:-5])
    assert caplog.text == ""
    assert token not in repr(principal)
    assert token not in repr(accepted)


def test_joserfc_is_loaded_by_its_users_alone() -> None:
    code = (
        "import sys\n"
        "sys.modules['joserfc'] = None\n"
        "from trimcp import Principal\n"
        "from trimcp.auth import *\n"
        "StaticTokenVerifier({'a': Principal('b')})\n"
        "assert 'httpx2' not in sys.modules\n"
        "try:\n"
        "    JWTVerifier(issuer='a', audience='b', keys='c', algorithms=['ES256'])\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "JWTVerifier needs joserfc: pip install 'trimcp[auth]'\n", done.stderr
