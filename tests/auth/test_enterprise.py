"""Users whom their organization's identity provider lets in.

Specification: Extensions, Enterprise-Managed Authorization; RFC 8693; RFC 7523, 2.1.
"""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from trimcp import AuthorizationFailed, OptionError, open_client
from trimcp.auth import EnterpriseManaged, MemoryTokenStorage
from trimcp.auth._enterprise_grant import read_id_jag
from trimcp.auth._grants import GrantRefused

from .signing import EC
from .test_client_keys import parts, pem
from .world import Answer, Request, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

ID_TOKEN = "the-id-token"
ID_JAG = "the-grant"
SECRET = "swordfish"
EXCHANGED = {
    "access_token": ID_JAG,
    "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
    "token_type": "N_A",
    "expires_in": 300,
}


@attrs.define
class Enterprise:
    """An MCP server with its authorization server, and an identity provider.

    Attributes:
        world: The former.
        idp: The latter.
        gives: What it gives in exchange.
    """

    world: World
    idp: World
    gives: Answer = attrs.field(factory=lambda: Answer(200, EXCHANGED))

    async def exchange(self, request: Request) -> Answer:
        return self.gives

    def auth(self, **options: Any) -> EnterpriseManaged:
        usual = {
            "id_token": lambda: ID_TOKEN,
            "idp_issuer": self.idp.origin,
            "idp_client_id": "at-idp",
            "client_id": "at-as",
            "client_secret": SECRET,
            "issuer": self.world.origin,
        }
        return EnterpriseManaged(**{**usual, **options})


@asynccontextmanager
async def open_enterprise() -> AsyncIterator[Enterprise]:
    async with open_world() as world, open_world() as idp:
        idp.more_metadata = {"authorization_endpoint": None}
        enterprise = Enterprise(world, idp)
        idp.before["/token"] = enterprise.exchange
        yield enterprise


async def test_an_id_token_becomes_an_access_token() -> None:
    async with open_enterprise() as there:
        world, idp = there.world, there.idp
        world.more_resource = {"scopes_supported": ["a", "b"]}
        async with open_client(world.url, auth=there.auth()) as client:
            await client.call_tool("x")
        (exchange,) = idp.of("/token")
        assert exchange.form == {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": "urn:ietf:params:oauth:token-type:id-jag",
            "audience": world.origin,
            "resource": world.url,
            "scope": "a b",
            "subject_token": ID_TOKEN,
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "client_id": "at-idp",
        }
        (request,) = world.of("/token")
        assert request.form == {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": ID_JAG,
            "resource": world.url,
            "scope": "a b",
        }
        assert request.headers["authorization"].startswith("Basic ")
        declared = world.calls[0].rpc["params"]["_meta"][
            "io.modelcontextprotocol/clientCapabilities"
        ]["extensions"]
        assert declared == {"io.modelcontextprotocol/enterprise-managed-authorization": {}}


async def test_an_organization_may_allow_less() -> None:
    async with open_enterprise() as there:
        there.gives = Answer(200, {**EXCHANGED, "scope": "a"})
        auth = there.auth(scopes=["a", "b"])
        async with open_client(there.world.url, auth=auth) as client:
            await client.call_tool("x")
        assert there.world.of("/token")[0].form["scope"] == "a"


async def test_each_party_knows_the_client_in_its_own_way() -> None:
    async with open_enterprise() as there:
        there.idp.more_metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
        auth = there.auth(
            idp_client_secret="s3cret", client_secret=None, private_key=pem(EC), algorithm="ES256"
        )
        async with open_client(there.world.url, auth=auth):
            pass
        assert there.idp.of("/token")[0].form["client_secret"] == "s3cret"
        form = there.world.of("/token")[0].form
        assert parts(form["client_assertion"], EC)[1]["aud"] == there.world.origin
        assert "client_secret" not in form

        auth = there.auth(idp_private_key=pem(EC))
        there.idp.more_metadata.clear()
        async with open_client(there.world.url, auth=auth):
            pass
        form = there.idp.of("/token")[-1].form
        _, claims = parts(form["client_assertion"], EC)
        assert (claims["aud"], claims["sub"]) == (there.idp.origin, "at-idp")


async def test_an_endpoint_that_is_known() -> None:
    async with open_enterprise() as there:
        there.idp.before["/exchange"] = there.exchange
        auth = there.auth(idp_token_endpoint=f"{there.idp.origin}/exchange?tenant=1")
        async with open_client(there.world.url, auth=auth):
            pass
        assert [each.path for each in there.idp.requests] == ["/exchange"]


async def test_each_token_needs_the_organization() -> None:
    asked = []

    async def id_token() -> str:
        await trio.lowlevel.checkpoint()
        asked.append(len(asked))
        return f"{ID_TOKEN}-{len(asked)}"

    async with open_enterprise() as there:
        there.world.life = 0
        auth = there.auth(id_token=id_token)
        async with open_client(there.world.url, auth=auth) as client:
            there.world.life = 3600
            await client.call_tool("x")
            await client.call_tool("x")
        tokens = [each.form["subject_token"] for each in there.idp.of("/token")]
        assert tokens == [f"{ID_TOKEN}-1", f"{ID_TOKEN}-2"]
        assert len(there.world.of("/token")) == 2


@pytest.mark.parametrize("error", ["invalid_grant", "invalid_request", "invalid_client"])
async def test_an_identity_provider_that_refuses(error: str) -> None:
    """It is said who refuses, and the ID token is not asked for once more."""
    asked = []

    def id_token() -> str:
        asked.append(1)
        return ID_TOKEN

    async with open_enterprise() as there:
        there.gives = Answer(400, {"error": error, "error_description": "not you"})
        with pytest.raises(AuthorizationFailed, match=f"identity provider refused: {error}: not"):
            async with open_client(there.world.url, auth=there.auth(id_token=id_token)):
                pass
        assert (len(asked), len(there.idp.of("/token"))) == (1, 1)
        assert not there.world.of("/token")


async def test_an_authorization_server_that_refuses() -> None:
    async with open_enterprise() as there:
        there.world.answer_with["/token"] = Answer(400, {"error": "invalid_grant"})
        with pytest.raises(AuthorizationFailed, match="authorization server refused: invalid_gr"):
            async with open_client(there.world.url, auth=there.auth()):
                pass


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "https://evil.example"}, "identity provider: the metadata"),
        ({"grant_types_supported": ["authorization_code"]}, "identity provider: .*token-exchange"),
        ({"token_endpoint": "file:///etc/passwd"}, "identity provider: .* is not one of https"),
        ({"token_endpoint_auth_methods_supported": ["tls"]}, "identity provider: .*'tls'"),
    ],
)
async def test_an_identity_provider_that_cannot_be_used(
    changes: dict[str, Any], words: str
) -> None:
    async with open_enterprise() as there:
        there.idp.more_metadata.update(changes)
        with pytest.raises(AuthorizationFailed, match=words):
            async with open_client(there.world.url, auth=there.auth()):
                pass
        assert not there.idp.of("/token")
        assert not there.world.of("/token")


async def test_a_server_of_an_attacker() -> None:
    """It names an authorization server of its own: that one gets nothing, nor is it asked about."""
    async with open_enterprise() as there, open_world() as evil:
        with pytest.raises(AuthorizationFailed, match="the server names"):
            async with open_client(evil.url, auth=there.auth()):
                pass
        assert not evil.of("/token")
        assert not there.idp.requests


async def test_redirects_and_silence_of_an_identity_provider() -> None:
    async with open_enterprise() as there:
        there.gives = Answer(307, headers={"location": f"{there.world.origin}/elsewhere"})
        with pytest.raises(AuthorizationFailed, match="identity provider"):
            async with open_client(there.world.url, auth=there.auth()):
                pass
        assert not there.world.of("/elsewhere")


async def test_a_user_who_does_not_log_in(autojump_clock: MockClock) -> None:
    async with open_enterprise() as there:
        with pytest.raises(AuthorizationFailed, match="id_token= gave nothing within 300 s"):
            async with open_client(there.world.url, auth=there.auth(id_token=trio.sleep_forever)):
                pass
        assert not there.idp.requests


async def test_secrets_are_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    storage = MemoryTokenStorage()
    async with open_enterprise() as there:
        auth = there.auth(idp_client_secret="s3cret", storage=storage)
        async with open_client(there.world.url, auth=auth) as client:
            there.world.scopes = {"a"}
            there.gives = Answer(400, {"error": "invalid_grant"})
            with pytest.raises(AuthorizationFailed) as caught:
                await client.call_tool("x")
            there.gives = Answer(200, {**EXCHANGED, "token_type": "Bearer"})
            there.world.scopes = {"b"}
            with pytest.raises(AuthorizationFailed) as second:
                await client.call_tool("x")
        shown = repr(auth) + repr(caught.value) + repr(second.value) + caplog.text
        secrets = (ID_TOKEN, ID_JAG, SECRET, "s3cret", *there.world.good)
        assert not [each for each in secrets if each in shown]
        kept = repr(storage._entries)
        assert not [each for each in (ID_TOKEN, ID_JAG, SECRET, "s3cret") if each in kept]


# -- what an identity provider answers ----------------------------------------------------------


def test_an_exchange() -> None:
    assert read_id_jag(json.dumps(EXCHANGED).encode()) == (ID_JAG, None)
    answer = {**EXCHANGED, "scope": "a b", "token_type": "n_a"}
    assert read_id_jag(json.dumps(answer).encode()) == (ID_JAG, "a b")


@pytest.mark.parametrize(
    "changes",
    [
        {"token_type": "Bearer"},
        {"token_type": None},
        {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"},
        {"issued_token_type": None},
        {"issued_token_type": "x" * 5000},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "x" * 70_000},
        {"scope": ["a"]},
    ],
)
def test_exchanges_that_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(GrantRefused, match="identity provider") as caught:
        read_id_jag(json.dumps({**EXCHANGED, **changes}).encode())
    assert ID_JAG not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(
    lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_answer_is_refused(body: bytes) -> None:
    with pytest.raises(GrantRefused):
        read_id_jag(body)


# -- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"id_token": ID_TOKEN}, "id_token= is a function"),
        ({"idp_issuer": "http://idp.example"}, "idp_issuer="),
        ({"idp_token_endpoint": "http://idp.example/token"}, "idp_token_endpoint="),
        ({"issuer": "http://as.example"}, "issuer="),
        ({"client_id": ""}, "client_id="),
        ({"idp_client_id": ""}, "idp_client_id="),
        ({"private_key": print}, "client_secret= or private_key="),
        ({"idp_private_key": "x"}, "idp_private_key= is no PEM"),
        ({"idp_algorithm": "ES256"}, "idp_private_key="),
        (
            {"idp_client_secret": "x", "idp_private_key": print},
            "idp_client_secret= or idp_private_key=",
        ),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], words: str) -> None:
    usual = {
        "id_token": lambda: ID_TOKEN,
        "idp_issuer": "https://idp.example",
        "idp_client_id": "at-idp",
        "client_id": "at-as",
        "client_secret": SECRET,
        "issuer": "https://as.example",
    }
    with pytest.raises(OptionError, match=words) as caught:
        EnterpriseManaged(**{**usual, **options})
    assert ID_TOKEN not in str(caught.value)
    assert SECRET not in str(caught.value)
