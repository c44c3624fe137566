"""Telling from access tokens who calls: one program that is issuer and server at once."""

import hashlib
import sqlite3
import time

import trio
from joserfc import jwt
from joserfc.jwk import ECKey

from trimcp import InvalidToken, Principal, TokenVerifier
from trimcp.auth import IntrospectionVerifier, JWTVerifier, StaticTokenVerifier

ISSUER = "https://auth.example.com"
SERVER = "https://files.example.com/mcp"


def of_an_issuer() -> TokenVerifier:
    return JWTVerifier.from_issuer("https://auth.example.com", audience=SERVER)


def of_a_key_set() -> TokenVerifier:
    return JWTVerifier(
        issuer="https://auth.example.com",
        audience=SERVER,
        keys="https://auth.example.com/jwks",
        algorithms=["ES256"],
        implied_scopes={"admin": {"files:write"}, "files:write": {"files:read"}},
    )


def by_asking(secret: str) -> TokenVerifier:
    return IntrospectionVerifier(
        "https://auth.example.com/introspect",
        client_id="files-server",
        client_secret=secret,
        issuer="https://auth.example.com",
        audience=SERVER,
    )


def of_known_tokens() -> TokenVerifier:
    return StaticTokenVerifier(
        {
            "alices-token": Principal("alice", scopes={"files:read", "files:write"}),
            "bobs-token": Principal("bob", scopes={"files:read"}),
        }
    )


class ApiKeys:
    """Keys that users have made on our site; the database holds their digests only."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    async def verify(self, token: str) -> Principal:
        digest = hashlib.sha256(token.encode()).hexdigest()
        query = "SELECT user, scopes FROM keys WHERE digest = ?"
        row = self.database.execute(query, (digest,)).fetchone()
        if row is None:
            raise InvalidToken("the API key is not known")
        return Principal(row[0], scopes=row[1].split())


key = ECKey.generate_key("P-256", {"kid": "2026-11"})

verifier = JWTVerifier(
    issuer=ISSUER,
    audience=SERVER,
    keys={"keys": [key.as_dict(private=False)]},
    algorithms=["ES256"],
    implied_scopes={"admin": {"files:write"}, "files:write": {"files:read"}},
)


def token(**changed: object) -> str:
    """What the issuer would send to a client."""
    claims = {"iss": ISSUER, "aud": SERVER, "sub": "alice", "exp": time.time() + 600, **changed}
    return jwt.encode({"alg": "ES256", "kid": "2026-11"}, claims, key)


async def main() -> None:
    principal = await verifier.verify(token(scope="admin", client_id="an-editor"))
    print(principal.subject, principal.client, sorted(principal.scopes))
    for refused in (
        token(aud="https://other.example.com/mcp"),
        token(exp=time.time() - 60),
        token()[:-1],
        "nonsense",
    ):
        try:
            await verifier.verify(refused)
        except InvalidToken as error:
            print(error)
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE keys (digest, user, scopes)")
        row = (hashlib.sha256(b"key-1").hexdigest(), "carol", "files:read")
        database.execute("INSERT INTO keys VALUES (?, ?, ?)", row)
        print((await ApiKeys(database).verify("key-1")).subject)
    database.close()


if __name__ == "__main__":
    trio.run(main)
