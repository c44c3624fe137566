"""Several processes that share a login refresh it one after the other."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from trimcp import AuthorizationFailed
from trimcp.auth import FileTokenStorage, MemoryTokenStorage, OAuth, _locks

from .test_kept_logins import once, refreshing, revoked, revoking
from .world import Answer, Request, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX file locks")

#: A program that calls a tool, and says when it is about to wait for the lock.
PROGRAM = """\
import sys
from contextlib import asynccontextmanager

import trio

from trimcp import open_client
from trimcp.auth import FileTokenStorage, OAuth


class Telling(FileTokenStorage):
    @asynccontextmanager
    async def locked(self, key):
        print("locking", flush=True)
        async with super().locked(key):
            yield


async def main():
    auth = OAuth(storage=Telling(sys.argv[2]), no_login="nobody")
    async with open_client(sys.argv[1], auth=auth) as client:
        await client.call_tool("x")


trio.run(main)
"""


class Strict:
    """An authorization server that ends a login when a refresh token comes twice."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._used: set[str] = set()
        self.asked, self.go = trio.Event(), trio.Event()
        world.before["/token"] = self

    async def __call__(self, request: Request) -> Answer | None:
        token = request.form.get("refresh_token")
        if token is None:
            return None
        if token in self._used:
            self._world.refresh.clear()
            self._world.good.clear()
            return Answer(400, {"error": "invalid_grant"})
        self._used.add(token)
        self.asked.set()
        await self.go.wait()
        return None


@asynccontextmanager
async def program(world: World, directory: Path) -> AsyncIterator[trio.Process]:
    """The program, when it is about to wait for the lock; killed at the end if it still runs."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", PROGRAM, world.url, str(directory)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with process.stdout:
            assert (await process.stdout.receive_some()).startswith(b"locking")
            yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True, relative_deadline=30):
            await process.wait()


def refreshes(world: World) -> list[str]:
    forms = [each.form for each in world.of("/token")]
    return [each["refresh_token"] for each in forms if "refresh_token" in each]


async def test_two_processes_refresh_once(tmp_path: Path) -> None:
    async with open_world() as world:
        await once(world, world.oauth(FileTokenStorage(tmp_path)))
        world.revoke()
        strict = Strict(world)
        async with program(world, tmp_path) as first, program(world, tmp_path) as second:
            await strict.asked.wait()
            strict.go.set()
            assert (await first.wait(), await second.wait()) == (0, 0)
        assert len(refreshes(world)) == 1
        assert len(world.logins) == 1


async def test_a_process_that_dies_holds_nothing(tmp_path: Path) -> None:
    async with open_world() as world:
        await once(world, world.oauth(FileTokenStorage(tmp_path)))
        world.revoke()
        go = trio.Event()
        asked = trio.Event()

        async def hold(request: Request) -> None:
            asked.set()
            await go.wait()

        world.before["/token"] = hold
        async with program(world, tmp_path) as first:
            await asked.wait()
            first.kill()
            await first.wait()
            del world.before["/token"]
            async with program(world, tmp_path) as second:
                assert await second.wait() == 0


async def test_who_holds_it_for_too_long_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_locks, "_PATIENCE", 0.1)
    async with open_world() as world:
        storage = FileTokenStorage(tmp_path)
        await once(world, world.oauth(storage))
        async with FileTokenStorage(tmp_path).locked(f"tokens {world.url}"):
            world.revoke()
            await once(world, OAuth(storage=storage, no_login="nobody"))
    assert "without the lock" in caplog.text


async def test_a_task_that_is_cancelled_holds_nothing(tmp_path: Path) -> None:
    storage = FileTokenStorage(tmp_path)
    async with trio.open_nursery() as nursery, storage.locked("a"):
        nursery.start_soon(_enter, storage)
        await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    with trio.fail_after(30):
        await _enter(storage)


async def _enter(storage: FileTokenStorage) -> None:
    async with storage.locked("a"):
        await trio.lowlevel.checkpoint()


async def test_a_lock_that_cannot_be_had_fails_before_anything_is_sent(tmp_path: Path) -> None:
    """The next refresh token could not be stored either."""

    class Broken(FileTokenStorage):
        @asynccontextmanager
        async def locked(self, key: str) -> AsyncIterator[None]:
            raise OSError("read only")
            yield

    async with open_world() as world:
        await once(world, world.oauth(FileTokenStorage(tmp_path)))
        world.revoke()
        auth = OAuth(storage=Broken(tmp_path), no_login="nobody")
        with pytest.raises(AuthorizationFailed, match=r"^Broken.locked raised OSError: read"):
            await once(world, auth)
        assert refreshes(world) == []


async def test_an_empty_directory_stays_away(tmp_path: Path) -> None:
    async with FileTokenStorage(tmp_path / "none").locked("a"):
        pass
    assert not (tmp_path / "none").exists()


# -- without locks ----------------------------------------------------------------------------


async def test_a_refresh_does_not_undo_the_login_of_another_program() -> None:
    """One that followed a logout: neither its tokens are replaced nor its grant is revoked."""
    storage = MemoryTokenStorage()
    async with open_world() as world:
        auth = world.oauth(storage)
        async with refreshing(world, auth, storage) as (_, old, go):
            del world.before["/token"]
            other = world.oauth(storage)
            assert await other.log_out(world.url)
            await once(world, other)
            theirs = await storage.load(f"tokens {world.url}")
            go.set()
        assert await storage.load(f"tokens {world.url}") == theirs
        assert revoked(world) == [old]
        assert len(world.logins) == 2
        # What the client uses from now on is the other's.
        token = json.loads(theirs or "")["access_token"]
        assert world.calls[-1].headers["authorization"] == f"Bearer {token}"


async def test_a_refusal_does_not_undo_the_refresh_of_another_program() -> None:
    """Two have sent the same refresh token, and one of them was told so before the other."""
    storage = MemoryTokenStorage()
    async with open_world() as world:
        await once(world, world.oauth(storage))
        revoking(world)
        world.revoke()
        asked, go = trio.Event(), trio.Event()

        async def answer(request: Request) -> Answer | None:
            if asked.is_set():
                return Answer(400, {"error": "invalid_grant"})
            asked.set()
            await go.wait()
            return None

        world.before["/token"] = answer
        slow, fast = (OAuth(storage=storage, no_login="nobody") for _ in range(2))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(once, world, slow)
            await asked.wait()
            with pytest.raises(AuthorizationFailed, match="nobody"):
                await once(world, fast)
            go.set()
        kept = json.loads(await storage.load(f"tokens {world.url}") or "")
        assert kept["access_token"] in world.good
        assert kept["refresh_token"] in world.refresh
