"""Clients without a user, with tokens that are bound to a key.

Specification: RFC 9449; RFC 7523, section 2.2.
"""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey

from trimcp import AuthorizationFailed, OptionError, open_client
from trimcp.auth import ClientCredentials, WorkloadIdentity

from .bound import ISSUER, SERVER, BoundWorld, open_bound


def machine(world: BoundWorld, kind: str, **options: Any) -> ClientCredentials | WorkloadIdentity:
    if kind == "workload":
        return WorkloadIdentity(token=lambda: "ey.ey.ey", issuer=world.origin, **options)
    known = {"client_id": "me", "issuer": world.origin, **options}
    if kind == "secret":
        return ClientCredentials(client_secret="swordfish", **known)
    key = ECKey.generate_key("P-256", auto_kid=False).as_dict(private=True)
    return ClientCredentials(private_key=key, **known)


@pytest.mark.parametrize("kind", ["secret", "key", "workload"])
async def test_a_token_is_bound_and_stays_so(kind: str) -> None:
    """The next token is bound to the same key. Each request has an assertion of its own."""
    methods = {"token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"]}
    async with open_bound(nonces={ISSUER: "i1", SERVER: "s1"}, more_metadata=methods) as world:
        world.life = 0
        async with open_client(world.url, auth=machine(world, kind)) as client:
            await client.call_tool("x")
        asked = [each.claims.get("nonce") for each in world.proofs[ISSUER]]
        assert asked[:2] == [None, "i1"]
        assert len(asked) > 2
        assert set(asked[2:]) == {"i1"}
        assert len({each.thumbprint for who in world.proofs.values() for each in who}) == 1
        assert not world.mistaken
        if kind == "key":
            assertions = [each.form["client_assertion"] for each in world.of("/token")]
            assert len(set(assertions)) == len(assertions)


async def test_what_is_wanted_of_tokens() -> None:
    async with open_bound(schemes=("Bearer", "DPoP")) as world:
        for use in ("never", "required"):
            async with open_client(world.url, auth=machine(world, "secret", dpop=use)) as client:
                await client.call_tool("x")
            assert bool(world.proofs[SERVER]) == (use == "required")
        world.algorithms = None
        with pytest.raises(AuthorizationFailed, match="DPoP"):
            async with open_client(world.url, auth=machine(world, "workload", dpop="required")):
                pass
        with pytest.raises(OptionError, match="dpop="):
            machine(world, "secret", dpop="always")
