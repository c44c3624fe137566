"""Keys, proofs and nonces, without a server.

Specification: RFC 9449, sections 4.2 and 8.1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from trimcp.auth._dpop import Nonces, credentials_of
from trimcp.auth._grants import Tokens
from trimcp.auth._proofs import ProofKey
from trimcp.transports import Credentials

from .bound import Proof
from .world import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

ALGORITHMS = ["ES256", "ES384", "ES512", "Ed25519", "EdDSA", "PS256", "RS256"]

KEY = ProofKey.generate("ES256")
URL = "https://mcp.example/mcp"


def read(proof: str, method: str = "POST", url: str = URL, token: str | None = None) -> Proof:
    return Proof.of(Request(method, "/", {"dpop": proof}, b""), url, token)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_that_is_stored_is_the_same(algorithm: str) -> None:
    key = ProofKey.generate(algorithm)
    again = ProofKey.stored(key.entry)
    for each in (key, again):
        proof = read(each.proof("GET", URL, nonce="n", token="t"), "GET", token="t")
        assert proof.thumbprint == key.thumbprint == again.thumbprint
        assert proof.head["alg"] == algorithm
        assert proof.claims["nonce"] == "n"
    assert again.entry == key.entry


def test_what_is_public_of_a_key() -> None:
    secret = json.loads(KEY.entry)["d"]
    assert secret not in repr(KEY) + str(KEY)
    assert KEY.thumbprint in repr(KEY)
    tokens = Tokens("https://as.example", "me", URL, "access", key=KEY.entry)
    made = credentials_of(tokens, Nonces())
    for each in (tokens, made):
        assert secret not in repr(each)
        assert "access" not in repr(each).replace("access_token", "")


def entries() -> Iterator[str]:
    """What is no key."""
    members = json.loads(KEY.entry)
    for name in members:
        yield json.dumps({key: value for key, value in members.items() if key != name})
        yield json.dumps({**members, name: 5})
        yield json.dumps({**members, name: "!"})
    yield json.dumps({**members, "alg": "ES384"})
    yield json.dumps({**members, "alg": "none"})
    yield json.dumps({**members, "alg": "PS256"})
    yield from ("", "5", "[]", "{", "[" * 100_000, KEY.entry[:-5])
    small: Any = ECKey.generate_key("secp256k1", auto_kid=False)
    yield json.dumps({**small.as_dict(private=True), "alg": "ES256"})


def test_what_is_no_key() -> None:
    for entry in entries():
        with pytest.raises(ValueError, match="cannot be used") as caught:
            ProofKey.stored(entry)
        assert caught.value.__suppress_context__
        assert json.loads(KEY.entry)["d"] not in str(caught.value)


def test_no_two_proofs_are_the_same() -> None:
    found = [read(KEY.proof("POST", URL)).claims for _ in range(50)]
    assert len({each["jti"] for each in found}) == 50
    assert all(set(each) == {"jti", "htm", "htu", "iat"} for each in found)
    assert all(type(each["iat"]) is int for each in found)
    assert all(len(each["jti"]) >= 16 for each in found)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://mcp.example/mcp?a=b#c", "https://mcp.example/mcp"),
        ("https://mcp.example", "https://mcp.example/"),
        ("https://mcp.example?a=/b", "https://mcp.example/"),
        ("HTTPS://MCP.example/Mcp/", "https://mcp.example/Mcp/"),
        ("https://mcp.example:443/mcp", "https://mcp.example/mcp"),
        ("http://127.0.0.1:8080/a/../b", "http://127.0.0.1:8080/b"),
        ("http://[::1]:80/%7ea%2Fb", "http://[::1]/%7ea%2Fb"),
        ("http://h:443/ä", "http://h:443/%C3%A4"),
    ],
)
def test_a_proof_names_what_the_server_sees(url: str, target: str) -> None:
    assert read(KEY.proof("POST", url), url=target)


def test_the_time_of_a_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000.9)
    assert read(KEY.proof("POST", URL)).claims["iat"] == 1000


def test_joserfc_is_loaded_for_keys_alone() -> None:
    program = (
        "import sys\n"
        "sys.modules['joserfc'] = None\n"
        "import trio\n"
        "from trimcp.auth import OAuth\n"
        "from trimcp.auth._dpop import Binding, Nonces, credentials_of, new_key\n"
        "from trimcp.auth._grants import Tokens\n"
        "OAuth()\n"
        "credentials_of(Tokens('i', 'c', 'r', 'a'), Nonces())\n"
        "trio.run(new_key, Binding())\n"
        "try:\n"
        "    trio.run(new_key, Binding('ES256'))\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "DPoP" in done.stdout, done.stderr
    assert "pip install 'trimcp[auth]'" in done.stdout


# -- what requests carry ------------------------------------------------------------------------


def test_credentials_without_a_key() -> None:
    tokens = Tokens("https://as.example", "me", URL, "access")
    made = credentials_of(tokens, Nonces())
    assert made == Credentials("Bearer access")
    assert made.headers("POST", URL) == {"authorization": "Bearer access"}


def test_credentials_with_a_key() -> None:
    tokens = Tokens("https://as.example", "me", URL, "access", key=KEY.entry)
    nonces = Nonces()
    made = credentials_of(tokens, nonces)
    # The proofs differ, and it is the same login.
    assert made == credentials_of(tokens, Nonces()) == Credentials("DPoP access")
    for nonce in (None, "n1", "n2"):
        nonces.take(URL, nonce)
        headers = made.headers("GET", URL)
        assert headers["authorization"] == "DPoP access"
        assert read(headers["dpop"], "GET", token="access").claims.get("nonce") == nonce


# -- nonces -------------------------------------------------------------------------------------


def test_nonces_belong_to_an_origin() -> None:
    nonces = Nonces()
    nonces.take("https://a.example/x?y", "1")
    nonces.take("https://b.example/", "2")
    nonces.take("https://a.example:443/z", "3")
    nonces.take("https://b.example/", None)
    assert nonces.of("https://a.example") == "3"
    assert nonces.of("https://b.example/any") == "2"
    assert nonces.of("http://a.example") is None
    assert nonces.of("https://a.example:444") is None


def test_nonces_are_bounded() -> None:
    nonces = Nonces()
    for number in range(1000):
        nonces.take(f"https://s{number}.example", str(number))
    kept = [number for number in range(1000) if nonces.of(f"https://s{number}.example")]
    assert kept == list(range(992, 1000))


#: What a nonce may hold (RFC 9449, section 8.1).
ALLOWED = {chr(code) for code in (0x21, *range(0x23, 0x5C), *range(0x5D, 0x7F))}


@given(st.text(max_size=40) | st.text(sorted(ALLOWED), max_size=40))
def test_only_nonces_that_can_be_sent_are_taken(nonce: str) -> None:
    nonces = Nonces()
    nonces.take(URL, nonce)
    is_good = bool(nonce) and set(nonce) <= ALLOWED
    assert nonces.of(URL) == (nonce if is_good else None)


@pytest.mark.parametrize(("length", "is_taken"), [(1024, True), (1025, False), (10**6, False)])
def test_a_nonce_is_not_long(length: int, is_taken: bool) -> None:
    nonces = Nonces()
    nonces.take(URL, "x" * length)
    assert (nonces.of(URL) is not None) == is_taken
