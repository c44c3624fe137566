"""A client that logs in, with a scripted server and a scripted authorization server.

Specification: 2026-07-28, Authorization.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
import trio
import trio.testing

from trimcp import AuthorizationFailed, HTTPStatusError, OptionError, Server, open_client
from trimcp.auth import MemoryTokenStorage, OAuth

from .world import Answer, Request, World, open_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock


async def test_a_login() -> None:
    async with open_world() as world, open_client(world.url, auth=world.oauth()) as client:
        await client.call_tool("x")
        await client.call_tool("x")
        (login,) = world.logins
        assert login["resource"] == world.url
        assert "scope" not in login
        (registration,) = world.of("/register")
        assert registration.rpc["application_type"] == "native"
        (exchange,) = world.of("/token")
        assert exchange.form["resource"] == world.url
        first, *others = world.of("/mcp")
        assert "authorization" not in first.headers
        (header,) = {each.headers["authorization"] for each in others}
        assert header.removeprefix("Bearer ") in world.good


async def test_tokens_are_kept_for_the_next_client() -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        for _ in range(2):
            async with open_client(world.url, auth=world.oauth(storage)) as client:
                await client.call_tool("x")
        assert len(world.logins) == 1
        assert len(world.of("/register")) == 1


async def test_many_requests_wait_for_one_login() -> None:
    async with open_world() as world, open_client(world.url, auth=world.oauth()) as client:
        world.revoke()
        world.refresh.clear()
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client.call_tool, "x")
        assert len(world.logins) == 2


async def test_calls_do_not_wait_for_each_other() -> None:
    """Four are answered only when all four have come."""
    everybody = trio.Event()

    async def together(request: Request) -> None:
        if request.rpc["method"] == "tools/call" and len(world.calls) >= 4:
            everybody.set()
        if request.rpc["method"] == "tools/call":
            await everybody.wait()

    async with open_world() as world, open_client(world.url, auth=world.oauth()) as client:
        world.before["/mcp"] = together
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(client.call_tool, "x")


# -- refreshing ---------------------------------------------------------------------------------


async def test_a_stale_token_is_replaced_by_one_refresh() -> None:
    async with open_world(life=0) as world, open_client(world.url, auth=world.oauth()) as client:
        world.requests.clear()
        world.life = 3600
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(client.call_tool, "x")
        (refresh,) = world.of("/token")
        assert refresh.form["grant_type"] == "refresh_token"
        assert refresh.form["resource"] == world.url
        assert len(world.of("/mcp")) == 5
        assert world.logins == []


async def test_a_token_that_is_refused_is_refreshed() -> None:
    async with open_world() as world, open_client(world.url, auth=world.oauth()) as client:
        world.requests.clear()
        world.revoke()
        await client.call_tool("x")
        assert world.logins == []
        assert len(world.calls) == 2
        # The metadata are looked at anew.
        assert len(world.of("/.well-known/oauth-protected-resource/mcp")) == 1


async def test_a_refresh_token_that_is_refused_means_another_login() -> None:
    async with open_world() as world, open_client(world.url, auth=world.oauth()) as client:
        world.revoke()
        world.refresh.clear()
        await client.call_tool("x")
        assert len(world.logins) == 2
        assert len(world.of("/register")) == 1


#: Answers to a refresh that do not say that the refresh token is no good any more.
UNSURE = [
    Answer(503),
    Answer(400, {"error": "temporarily_unavailable"}),
    Answer(400, {"error": "server_error"}),
    Answer(403, {"error": "forbidden"}),
    Answer(200, "no object"),
]


@pytest.mark.parametrize("answer", UNSURE)
async def test_a_token_that_cannot_be_refreshed_now_is_still_used(answer: Answer) -> None:
    storage = MemoryTokenStorage()
    async with (
        open_world(life=0) as world,
        open_client(world.url, auth=world.oauth(storage)) as client,
    ):
        world.answer_with["/token"] = answer
        await client.call_tool("x")
        await client.call_tool("x")
        # It is not tried again with each request.
        assert len(world.of("/token")) == 2
        assert len(world.logins) == 1
        kept = json.loads(await storage.load(f"tokens {world.url}") or "")
        assert kept["refresh_token"] in world.refresh


@pytest.mark.parametrize("no_login", [None, "log in"])
@pytest.mark.parametrize("answer", [*UNSURE, None])
async def test_trouble_of_the_authorization_server_asks_nobody_to_log_in(
    answer: Answer | None, no_login: str | None
) -> None:
    storage = MemoryTokenStorage()
    async with open_world() as world:
        async with open_client(world.url, auth=world.oauth(storage)):
            pass
        options = {} if no_login is None else {"redirect": None, "no_login": no_login}
        async with open_client(world.url, auth=world.oauth(storage, **options)) as client:
            world.revoke()
            if answer is None:
                world.more_metadata = {"token_endpoint": "http://127.0.0.1:1/"}
            else:
                world.answer_with["/token"] = answer
            with pytest.raises(AuthorizationFailed, match="cannot be refreshed now") as caught:
                await client.call_tool("x")
            assert "log in" not in str(caught.value)
            world.more_metadata = {}
            world.answer_with.clear()
            await client.call_tool("x")
        assert len(world.logins) == 1


@pytest.mark.parametrize("status", [200, 400])
async def test_a_refusal_for_another_reason_leads_to_the_user(status: int) -> None:
    """Also one with the status of a success, as some servers send it."""
    async with open_world() as world, open_client(world.url, auth=world.oauth()) as client:
        world.revoke()
        refusal = Answer(status, {"error": "bad_refresh_token"})

        async def refuse(request: Request) -> Answer | None:
            return refusal if request.form["grant_type"] == "refresh_token" else None

        world.before["/token"] = refuse
        await client.call_tool("x")
        assert len(world.logins) == 2


async def test_an_empty_refresh_token_is_none() -> None:
    storage = MemoryTokenStorage()
    async with (
        open_world(life=0) as world,
        open_client(world.url, auth=world.oauth(storage)) as client,
    ):
        (before,) = world.refresh
        given = {"access_token": "next", "token_type": "Bearer", "refresh_token": ""}
        world.good["next"] = set()
        world.answer_with["/token"] = Answer(200, given)
        await client.call_tool("x")
        assert len(world.logins) == 1
        kept = json.loads(await storage.load(f"tokens {world.url}") or "")
        assert (kept["access_token"], kept["refresh_token"]) == ("next", before)


async def test_a_refresh_that_brings_no_new_refresh_token_keeps_the_old() -> None:
    storage = MemoryTokenStorage()
    async with (
        open_world(life=0) as world,
        open_client(world.url, auth=world.oauth(storage)) as client,
    ):
        (before,) = world.refresh
        world.gives_refresh = False
        await client.call_tool("x")
        kept = json.loads(await storage.load(f"tokens {world.url}") or "")
        assert kept["refresh_token"] == before


def gate(path: str, world: World) -> tuple[trio.Event, trio.Event]:
    """Hold answers of a path: set when one is asked for, and to be set."""
    asked, go = trio.Event(), trio.Event()

    async def held(request: Request) -> None:
        asked.set()
        await go.wait()

    world.before[path] = held
    return asked, go


async def test_a_caller_that_is_cancelled_loses_nothing() -> None:
    storage = MemoryTokenStorage()
    async with (
        open_world(life=0) as world,
        open_client(world.url, auth=world.oauth(storage)) as client,
    ):
        world.life = 3600
        asked, go = gate("/token", world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "x")
            await asked.wait()
            nursery.cancel_scope.cancel()
        assert world.calls == []
        go.set()
        await client.call_tool("x")
        assert len(world.of("/token")) == 2
        kept = json.loads(await storage.load(f"tokens {world.url}") or "")
        assert kept["access_token"] in world.good
        assert kept["refresh_token"] in world.refresh


async def test_a_client_that_is_closed_loses_nothing() -> None:
    storage = MemoryTokenStorage()
    async with open_world(life=0) as world, trio.open_nursery() as outside:
        with trio.CancelScope() as scope:
            async with open_client(world.url, auth=world.oauth(storage)) as client:
                asked, go = gate("/token", world)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(client.call_tool, "x")
                    await asked.wait()
                    outside.start_soon(_set_when_idle, go)
                    scope.cancel()
        assert scope.cancelled_caught
        await go.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert len(world.of("/token")) == 2
        kept = json.loads(await storage.load(f"tokens {world.url}") or "")
        assert [kept["refresh_token"]] == [*world.refresh]


async def _set_when_idle(event: trio.Event) -> None:
    await trio.testing.wait_all_tasks_blocked()
    event.set()


# -- more scopes --------------------------------------------------------------------------------


async def test_more_scopes_are_asked_for_together_with_the_old() -> None:
    async with (
        open_world(more_resource={"scopes_supported": ["a", "b"]}) as world,
        open_client(world.url, auth=world.oauth()) as client,
    ):
        world.scopes = {"c", "d"}
        await client.call_tool("x")
        first, second = world.logins
        assert first["scope"] == "a b"
        assert second["scope"] == "a b c d"
        await client.call_tool("x")
        assert len(world.logins) == 2


async def test_what_was_asked_for_and_not_given_is_not_asked_for_again() -> None:
    async with open_world(withheld={"c"}) as world:
        async with open_client(world.url, auth=world.oauth()) as client:
            world.scopes = {"c"}
            with pytest.raises(HTTPStatusError) as caught:
                await client.call_tool("x")
        assert caught.value.status == 403
        assert len(world.logins) == 2


@pytest.mark.parametrize(
    "challenge",
    ["", "Bearer", 'Bearer error="insufficient_scope"', 'Basic scope="a"', 'Bearer scope="a"'],
)
async def test_another_403_stands(challenge: str) -> None:
    async with open_world() as world, open_client(world.url, auth=world.oauth()) as client:
        headers = {"www-authenticate": challenge} if challenge else {}
        world.answer_with["/mcp"] = Answer(403, headers=headers)
        with pytest.raises(HTTPStatusError) as caught:
            await client.call_tool("x")
        assert caught.value.status == 403
        assert len(world.logins) == 1


async def test_a_login_that_does_not_help_is_not_repeated() -> None:
    async with open_world() as world:
        hint = f'Bearer resource_metadata="{world.origin}/.well-known/oauth-protected-resource/mcp"'
        world.answer_with["/mcp"] = Answer(401, headers={"www-authenticate": hint})
        with pytest.raises(HTTPStatusError) as caught:
            async with open_client(world.url, auth=world.oauth()):
                pass
        assert caught.value.status == 401
        assert len(world.logins) == 1


async def test_a_client_registers_anew_for_scopes_that_it_is_not_registered_for() -> None:
    async def strict(request: Request) -> Answer | None:
        asked = request.query
        client = world.of("/register")[int(asked["client_id"].removeprefix("client")) - 1]
        if set(asked["scope"].split()) <= set(client.rpc["scope"].split()):
            return None
        back = {"error": "invalid_scope", "state": asked["state"], "iss": world.origin}
        return Answer(302, headers={"location": f"{asked['redirect_uri']}?{urlencode(back)}"})

    async with open_world(more_resource={"scopes_supported": ["a"]}) as world:
        world.before["/authorize"] = strict
        async with open_client(world.url, auth=world.oauth()) as client:
            world.scopes = {"c"}
            await client.call_tool("x")
            assert [each.rpc["scope"] for each in world.of("/register")] == ["a", "a c"]


async def test_a_server_that_refuses_to_register_scopes_is_asked_without() -> None:
    async def strict(request: Request) -> Answer | None:
        return Answer(400, {"error": "invalid_client_metadata"}) if "scope" in request.rpc else None

    async with open_world(more_resource={"scopes_supported": ["a"]}) as world:
        world.before["/register"] = strict
        async with open_client(world.url, auth=world.oauth()):
            assert [each.rpc.get("scope") for each in world.of("/register")] == ["a", None]


# -- failures -----------------------------------------------------------------------------------


async def failure(
    change: Callable[[World], object], *, path: str = "/token", **options: Any
) -> AuthorizationFailed:
    """Why a login fails; nothing of this path must have been asked for."""
    async with open_world() as world:
        change(world)
        with pytest.raises(AuthorizationFailed) as caught:
            async with open_client(world.url, auth=world.oauth(**options)):
                pass
        assert world.of(path) == []
        return caught.value


def answering(**back: str) -> Callable[[World], object]:
    async def answer(request: Request) -> Answer:
        said = {"state": request.query["state"], **back}
        location = f"{request.query['redirect_uri']}?{urlencode(said)}"
        return Answer(302, headers={"location": location})

    return lambda world: world.before.update({"/authorize": answer})


async def test_a_user_who_does_not_agree() -> None:
    async with open_world() as world:
        answering(error="access_denied", error_description="not you", iss=world.origin)(world)
        with pytest.raises(AuthorizationFailed, match="access_denied: not you"):
            async with open_client(world.url, auth=world.oauth()):
                pass
        assert world.of("/token") == []


@pytest.mark.parametrize(
    ("back", "words"),
    [
        ({"code": "c"}, "does not say which"),
        ({"code": "c", "iss": "https://evil.example"}, "another authorization server"),
        ({"error": "evil", "iss": "https://evil.example"}, "another authorization server"),
        ({"code": "c", "state": "other"}, "another login"),
    ],
)
async def test_answers_that_are_not_believed(back: dict[str, str], words: str) -> None:
    error = await failure(answering(**back))
    assert words in str(error)
    assert "evil" not in str(error)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"more_resource": {"resource": "https://evil.example/mcp"}}, "are those of"),
        ({"more_resource": {"authorization_servers": []}}, "name no authorization server"),
        ({"more_metadata": {"issuer": "https://evil.example"}}, "are those of"),
        ({"more_metadata": {"code_challenge_methods_supported": None}}, "PKCE"),
        ({"more_metadata": {"registration_endpoint": None}}, "client_id="),
        ({"more_metadata": {"authorization_endpoint": "javascript:alert(1)"}}, "is no URL"),
        ({"more_metadata": {"token_endpoint": "http://as.example/token"}}, "loopback only"),
        ({"more_metadata": {"registration_endpoint": "file:///etc/passwd"}}, "is no URL"),
        ({"challenge": 'Bearer resource_metadata="http://as.example/x"'}, "loopback only"),
        ({"challenge": 'Bearer resource_metadata="https://10.0.0.1/x"'}, "is not allowed"),
        ({"challenge": 'Bearer resource_metadata="https://169.254.169.254/"'}, "is not allowed"),
        ({"challenge": 'Bearer resource_metadata="https://0.0.0.0/"'}, "is not allowed"),
        ({"challenge": 'Bearer resource_metadata="https://[::ffff:10.0.0.1]/"'}, "is not allowed"),
        ({"more_resource": {"authorization_servers": ["http://10.0.0.1"]}}, "loopback only"),
        ({"more_resource": {"authorization_servers": ["https://10.0.0.1"]}}, "is not allowed"),
    ],
)
async def test_metadata_that_are_not_believed(changes: dict[str, Any], words: str) -> None:
    def change(world: World) -> None:
        for name, value in changes.items():
            setattr(world, name, value)

    assert words in str(await failure(change, path="/authorize"))


async def test_a_server_that_fails() -> None:
    for path in ("/.well-known/oauth-protected-resource/mcp", "/register"):
        error = await failure(
            lambda world, path=path: world.answer_with.update({path: Answer(500)}),  # type: ignore[misc]
            path="/authorize",
        )
        assert "500" in str(error)


async def test_credentials_are_not_shown_to_another_server() -> None:
    error = await failure(
        lambda world: None,
        path="/authorize",
        client_id="me",
        client_secret="swordfish",
        issuer="https://other.example",
    )
    assert "https://other.example" in str(error)
    assert "swordfish" not in str(error)


async def test_a_user_who_does_nothing(autojump_clock: MockClock) -> None:
    async def nothing(url: str) -> str:
        await trio.sleep_forever()
        raise AssertionError

    error = await failure(lambda world: None, redirect=nothing, login_timeout=50)
    assert str(error) == "nobody logged in within 50 s"


async def test_a_hook_that_fails() -> None:
    def broken(url: str) -> str:
        raise RuntimeError("no window")

    async def slow(url: str) -> str:
        with trio.fail_after(0):
            await trio.sleep_forever()
        raise AssertionError

    error = await failure(lambda world: None, redirect=broken)
    assert str(error) == "redirect= raised RuntimeError: no window"
    assert isinstance(error.__cause__, RuntimeError)
    error = await failure(lambda world: None, redirect=None, browser=broken)
    assert str(error) == "browser= raised RuntimeError: no window"
    error = await failure(lambda world: None, redirect=slow)
    assert str(error).startswith("redirect= raised TooSlowError")
    error = await failure(lambda world: None, redirect=lambda url: None)
    assert "gives back the URL" in str(error)


async def test_the_time_of_a_login_does_not_count(autojump_clock: MockClock) -> None:
    async def slow(url: str) -> str:
        await trio.sleep(100)
        return await world.visit(url)

    async with open_world() as world:
        auth = world.oauth(redirect=slow)
        async with open_client(world.url, auth=auth, timeout=2, probe_timeout=2) as client:
            world.revoke()
            world.refresh.clear()
            await client.call_tool("x")
            world.revoke()
            world.refresh.clear()
            await client.list_tools()


# -- what is not shown, and to whom tokens belong -----------------------------------------------


async def test_secrets_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    storage = MemoryTokenStorage()
    shown: list[str] = []
    async with open_world() as world:
        auth = world.oauth(storage)
        async with open_client(world.url, auth=auth) as client:
            await client.call_tool("x")
            secrets = [*world.good, *world.refresh]
            world.scopes = {"c"}
            await client.call_tool("x")
            world.revoke()
            world.refresh.clear()
            await client.call_tool("x")
            world.answer_with["/mcp"] = Answer(401)
            world.answer_with["/token"] = Answer(400, {"error": "invalid_grant"})
            with pytest.raises(AuthorizationFailed) as caught:
                await client.call_tool("x")
            shown += [repr(auth), repr(client), repr(caught.value)]
        secrets += [
            each.form["code_verifier"] for each in world.of("/token") if "code" in each.form
        ]
        secrets += [each.form["code"] for each in world.of("/token") if "code" in each.form]
    text = caplog.text + "".join(shown)
    assert not [each for each in secrets if each in text]


async def test_results_belong_to_a_login() -> None:
    async with (
        open_world(ttl_ms=60_000) as world,
        open_client(world.url, auth=world.oauth()) as client,
    ):
        await client.list_tools()
        await client.list_tools()

        def lists() -> int:
            return len([each for each in world.of("/mcp") if each.rpc["method"] == "tools/list"])

        assert lists() == 1
        # A refresh is no other login.
        world.revoke()
        await client.call_tool("x")
        await client.list_tools()
        assert lists() == 1
        world.revoke()
        world.refresh.clear()
        await client.call_tool("x")
        await client.list_tools()
        assert lists() == 2


async def test_two_clients_share_a_login() -> None:
    async with open_world(life=0) as world:
        auth = world.oauth()
        async with (
            open_client(world.url, auth=auth) as one,
            open_client(world.url, auth=auth) as two,
        ):
            world.life = 3600
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one.call_tool, "x")
                nursery.start_soon(two.call_tool, "x")
            assert len(world.logins) == 1
            refreshes = [each for each in world.of("/token") if "refresh_token" in each.form]
            assert len(refreshes) == 2  # the second client's first, then one for both


async def test_another_program_may_refresh_first() -> None:
    storage = MemoryTokenStorage()
    async with (
        open_world(life=0) as world,
        open_client(world.url, auth=world.oauth(storage)) as client,
    ):

        async def forestalled(request: Request) -> Answer:
            entry = json.loads(await storage.load(f"tokens {world.url}") or "")
            entry |= {"access_token": "theirs", "refresh_token": "next", "stale": None}
            await storage.save(f"tokens {world.url}", json.dumps(entry))
            world.good["theirs"] = set()
            return Answer(400, {"error": "invalid_grant"})

        world.before["/token"] = forestalled
        await client.call_tool("x")
        assert world.calls[-1].headers["authorization"] == "Bearer theirs"
        assert len(world.logins) == 1
        assert "next" in (await storage.load(f"tokens {world.url}") or "")


async def test_two_clients_log_in_once() -> None:
    async with open_world() as world:
        auth = world.oauth()

        async def use() -> None:
            async with open_client(world.url, auth=auth) as client:
                await client.call_tool("x")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(use)
            nursery.start_soon(use)
        assert len(world.logins) == 1


# -- options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"client_id": "x"},
        {"client_secret": "x"},
        {"scopes": "a b"},
        {"scopes": ["a b"]},
        {"scopes": [5]},
        {"login_timeout": 0},
        {"login_timeout": float("inf")},
        {"client_metadata_url": "http://me.example/x"},
        {"client_metadata_url": "https://me.example/"},
        {"redirect_uri": "http://me.example/"},
        {"redirect_uri": "https://me.example/callback"},
        {"redirect_uri": "http://127.0.0.1/callback#x"},
        {"redirect": print, "browser": print},
        {"redirect": "http://127.0.0.1/"},
        {"browser": "firefox"},
        {"storage": "/tmp/x"},
        {"storage": MemoryTokenStorage},
    ],
)
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        OAuth(**options)


async def test_where_there_is_nothing_to_log_in_to() -> None:
    for target in (Server("x"), ["true"], "tcp://127.0.0.1:1", "http://u:p@127.0.0.1:1/mcp"):
        with pytest.raises(OptionError, match="auth="):
            async with open_client(target, auth=OAuth()):  # type: ignore[arg-type]
                pass
    with pytest.raises(OptionError, match=r"auth=OAuth\(\)"):
        async with open_client("http://127.0.0.1:1/", auth=OAuth):  # type: ignore[typeddict-item]
            pass
    with pytest.raises(OptionError, match="auth="):
        async with open_client("http://127.0.0.1:1/", auth="Bearer x"):  # type: ignore[typeddict-item]
            pass


# -- older servers, and what is found in the storage --------------------------------------------


async def test_a_server_without_metadata_has_its_authorization_server_at_its_origin() -> None:
    async with open_world(challenge="Bearer") as world:
        world.answer_with["/.well-known/oauth-protected-resource/mcp"] = Answer(404)
        async with open_client(world.url, auth=world.oauth()):
            assert world.logins[0]["resource"] == world.url
        # And where that has no metadata either, its endpoints have fixed names.
        world.answer_with["/.well-known/oauth-authorization-server"] = Answer(404)
        async with open_client(world.url, auth=world.oauth()):
            assert len(world.logins) == 2


@pytest.mark.parametrize(
    "entry", ["", "x", "null", "[]", "{}", '{"access_token": 5}', "[" * 5000, "\x00"]
)
async def test_an_entry_that_cannot_be_read_is_none(entry: str) -> None:
    async with open_world() as world:
        storage = MemoryTokenStorage()
        await storage.save(f"tokens {world.url}", entry)
        await storage.save(f"client {world.origin}", entry)
        async with open_client(world.url, auth=world.oauth(storage)) as client:
            await client.call_tool("x")
        assert len(world.logins) == 1


@pytest.mark.parametrize("document", [None, "https://me.example/client.json"])
async def test_what_one_authorization_server_gave_another_does_not_get(
    document: str | None,
) -> None:
    async with open_world() as world, open_world() as other:
        storage = MemoryTokenStorage()
        if document is not None:
            # Both know the client by the same id.
            world.more_metadata = other.more_metadata = {
                "client_id_metadata_document_supported": True
            }
        options = {"client_metadata_url": document}
        auth = world.oauth(storage, redirect=other.visit, **options)
        async with open_client(world.url, auth=world.oauth(storage, **options)):
            pass
        # The server turns to another authorization server, whose tokens it takes.
        world.more_resource = {"authorization_servers": [other.origin]}
        world.revoke()
        other.good = world.good
        async with open_client(world.url, auth=auth) as client:
            await client.call_tool("x")
        (exchange,) = other.of("/token")
        assert exchange.form["grant_type"] == "authorization_code"
        assert len(other.of("/register")) == (document is None)
        text = repr(other.requests)
        assert not [each for each in world.refresh if each in text]


async def test_a_storage_that_fails() -> None:
    class Broken(MemoryTokenStorage):
        async def save(self, key: str, entry: str | None) -> None:
            raise OSError("the disk is full")

    async with open_world() as world:
        words = "^Broken.save raised OSError: the disk is full"
        with pytest.raises(AuthorizationFailed, match=words) as caught:
            async with open_client(world.url, auth=world.oauth(Broken())):
                pass
        assert isinstance(caught.value.__cause__, OSError)

    class Unreadable(MemoryTokenStorage):
        async def load(self, key: str) -> str | None:
            raise OSError("no permission")

    async with open_world() as world:
        words = "^Unreadable.load raised OSError: no permission"
        with pytest.raises(AuthorizationFailed, match=words):
            async with open_client(world.url, auth=world.oauth(Unreadable())):
                pass
        with pytest.raises(AuthorizationFailed, match=words):
            await world.oauth(Unreadable()).is_logged_in(world.url)


async def test_where_metadata_are_looked_for() -> None:
    """The challenge's URL alone, else the path of the server and then the root."""
    resource, server = "/.well-known/oauth-protected-resource", "/.well-known/openid-configuration"
    async with open_world(challenge="Bearer") as world:
        world.answer_with[f"{resource}/mcp"] = Answer(404)
        world.answer_with["/.well-known/oauth-authorization-server"] = Answer(404)
        document = {"resource": world.origin, "authorization_servers": [world.origin]}
        world.answer_with[resource] = Answer(200, document)
        world.answer_with[server] = world._metadata(Request("GET", server, {}, b""))
        async with open_client(world.url, auth=world.oauth()):
            assert world.logins[0]["resource"] == world.origin
        assert [each.path for each in world.requests if each.path.startswith("/.well")] == [
            f"{resource}/mcp",
            resource,
            "/.well-known/oauth-authorization-server",
            server,
        ]
        world.requests.clear()
        world.challenge = f'Bearer resource_metadata="{world.origin}/elsewhere"'
        world.answer_with["/elsewhere"] = Answer(404)
        with pytest.raises(AuthorizationFailed, match="elsewhere"):
            async with open_client(world.url, auth=world.oauth()):
                pass
        assert world.of(resource) == []


async def test_there_need_be_no_refresh_tokens() -> None:
    async with (
        open_world(life=0, gives_refresh=False) as world,
        open_client(world.url, auth=world.oauth()) as client,
    ):
        await client.call_tool("x")
        world.revoke()
        await client.call_tool("x")
        assert len(world.logins) == 2
