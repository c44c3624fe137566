"""Clients without a user: they get tokens by what they have, or by what their platform says.

Specification: Extensions, OAuth Client Credentials; RFC 6749, 4.4; RFC 7523, 2.1.
"""

from __future__ import annotations

import base64
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trimcp import AuthorizationFailed, HTTPStatusError, OptionError, open_client
from trimcp.auth import (
    ClientCredentials,
    MemoryTokenStorage,
    OAuth,
    WorkloadIdentity,
    token_from_environment,
    token_from_file,
)
from trimcp.transports import Refusal

from .world import Answer, Request, World, open_world

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

SECRET = "swordfish"
JWT = "eyJhbGciOiJub25lIn0.e30."
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def credentials(world: World, **options: Any) -> ClientCredentials:
    usual = {"client_id": "me", "client_secret": SECRET, "issuer": world.origin}
    return ClientCredentials(**{**usual, **options})


def workload(world: World, **options: Any) -> WorkloadIdentity:
    return WorkloadIdentity(**{"token": lambda: JWT, "issuer": world.origin, **options})


MACHINES: list[Callable[..., Any]] = [credentials, workload]
either = pytest.mark.parametrize("machine", MACHINES)


async def test_client_credentials() -> None:
    async with open_world() as world, open_client(world.url, auth=credentials(world)) as client:
        await client.call_tool("x")
        await client.call_tool("x")
        (exchange,) = world.of("/token")
        assert exchange.form == {"grant_type": "client_credentials", "resource": world.url}
        pair = base64.b64encode(f"me:{SECRET}".encode()).decode()
        assert exchange.headers["authorization"] == f"Basic {pair}"
        assert not world.of("/register")
        capabilities = world.calls[0].rpc["params"]["_meta"][
            "io.modelcontextprotocol/clientCapabilities"
        ]
        assert capabilities == {
            "extensions": {"io.modelcontextprotocol/oauth-client-credentials": {}}
        }


async def test_a_secret_in_the_form() -> None:
    methods = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    async with (
        open_world(more_metadata=methods) as world,
        open_client(world.url, auth=credentials(world, client_secret="%+: ü")),
    ):
        (exchange,) = world.of("/token")
        assert (exchange.form["client_id"], exchange.form["client_secret"]) == ("me", "%+: ü")
        assert "authorization" not in exchange.headers


async def test_a_token_of_the_platform() -> None:
    async def token() -> str:
        await trio.lowlevel.checkpoint()
        return JWT

    async with open_world() as world:
        async with open_client(world.url, auth=workload(world, token=token, client_id="me")):
            pass
        async with open_client(world.url, auth=workload(world)) as client:
            await client.call_tool("x")
        named, nameless = world.of("/token")
        usual = {"grant_type": BEARER, "assertion": JWT, "resource": world.url}
        assert named.form == {**usual, "client_id": "me"}
        assert nameless.form == usual
        assert "authorization" not in named.headers | nameless.headers


@either
async def test_a_server_that_is_for_machines_only(machine: Any) -> None:
    """No authorization endpoint, no PKCE, and no word about clients without a secret."""
    document = {
        "authorization_endpoint": None,
        "code_challenge_methods_supported": None,
        "registration_endpoint": None,
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "grant_types_supported": ["client_credentials", BEARER],
    }
    async with (
        open_world(more_metadata=document) as world,
        open_client(world.url, auth=machine(world)) as client,
    ):
        await client.call_tool("x")


@either
async def test_clients_share_tokens(machine: Any) -> None:
    async with open_world() as world:
        auth = machine(world)

        async def use() -> None:
            async with open_client(world.url, auth=auth) as client:
                await client.call_tool("x")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            nursery.start_soon(use)
        await use()
        assert len(world.of("/token")) == 1


@either
async def test_a_token_is_replaced_before_it_expires(machine: Any) -> None:
    """A refresh token is not used: it would outlive what the platform or an operator says."""
    async with open_world(life=0) as world, open_client(world.url, auth=machine(world)) as client:
        world.scopes = {"a"}
        await client.call_tool("x")
        before = len(world.of("/token"))
        refused = len([each for each in world.calls if "a" not in world.good[token_of(each)]])
        world.life = 3600
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(client.call_tool, "x")
        assert len(world.of("/token")) == before + 1
        assert world.of("/token")[-1].form["scope"] == "a"
        assert {each.form["grant_type"] for each in world.of("/token")} == {
            world.of("/token")[0].form["grant_type"]
        }
        assert refused == 1  # that which told of the scope


def token_of(request: Request) -> str:
    return request.headers["authorization"].removeprefix("Bearer ")


@either
async def test_more_scopes_are_asked_for_once(machine: Any) -> None:
    async with (
        open_world(scopes={"a"}) as world,
        open_client(world.url, auth=machine(world, scopes=["w"])) as client,
    ):
        await client.call_tool("x")
        assert [each.form.get("scope") for each in world.of("/token")] == ["w", "w a"]
        world.scopes, world.withheld = {"b"}, {"b"}
        for _ in range(2):
            with pytest.raises(HTTPStatusError):
                await client.call_tool("x")
        assert [each.form.get("scope") for each in world.of("/token")[2:]] == ["w a b"]


async def test_no_refresh_token_is_asked_for() -> None:
    knows = {"scopes_supported": ["a", "offline_access"]}
    async with open_world(more_metadata=knows, more_resource={"scopes_supported": ["a"]}) as world:
        async with open_client(world.url, auth=credentials(world)):
            pass
        assert world.of("/token")[0].form["scope"] == "a"


@either
async def test_what_reads_in_the_background_gets_tokens_too(machine: Any) -> None:
    async with open_world() as world, machine(world).opened(world.url) as login:
        refusal = Refusal(world.url, 401, (), None)
        credentials = await login.authorization([refusal], may_wait=False)
        assert credentials is not None
        assert credentials.header.removeprefix("Bearer ") in world.good


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set the clock of the day forward."""
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + seconds)


async def test_a_token_that_was_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world, open_client(world.url, auth=credentials(world)) as client:
        later(monkeypatch, 11)
        world.revoke()
        await client.call_tool("x")
        assert len(world.of("/token")) == 2


# -- what fails is not repeated at once ---------------------------------------------------------


@pytest.mark.parametrize(("machine", "status"), [(credentials, 401), (workload, 503)])
async def test_a_token_endpoint_that_fails(
    machine: Any, status: int, autojump_clock: MockClock
) -> None:
    async with open_world() as world:
        world.answer_with["/token"] = Answer(status, {"error": "invalid_client"})
        auth = machine(world)

        async def fails() -> None:
            with pytest.raises(AuthorizationFailed, match="invalid_client"):
                async with open_client(world.url, auth=auth):
                    pass

        async def tries(pause: float) -> int:
            before = len(world.of("/token"))
            autojump_clock.jump(pause)
            await fails()
            await fails()
            return len(world.of("/token")) - before

        assert [await tries(pause) for pause in (0, 1.1, 1.1, 1.1)] == [1, 1, 0, 1]
        assert [await tries(pause) for pause in (70,) * 3] == [1] * 3
        del world.answer_with["/token"]
        autojump_clock.jump(61)
        async with open_client(world.url, auth=auth) as client:
            await client.call_tool("x")
            # Then nothing is remembered of it.
            world.scopes = {"a"}
            await client.call_tool("x")


async def test_a_replacement_that_fails(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The token at hand is used for as long as the server takes it."""
    async with (
        open_world(life=0) as world,
        open_client(world.url, auth=credentials(world)) as client,
    ):
        world.answer_with["/token"] = Answer(503)
        before = len(world.of("/token"))
        for _ in range(3):
            await client.call_tool("x")
        assert len(world.of("/token")) == before + 1
        autojump_clock.jump(11)
        await client.call_tool("x")
        assert len(world.of("/token")) == before + 2
        assert "503" in caplog.text


async def test_a_server_that_refuses_all_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_world() as world, open_client(world.url, auth=credentials(world)) as client:
        later(monkeypatch, 11)
        world.answer_with["/mcp"] = Answer(401)
        for _ in range(3):
            with pytest.raises(HTTPStatusError):
                await client.call_tool("x")
        assert len(world.of("/token")) == 2


@either
async def test_a_server_that_refuses_the_tokens_of_all_clients(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that another client has got is as new as one's own, also in another process."""
    async with open_world() as world:
        world.answer_with["/mcp"] = Answer(401)
        storage = MemoryTokenStorage()
        for number in range(5):
            auth = machine(world, storage=storage)
            for _ in range(2):
                with pytest.raises(HTTPStatusError):
                    async with open_client(world.url, auth=auth):
                        pass
            assert len(world.of("/token")) == number + 1
            later(monkeypatch, 11)


async def test_a_platform_that_fails_is_not_asked_again_at_once(
    autojump_clock: MockClock,
) -> None:
    calls = []

    def token() -> str:
        calls.append(1)
        raise KeyError("no platform")

    async with open_world() as world:
        auth = workload(world, token=token)
        for pause, words in ((0, "KeyError$"), (0, "not tried again"), (1.1, "KeyError$")):
            autojump_clock.jump(pause)
            with pytest.raises(AuthorizationFailed, match=words):
                async with open_client(world.url, auth=auth):
                    pass
    assert len(calls) == 2


@either
async def test_metadata_that_are_missing_are_not_looked_for_again_at_once(
    machine: Any, autojump_clock: MockClock
) -> None:
    path = "/.well-known/oauth-authorization-server"
    async with open_world() as world:
        world.answer_with[path] = Answer(500)
        auth = machine(world)

        async def looked_for(pause: float) -> int:
            before = len(world.requests) - len(world.of("/mcp"))
            autojump_clock.jump(pause)
            with pytest.raises(AuthorizationFailed):
                async with open_client(world.url, auth=auth):
                    pass
            return len(world.requests) - len(world.of("/mcp")) - before

        first = await looked_for(0)
        assert first > 0
        assert [await looked_for(pause) for pause in (0, 1.1, 0)] == [0, first, 0]
        del world.answer_with[path]
        autojump_clock.jump(2.1)
        async with open_client(world.url, auth=auth) as client:
            await client.call_tool("x")


async def test_one_refusal_does_not_hold_up_other_scopes() -> None:
    async with open_world() as world, open_client(world.url, auth=credentials(world)) as client:

        async def picky(request: Request) -> Answer | None:
            is_too_much = "admin" in request.form.get("scope", "")
            return Answer(400, {"error": "invalid_scope"}) if is_too_much else None

        world.before["/token"] = picky
        world.scopes = {"admin"}
        for _ in range(3):
            with pytest.raises(AuthorizationFailed, match="invalid_scope"):
                await client.call_tool("x")
        assert len(world.of("/token")) == 2
        world.scopes = {"a"}
        await client.call_tool("x")


# -- to whom credentials are sent ---------------------------------------------------------------


@either
async def test_nobody_else_gets_what_an_authorization_server_gave(machine: Any) -> None:
    async with open_world() as world, open_world() as other:
        auth = machine(other)
        with pytest.raises(AuthorizationFailed, match="the server names") as caught:
            async with open_client(world.url, auth=auth):
                pass
        assert not world.of("/token")
        assert not other.of("/token")
        assert SECRET not in str(caught.value)
        # Nor if a false one says that it is the right one.
        world.more_metadata = {"issuer": other.origin}
        with pytest.raises(AuthorizationFailed, match="are those of"):
            async with open_client(world.url, auth=machine(other)):
                pass
        assert not world.of("/token")


@either
async def test_a_token_endpoint_without_encryption(machine: Any) -> None:
    """An issuer of https has no endpoint of http."""
    async with open_world() as world:
        world.more_resource = {"authorization_servers": ["https://as.example"]}
        auth = machine(world, issuer="https://as.example")
        async with auth.opened(world.url):
            flow = await auth._flow(world.url)
            flaw = flow.finder._flaw("http://as.example/token", "https://as.example")
            assert flaw == "is not one of https"


@either
@pytest.mark.parametrize(
    "answer",
    [
        Answer(302, headers={"location": "/elsewhere"}),
        Answer(307, headers={"location": "/elsewhere"}),
        Answer(200, "<html>"),
        Answer(200, {"access_token": "x" * 20_000, "token_type": "Bearer"}),
        Answer(200, {"access_token": "x", "token_type": "Bearer", "more": "x" * 300_000}),
        Answer(200, {"access_token": "x", "token_type": "mac"}),
    ],
)
async def test_answers_that_are_not_used(machine: Any, answer: Answer) -> None:
    async with open_world() as world:
        world.answer_with["/token"] = answer
        with pytest.raises(AuthorizationFailed):
            async with open_client(world.url, auth=machine(world)):
                pass
        assert not world.of("/elsewhere")
        assert len(world.of("/token")) == 1


@either
async def test_a_server_that_does_not_know_the_grant(machine: Any) -> None:
    async with open_world(more_metadata={"grant_types_supported": ["authorization_code"]}) as world:
        with pytest.raises(AuthorizationFailed, match="does not know the grant"):
            async with open_client(world.url, auth=machine(world)):
                pass
        assert not world.of("/token")


async def test_ways_to_authenticate_that_do_not_fit() -> None:
    async with open_world(
        more_metadata={"token_endpoint_auth_methods_supported": ["private_key_jwt"]}
    ) as world:
        with pytest.raises(AuthorizationFailed, match="private_key_jwt"):
            async with open_client(world.url, auth=credentials(world)):
                pass
        assert not world.of("/token")


async def test_tokens_of_a_machine_are_not_those_of_a_user() -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        for auth in (
            credentials(world, storage=storage),
            credentials(world, storage=storage, client_id="other"),
            workload(world, storage=storage),
            world.oauth(storage),
        ):
            async with open_client(world.url, auth=auth):
                pass
        assert len(world.of("/token")) == 4
        async with open_client(world.url, auth=credentials(world, storage=storage)):
            assert len(world.of("/token")) == 4


# -- logging out, and what is not shown ---------------------------------------------------------


@either
async def test_a_logout(machine: Any) -> None:
    async with open_world() as world:
        world.more_metadata = {"revocation_endpoint": f"{world.origin}/revoke"}
        world.answer_with["/revoke"] = Answer(200)
        auth = machine(world)
        async with open_client(world.url, auth=auth):
            pass
        assert await auth.is_logged_in(world.url)
        assert await auth.log_out(world.url)
        assert not await auth.is_logged_in(world.url)
        (revocation,) = world.of("/revoke")
        assert revocation.form["token"] in world.good
        assert not await auth.log_out(world.url)


async def test_who_has_logged_out_gets_no_new_token_unasked() -> None:
    async with open_world(life=0) as world:
        auth = credentials(world)
        async with open_client(world.url, auth=auth) as client:
            await auth.log_out(world.url)
            before = len(world.of("/token"))
            await client.call_tool("x")
            assert len(world.of("/token")) == before
            world.revoke()


@either
async def test_secrets_are_not_shown(machine: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with open_world() as world:
        storage = MemoryTokenStorage()
        auth = machine(world, storage=storage)
        async with open_client(world.url, auth=auth) as client:
            await client.call_tool("x")
            world.answer_with["/token"] = Answer(400, {"error": "invalid_client"})
            world.scopes = {"a"}
            with pytest.raises(AuthorizationFailed) as caught:
                await client.call_tool("x")
            text = repr(auth) + repr(caught.value) + caplog.text + repr(vars(auth)["_identity"])
        assert not [each for each in (SECRET, JWT, *world.good) if each in text]
        assert SECRET not in repr(storage._entries)
        assert JWT not in repr(storage._entries)


@either
@pytest.mark.parametrize("status", [200, 400, 401, 500])
@pytest.mark.parametrize("member", ["error", "error_description"])
async def test_secrets_that_are_repeated_are_not_shown(
    machine: Any, member: str, status: int
) -> None:
    async with open_world() as world:
        said = {"error": "invalid_grant", member: f"not {SECRET}, nor {JWT}"}
        world.answer_with["/token"] = Answer(status, said)
        with pytest.raises(AuthorizationFailed, match="a secret") as caught:
            async with open_client(world.url, auth=machine(world)):
                pass
        assert not [each for each in (SECRET, JWT) if each in repr(caught.value)]


# -- tokens of a platform -----------------------------------------------------------------------


async def test_a_token_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    source = token_from_file(file)
    for held in ("one", "two"):
        file.write_text(f"  {held}\n")
        assert await source() == held
    for wrong in (b"", b" \n", b"x" * 70_000, b"\xff\xfe"):
        file.write_bytes(wrong)
        with pytest.raises(AuthorizationFailed, match="token"):
            await source()
    file.unlink()
    with pytest.raises(AuthorizationFailed, match="No such file"):
        await source()


def test_a_token_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    source = token_from_environment("PLATFORM_TOKEN")
    for wrong in (None, "", "  "):
        if wrong is not None:
            monkeypatch.setenv("PLATFORM_TOKEN", wrong)
        with pytest.raises(AuthorizationFailed, match="PLATFORM_TOKEN"):
            source()
    monkeypatch.setenv("PLATFORM_TOKEN", " one\n")
    assert source() == "one"


@pytest.mark.parametrize(
    "wrong", [None, b"x", "", "a b", "a\nb", "ü", "x" * 70_000], ids=lambda wrong: repr(wrong)[:9]
)
async def test_what_is_no_token_of_a_platform(wrong: Any) -> None:
    async with open_world() as world:
        with pytest.raises(AuthorizationFailed, match="token= must give a text"):
            async with open_client(world.url, auth=workload(world, token=lambda: wrong)):
                pass
        assert not world.of("/token")


async def test_a_platform_that_gives_nothing(autojump_clock: MockClock) -> None:
    async with open_world() as world:
        with pytest.raises(AuthorizationFailed, match="token= gave nothing within 30 s"):
            async with open_client(world.url, auth=workload(world, token=trio.sleep_forever)):
                pass


async def test_a_platform_with_a_deadline_of_its_own() -> None:
    """What it raises is not taken for the deadline that it was given."""

    async def token() -> str:
        with trio.fail_after(0):
            await trio.sleep_forever()
        return ""

    async with open_world() as world:
        with pytest.raises(AuthorizationFailed, match="token= raised TooSlowError"):
            async with open_client(world.url, auth=workload(world, token=token)):
                pass


TOLD = "eyJ-a-token-that-a-function-tells"


class Own(Exception):
    """An exception of a user's function, with what must not be told."""


@pytest.mark.parametrize("option", ["token", "private_key"])
@pytest.mark.parametrize("is_async", [False, True])
async def test_what_a_function_raises_is_not_told(
    option: str, is_async: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The token that it handles may stand in that."""

    def broken(*_: str) -> str:
        raise Own(f"no: {TOLD}")

    async def slowly_broken(*_: str) -> str:
        await trio.lowlevel.checkpoint()
        raise Own(f"no: {TOLD}")

    function = slowly_broken if is_async else broken
    caplog.set_level(logging.DEBUG)
    async with open_world() as world:
        if option == "token":
            auth = workload(world, token=function)
        else:
            auth = credentials(world, client_secret=None, private_key=function)
        with pytest.raises(AuthorizationFailed, match=f"^{option}= raised Own$") as caught:
            async with open_client(world.url, auth=auth):
                pass
        assert not world.of("/token")
    assert isinstance(caught.value.__cause__, Own)
    assert TOLD not in str(caught.value) + caplog.text


async def test_what_a_function_says_itself_is_told() -> None:
    def sorry() -> str:
        raise AuthorizationFailed("the platform is closed")

    async with open_world() as world:
        with pytest.raises(AuthorizationFailed, match="the platform is closed"):
            async with open_client(world.url, auth=workload(world, token=sorry)):
                pass


# -- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"client_secret": None}, "client_secret= or private_key="),
        ({"client_secret": ""}, "client_secret= or private_key="),
        ({"client_id": ""}, "client_id="),
        ({"issuer": None}, "needs issuer="),
        ({"issuer": "http://as.example"}, "https"),
        ({"issuer": "as.example"}, "https"),
        ({"issuer": "https://as.example?x"}, "query"),
        ({"issuer": "https://u:p@as.example"}, "user name"),
        ({"issuer": f"http://u:{SECRET}@as.example"}, "user name"),
        ({"issuer": "https://as.example#x"}, "fragment"),
        ({"issuer": "https://[x"}, "https"),
        ({"algorithm": "ES256"}, "private_key="),
        ({"private_key": lambda issuer: "x"}, "not both"),
        ({"client_secret": None, "private_key": lambda issuer: "x", "algorithm": "x"}, "signs"),
        ({"scopes": "a b"}, "scopes="),
        ({"storage": "/tmp/x"}, "storage="),
        ({"issuer": 5}, "issuer= is a URL"),
        ({"scopes": 5}, "scopes= is a list"),
        ({"client_id": 5}, "client_id= is a text"),
        ({"client_secret": 5}, "client_secret= is a text"),
        ({"client_secret": f"{SECRET}\ud800"}, "client_secret= holds"),
        ({"ssl_context": "x"}, "ssl_context= is"),
        ({"client_secret": None, "private_key": lambda: "x"}, "a function of an issuer"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], words: str) -> None:
    usual = {"client_id": "me", "client_secret": SECRET, "issuer": "https://as.example"}
    with pytest.raises(OptionError, match=words) as caught:
        ClientCredentials(**{**usual, **options})
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"token": JWT}, "token= is a function"),
        ({"token": token_from_file}, "without arguments"),
        ({"issuer": "http://as.example"}, "https"),
        ({"issuer": None}, "issuer= is a URL"),
        ({"client_id": 5}, "client_id= is a text"),
    ],
)
def test_options_of_workloads_that_are_refused(options: dict[str, Any], words: str) -> None:
    usual: dict[str, Any] = {"token": lambda: JWT, "issuer": "https://as.example"}
    with pytest.raises(OptionError, match=words) as caught:
        WorkloadIdentity(**{**usual, **options})
    assert JWT not in str(caught.value)


@pytest.mark.parametrize("url", [5, None, "x", "ftp://x"])
async def test_what_is_no_url_of_a_server(url: Any) -> None:
    auth = OAuth()
    with pytest.raises(OptionError, match="URL"):
        await auth.log_out(url)
    with pytest.raises(OptionError, match="URL"):
        await auth.is_logged_in(url)


def test_a_user_may_have_a_key_too() -> None:
    for options in ({"private_key": print}, {"algorithm": "ES256"}):
        with pytest.raises(OptionError):
            OAuth(**options)
