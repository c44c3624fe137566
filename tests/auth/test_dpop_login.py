"""A client whose tokens are bound to a key, with a scripted server and authorization server.

Every proof is looked at by the scripted servers: see `bound.BoundWorld`.

Specification: RFC 9449.
"""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from trimcp import AuthorizationFailed, HTTPStatusError, OptionError, open_client
from trimcp.auth import MemoryTokenStorage, OAuth

from .bound import ISSUER, SERVER, BoundWorld, open_bound
from .world import Answer, Request, open_world

if TYPE_CHECKING:
    from collections.abc import Iterable


class Storage(MemoryTokenStorage):
    """One whose entries can be looked at."""

    @property
    def entries(self) -> dict[str, str]:
        return self._entries

    @property
    def name(self) -> str:
        """That of the entry with tokens."""
        (name,) = (each for each in self._entries if each.startswith("tokens "))
        return name

    @property
    def tokens(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads(self._entries[self.name])
        return loaded

    def change(self, key: Any) -> None:
        """Put another key to the tokens; None leaves out that there could be one."""
        tokens = {name: value for name, value in self.tokens.items() if name != "key"}
        self._entries[self.name] = json.dumps(tokens | ({} if key is None else {"key": key}))


def schemes(world: BoundWorld) -> list[str]:
    """Those of all requests to the server that had a token."""
    headers = (each.headers.get("authorization", "") for each in world.of("/mcp"))
    return [each.partition(" ")[0] for each in headers if each]


def keys(world: BoundWorld, *who: str) -> set[str]:
    """The keys of all proofs."""
    return {each.thumbprint for one in who or (ISSUER, SERVER) for each in world.proofs[one]}


async def test_a_login() -> None:
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        await client.call_tool("x")
        await client.call_tool("x")
        assert set(schemes(world)) == {"DPoP"}
        assert len(schemes(world)) == len(world.proofs[SERVER]) >= 3
        assert len(world.proofs[ISSUER]) == len(world.of("/token")) == 1
        assert len(keys(world)) == 1
        assert len(world.logins) == 1


# -- when ---------------------------------------------------------------------------------------

BOTH = ("Bearer", "DPoP")


@pytest.mark.parametrize(
    ("use", "taken", "resource", "algorithms", "expected"),
    [
        ("auto", ("DPoP",), {}, ["ES256"], "DPoP"),
        ("auto", ("DPoP",), {}, None, "refused"),
        ("auto", ("DPoP",), {}, ["HS256", "none"], "refused"),
        ("auto", ("DPoP",), {}, [], "refused"),
        ("auto", BOTH, {}, ["ES256"], "DPoP"),
        ("auto", BOTH, {}, None, "Bearer"),
        ("auto", BOTH, {}, ["none"], "Bearer"),
        ("auto", ("Bearer",), {}, ["ES256"], "Bearer"),
        ("auto", BOTH, {"dpop_bound_access_tokens_required": True}, None, "refused"),
        ("auto", ("Bearer",), {"dpop_bound_access_tokens_required": False}, ["ES256"], "Bearer"),
        ("required", BOTH, {}, ["ES256"], "DPoP"),
        ("required", BOTH, {}, None, "refused"),
        ("never", BOTH, {}, ["ES256"], "Bearer"),
        ("never", ("DPoP",), {}, ["ES256"], "refused"),
    ],
)
async def test_when_tokens_are_bound(
    use: str, taken: tuple[str, ...], resource: Any, algorithms: list[str] | None, expected: str
) -> None:
    async with open_bound(schemes=taken, algorithms=algorithms, more_resource=resource) as world:
        auth = world.oauth(dpop=use)
        if expected == "refused":
            with pytest.raises(AuthorizationFailed, match="DPoP"):
                async with open_client(world.url, auth=auth):
                    pass
            assert schemes(world) == []
            return
        async with open_client(world.url, auth=auth) as client:
            await client.call_tool("x")
        assert set(schemes(world)) == {expected}
        assert bool(world.proofs[ISSUER]) == (expected == "DPoP")


@pytest.mark.parametrize(
    "resource",
    [
        {"dpop_bound_access_tokens_required": True},
        {"dpop_signing_alg_values_supported": ["ES256"]},
    ],
)
async def test_the_metadata_of_the_server_can_ask_for_it(resource: dict[str, Any]) -> None:
    async with (
        open_bound(schemes=BOTH, challenge="Bearer", more_resource=resource) as world,
        open_client(world.url, auth=world.oauth()) as client,
    ):
        await client.call_tool("x")
        assert set(schemes(world)) == {"DPoP"}


async def test_where_it_is_required_the_server_need_not_ask() -> None:
    async with open_bound(schemes=BOTH, challenge="Bearer") as world:
        async with open_client(world.url, auth=world.oauth(dpop="required")) as client:
            await client.call_tool("x")
        assert set(schemes(world)) == {"DPoP"}


@pytest.mark.parametrize("use", ["always", True, None, ["auto"]])
def test_what_else_is_no_use(use: Any) -> None:
    with pytest.raises(OptionError, match="dpop="):
        OAuth(dpop=use)


@pytest.mark.parametrize(
    ("named", "chosen"),
    [
        (["RS256", "ES256"], "ES256"),
        (["RS256", "ES384"], "ES384"),
        (["ES512"], "ES512"),
        (["Ed25519", "EdDSA"], "Ed25519"),
        (["EdDSA"], "EdDSA"),
        (["PS256"], "PS256"),
        (["RS256"], "RS256"),
    ],
)
async def test_algorithms(named: list[str], chosen: str) -> None:
    async with open_bound(algorithms=named) as world:
        async with open_client(world.url, auth=world.oauth()) as client:
            await client.call_tool("x")
        assert {each.head["alg"] for each in world.proofs[SERVER]} == {chosen}


async def test_the_server_names_algorithms_too() -> None:
    async with (
        open_bound(
            algorithms=["ES256", "ES384", "ES512"],
            challenge='DPoP algs="ES512 ES384"',
            more_resource={"dpop_signing_alg_values_supported": ["ES256", "ES512"]},
        ) as world,
        open_client(world.url, auth=world.oauth()) as client,
    ):
        await client.call_tool("x")
        assert {each.head["alg"] for each in world.proofs[SERVER]} == {"ES512"}


# -- what comes back ----------------------------------------------------------------------------


async def test_a_bearer_token_in_place_of_a_bound_one_is_refused() -> None:
    """Whoever stands before the authorization server could make it so."""
    async with open_bound() as world:
        tokens = {"access_token": "abc", "token_type": "Bearer"}
        world.answer_with["/token"] = Answer(200, tokens)
        with pytest.raises(AuthorizationFailed, match="not bound to a key"):
            async with open_client(world.url, auth=world.oauth()):
                pass
        assert schemes(world) == []


async def test_a_bearer_token_is_taken_where_the_server_takes_it() -> None:
    async with open_bound(schemes=BOTH) as world:
        tokens = {"access_token": "abc", "token_type": "bearer"}
        world.good["abc"] = set()
        world.answer_with["/token"] = Answer(200, tokens)
        async with open_client(world.url, auth=world.oauth()) as client:
            await client.call_tool("x")
        assert set(schemes(world)) == {"Bearer"}


async def test_a_bound_token_that_was_not_asked_for_is_refused() -> None:
    async with open_world() as world:
        tokens = {"access_token": "abc", "token_type": "DPoP"}
        world.answer_with["/token"] = Answer(200, tokens)
        with pytest.raises(AuthorizationFailed, match="none was proved"):
            async with open_client(world.url, auth=world.oauth()):
                pass


async def test_a_refresh_does_not_loosen_the_bond() -> None:
    async with open_bound(schemes=BOTH) as world:
        async with open_client(world.url, auth=world.oauth()) as client:
            tokens = {"access_token": "abc", "token_type": "Bearer"}
            world.revoke()
            world.good["abc"] = set()

            async def loosen(request: Request) -> Answer | None:
                is_refresh = request.form["grant_type"] == "refresh_token"
                return Answer(200, tokens) if is_refresh else None

            world.before["/token"] = loosen
            with pytest.raises(AuthorizationFailed, match="not bound to a key"):
                await client.call_tool("x")
        assert "Bearer" not in schemes(world)
        assert len(world.logins) == 1


@pytest.mark.parametrize("error", ["invalid_dpop_proof", "use_dpop_nonce"])
async def test_a_refresh_whose_proof_is_not_believed(error: str) -> None:
    """A user who logs in could not help."""
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        world.revoke()
        world.answer_with["/token"] = Answer(400, {"error": error})
        with pytest.raises(AuthorizationFailed, match=error):
            await client.call_tool("x")
        world.answer_with.clear()
        await client.call_tool("x")
        assert len(world.logins) == 1


# -- keys ---------------------------------------------------------------------------------------


async def test_the_key_is_kept_with_the_tokens() -> None:
    """The next program refreshes with it."""
    storage = Storage()
    async with open_bound() as world:
        for _ in range(2):
            async with open_client(world.url, auth=world.oauth(storage)) as client:
                await client.call_tool("x")
            world.revoke()
        assert len(world.logins) == 1
        assert len(world.proofs[ISSUER]) == 2
        assert len(keys(world)) == 1


async def test_another_key_does_not_refresh() -> None:
    """Tokens that were stolen without their key are no good; the user logs in again."""
    storage, stolen = Storage(), Storage()
    async with open_bound() as world:
        async with open_client(world.url, auth=world.oauth(storage)):
            pass
        async with open_client(world.url, auth=world.oauth(stolen)):
            pass
        key = stolen.tokens["key"]
        stolen.entries.update(storage.entries)
        stolen.change(key=key)
        async with open_client(world.url, auth=world.oauth(stolen)) as client:
            await client.call_tool("x")
        refreshes = [each.form["grant_type"] for each in world.of("/token")]
        assert refreshes.count("refresh_token") == 1
        assert world.mistaken == 1
        assert len(world.logins) == 3


@pytest.mark.parametrize(
    "key",
    ["nonsense", "{}", '{"alg":"ES256","kty":"EC"}', '{"alg":"HS256","kty":"oct","k":"aa"}', 7],
)
async def test_a_key_that_cannot_be_read(key: Any) -> None:
    storage = Storage()
    async with open_bound() as world:
        async with open_client(world.url, auth=world.oauth(storage)):
            pass
        storage.change(key=key)
        async with open_client(world.url, auth=world.oauth(storage)) as client:
            await client.call_tool("x")
        assert len(world.logins) == 2


async def test_tokens_that_were_stored_before_there_were_keys() -> None:
    storage = Storage()
    async with open_bound(schemes=("Bearer",)) as world:
        async with open_client(world.url, auth=world.oauth(storage)):
            pass
        assert storage.tokens["key"] is None
        storage.change(key=None)
        async with open_client(world.url, auth=world.oauth(storage)):
            pass
        assert len(world.logins) == 1


@pytest.mark.parametrize("before", ["auto", "never"])
async def test_stored_tokens_of_another_kind_than_is_wanted(before: str) -> None:
    storage = Storage()
    after = "required" if before == "never" else "never"
    async with open_bound(schemes=BOTH) as world:
        for use in (before, after):
            async with open_client(world.url, auth=world.oauth(storage, dpop=use)) as client:
                await client.call_tool("x")
        assert len(world.logins) == 2
        kinds = schemes(world)
        assert kinds == sorted(kinds, key=lambda kind: kind == kinds[-1])
        assert len(set(kinds)) == 2


@pytest.mark.parametrize("taken", [(("DPoP",), ("Bearer",)), (("Bearer",), ("DPoP",))])
async def test_a_server_that_begins_to_take_other_tokens(taken: Any) -> None:
    """They are not got by a refresh, which would bring the same kind."""
    first, second = taken
    async with (
        open_bound(schemes=first) as world,
        open_client(world.url, auth=world.oauth()) as client,
    ):
        world.schemes = second
        await client.call_tool("x")
        assert [each.form["grant_type"] for each in world.of("/token")] == 2 * [
            "authorization_code"
        ]
        assert schemes(world)[-1] == second[0]


async def test_logging_out_forgets_the_key() -> None:
    storage = Storage()
    async with open_bound() as world:
        auth = world.oauth(storage)
        async with open_client(world.url, auth=auth):
            pass
        assert await auth.log_out(world.url)
        assert not [each for each in storage.entries.values() if '"d' in each]


async def test_a_step_up_and_a_refresh() -> None:
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        world.scopes = {"b"}
        await client.call_tool("x")
        assert len(world.logins) == 2
        world.revoke()
        await client.call_tool("x")
        assert len(world.logins) == 2
        assert set(schemes(world)) == {"DPoP"}


async def test_a_proof_that_is_not_believed() -> None:
    """Another token would not help, so none is got, and nobody is asked."""
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        world.requests.clear()
        said = 'DPoP error="invalid_dpop_proof", error_description="the clock is wrong"'
        world.answer_with["/mcp"] = Answer(401, headers={"www-authenticate": said})
        with pytest.raises(HTTPStatusError, match="invalid_dpop_proof: the clock") as caught:
            await client.call_tool("x")
        assert caught.value.headers["www-authenticate"] == said
        assert len(world.requests) == 1


# -- nonces -------------------------------------------------------------------------------------


def nonces(world: BoundWorld, who: str) -> list[str | None]:
    return [each.claims.get("nonce") for each in world.proofs[who]]


async def test_both_servers_demand_nonces() -> None:
    """The code survives, and nobody is asked twice."""
    async with open_bound(nonces={ISSUER: "i1", SERVER: "s1"}) as world:
        async with open_client(world.url, auth=world.oauth()) as client:
            await client.call_tool("x")
        assert nonces(world, ISSUER) == [None, "i1"]
        assert len({each.body for each in world.of("/token")}) == 1
        # The first answer of the server, to a request without a token, has named its nonce.
        assert set(nonces(world, SERVER)) == {"s1"}
        assert len(world.logins) == 1


async def test_the_newest_nonce_counts() -> None:
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        for told in ("n1", "", "n2", "!n3"):
            world.told[SERVER] = [told]
            await client.call_tool("x")
        assert nonces(world, SERVER)[-5:] == [None, "n1", "n1", "n2", "n3"]
        assert len(world.logins) == 1
        world.revoke()
        world.told[ISSUER] = ["!i1", "i2"]
        await client.call_tool("x")
        assert nonces(world, ISSUER) == [None, None, "i1"]
        world.revoke()
        await client.call_tool("x")
        assert nonces(world, ISSUER)[-1] == "i2"
        assert len(world.logins) == 1


async def test_a_server_that_is_never_satisfied_with_a_nonce() -> None:
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        before = len(world.of("/mcp"))
        world.told[SERVER] = [f"!n{number}" for number in range(50)]
        with pytest.raises(AuthorizationFailed, match="nonce"):
            await client.call_tool("x")
        assert len(world.of("/mcp")) == before + 2
        assert len(world.logins) == 1


async def test_an_authorization_server_that_is_never_satisfied_with_a_nonce() -> None:
    async with open_bound() as world:
        world.told[ISSUER] = [f"!n{number}" for number in range(50)]
        with pytest.raises(AuthorizationFailed, match="use_dpop_nonce"):
            async with open_client(world.url, auth=world.oauth()):
                pass
        assert len(world.of("/token")) == 2


@pytest.mark.parametrize(
    ("headers", "requests"),
    [({}, 1), ({"dpop-nonce": 'not "one"'}, 1), ({"dpop-nonce": "n1"}, 2)],
)
async def test_an_authorization_server_that_names_no_new_nonce(
    headers: dict[str, str], requests: int
) -> None:
    """The same request would get the same answer."""
    async with open_bound() as world:
        world.answer_with["/token"] = Answer(400, {"error": "use_dpop_nonce"}, headers)
        with pytest.raises(AuthorizationFailed, match="use_dpop_nonce"):
            async with open_client(world.url, auth=world.oauth()):
                pass
        assert len(world.of("/token")) == requests


async def test_a_server_that_names_no_nonce() -> None:
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        before = len(world.of("/mcp"))
        said = {"www-authenticate": 'DPoP error="use_dpop_nonce"'}
        world.answer_with["/mcp"] = Answer(401, headers=said)
        with pytest.raises(AuthorizationFailed, match="names none"):
            await client.call_tool("x")
        assert len(world.of("/mcp")) == before + 1


async def test_a_refresh_may_need_a_nonce_and_its_token_another() -> None:
    """None of these is a login that failed, nor a refusal that counts."""
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        world.told[SERVER] = ["!s1", "s2", "!s3"]
        world.told[ISSUER] = ["!i1"]
        world.revoke()
        await client.call_tool("x")
        assert nonces(world, SERVER)[-4:] == [None, "s1", "s2", "s3"]
        assert len(world.logins) == 1


async def test_many_requests_that_lack_the_newest_nonce() -> None:
    """Each is made once more, and nobody logs in."""
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        together = trio.Event()

        async def gather(request: Request) -> None:
            if len(world.calls) >= 5:
                together.set()
            await together.wait()

        world.before["/mcp"] = gather
        world.told[SERVER] = ["!n1"]
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client.call_tool, "x")
        assert nonces(world, SERVER)[-10:] == [None] * 5 + ["n1"] * 5
        assert len(world.logins) == len(world.of("/token")) == 1


async def test_a_stream_is_the_same_as_long_as_its_token_is() -> None:
    """Only the token counts, and not the proof, which is another for each request."""
    async with open_bound() as world:
        auth = world.oauth()
        async with open_client(world.url, auth=auth):
            pass
        async with auth.opened(world.url) as authorizer:
            first, second = [await authorizer.authorization((), may_wait=False) for _ in range(2)]
            assert first is not None
            assert first == second
            assert first.headers("GET", world.url) != first.headers("GET", world.url)


@pytest.mark.parametrize(
    "nonce", ["", "a b", 'a"b', "a\\b", "a\tb", "é", "x" * 1025, "a, b", "\x7f"]
)
async def test_nonces_that_cannot_be_sent_back(nonce: str) -> None:
    async with open_bound() as world, open_client(world.url, auth=world.oauth()) as client:
        world.told[SERVER] = ["good"]
        await client.call_tool("x")

        async def name(request: Request) -> Answer | None:
            answer = world._mcp(request)
            answer.headers["dpop-nonce"] = nonce
            return answer

        world.before["/mcp"] = name
        await client.call_tool("x")
        await client.call_tool("x")
        assert nonces(world, SERVER)[-2:] == ["good", "good"]


#: What a server says of nonces in its answers: nothing, a new one, or that it wants it.
SCRIPTS = st.lists(st.sampled_from(["", "new", "!new"]), max_size=12)


def numbered(kinds: Iterable[str], who: str) -> list[str]:
    return [kind.replace("new", f"{who}-{number}") for number, kind in enumerate(kinds)]


@given(server=SCRIPTS, issuer=SCRIPTS, revoked=st.lists(st.booleans(), max_size=6))
@settings(max_examples=40, deadline=None)
def test_every_request_has_the_newest_nonce_of_its_server(
    server: list[str], issuer: list[str], revoked: list[bool]
) -> None:
    """And never the other's; no id of a proof comes twice, and the key is that of the tokens."""

    async def main() -> None:
        async with open_bound() as world:
            world.told = {ISSUER: numbered(issuer, ISSUER), SERVER: numbered(server, SERVER)}
            expected = watch(world)
            with contextlib.suppress(AuthorizationFailed):  # of a server that is not satisfied
                async with open_client(world.url, auth=world.oauth()) as client:
                    for is_revoked in revoked:
                        if is_revoked:
                            world.revoke()
                        with contextlib.suppress(AuthorizationFailed):
                            await client.call_tool("x")
            for who in (ISSUER, SERVER):
                assert nonces(world, who) == expected[who]
            assert not world.mistaken

    trio.run(main)


def watch(world: BoundWorld) -> dict[str, list[str | None]]:
    """Notes for each proof that comes which nonce was the newest at that time."""
    expected: dict[str, list[str | None]] = {ISSUER: [], SERVER: []}

    async def before(who: Literal["issuer", "server"], request: Request) -> None:
        if "dpop" in request.headers:
            expected[who].append(world.nonces.get(who))

    world.before["/token"] = lambda request: before(ISSUER, request)
    world.before["/mcp"] = lambda request: before(SERVER, request)
    return expected


# -- secrets ------------------------------------------------------------------------------------


async def test_keys_are_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    storage = Storage()
    async with open_bound() as world:
        auth = world.oauth(storage)
        async with open_client(world.url, auth=auth) as client:
            await client.call_tool("x")
            world.told[SERVER] = ["!n1", "!n2"]
            with pytest.raises(AuthorizationFailed) as caught:
                await client.call_tool("x")
        secret = json.loads(storage.tokens["key"])["d"]
        assert len(secret) == 43
        told = f"{caplog.text} {caught.value!r} {auth!r} {vars(auth)!r}"
        assert secret not in told
        assert all(token not in told for token in world.good)
