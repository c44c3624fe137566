"""Clients of one `auth=` object that need the same: one attempt is made, and they share its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from trimcp import AuthorizationFailed, open_client
from trimcp.auth import ClientCredentials, OAuth, WorkloadIdentity
from trimcp.auth._turns import Turn

from .world import Answer, Request, World, open_world

if TYPE_CHECKING:
    from trio.testing import MockClock


async def failures(world: World, auth: Any, clients: int) -> list[AuthorizationFailed]:
    """How that many clients fail that are opened at the same time."""
    found: list[AuthorizationFailed] = []

    async def use() -> None:
        with pytest.raises(AuthorizationFailed) as caught:
            async with open_client(world.url, auth=auth):
                pass
        found.append(caught.value)

    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(use)
    return found


async def all_wait(world: World, clients: int) -> None:
    """Return when that many clients have been refused and wait."""
    while len(world.of("/mcp")) < clients:
        await wait_all_tasks_blocked()
        await trio.lowlevel.checkpoint()
    await wait_all_tasks_blocked(0.05)


async def test_a_user_who_refuses_is_asked_once() -> None:
    async with open_world() as world:
        visits = []

        async def visit(url: str) -> str:
            visits.append(url)
            await all_wait(world, 5)
            raise AuthorizationFailed("no, says the user")

        found = await failures(world, OAuth(redirect=visit), 5)
        assert [str(each) for each in found] == ["no, says the user"] * 5
        assert len({id(each) for each in found}) == 5
        assert len(visits) == 1
        # Whoever comes later asks anew.
        await failures(world, OAuth(redirect=visit), 1)
        assert len(visits) == 2


async def test_an_authorization_server_that_is_mute(autojump_clock: MockClock) -> None:
    async with open_world() as world:

        async def mute(request: Request) -> Answer:
            await trio.sleep_forever()
            raise AssertionError

        world.before["/token"] = mute
        auth = ClientCredentials(client_id="me", client_secret="swordfish", issuer=world.origin)
        began = trio.current_time()
        assert len(await failures(world, auth, 4)) == 4
        assert len(world.of("/token")) == 1
        assert trio.current_time() - began < 15


async def test_a_platform_that_fails() -> None:
    calls = []

    async def token() -> str:
        calls.append(1)
        await all_wait(world, 10)
        raise KeyError("no platform")

    async with open_world() as world:
        found = await failures(world, WorkloadIdentity(token=token, issuer=world.origin), 10)
        assert {str(each) for each in found} == {"token= raised KeyError"}
    assert len(calls) == 1


# -- the turn itself ----------------------------------------------------------------------------


async def attempt(
    turn: Turn[int], need: int, outcomes: list[str], error: Exception | None, go: trio.Event
) -> None:
    try:
        async with turn.trying(need):
            outcomes.append("tried")
            await go.wait()
            if error is not None:
                raise error
    except (AuthorizationFailed, KeyError) as caught:
        if caught is not error:
            outcomes.append(str(caught))


async def test_only_a_failure_for_the_same_is_shared() -> None:
    turn: Turn[int] = Turn(lambda failed, need: failed == need)
    outcomes: list[str] = []
    go = trio.Event()
    async with trio.open_nursery() as nursery:
        for need in (1, 1, 2):
            nursery.start_soon(attempt, turn, need, outcomes, KeyError("x"), go)
            await wait_all_tasks_blocked()
        go.set()
    assert sorted(outcomes) == ["no access token: KeyError: 'x'", "tried", "tried"]
    assert turn._last is None


async def test_who_comes_later_tries_anew() -> None:
    turn: Turn[int] = Turn(lambda failed, need: True)
    outcomes: list[str] = []
    go = trio.Event()
    go.set()
    for _ in range(2):
        await attempt(turn, 1, outcomes, AuthorizationFailed("x"), go)
    assert outcomes == ["tried", "tried"]


async def test_an_attempt_that_is_broken_off_has_not_failed() -> None:
    turn: Turn[int] = Turn(lambda failed, need: True)
    outcomes: list[str] = []
    go = trio.Event()
    go.set()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with turn.trying(1):
                nursery.start_soon(attempt, turn, 1, outcomes, None, go)
                await wait_all_tasks_blocked()
                scope.cancel()
                await trio.lowlevel.checkpoint()
    assert outcomes == ["tried"]


async def test_an_attempt_that_succeeds_is_not_a_failure() -> None:
    turn: Turn[int] = Turn(lambda failed, need: True)
    outcomes: list[str] = []
    go = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(attempt, turn, 1, outcomes, None, go)
        await wait_all_tasks_blocked()
        go.set()
    async with turn.alone():
        assert outcomes == ["tried"] * 4
