"""What the pages say of time, ends, and several clients, shown with the examples themselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import LimitExceeded, RequestError, ResourceUpdated, open_client

from .pages import EXAMPLES
from .test_servers import ANSWERS, REVISIONS, TESTS, call, load, read, told

if TYPE_CHECKING:
    from pathlib import Path

by_era = pytest.mark.parametrize("revision", REVISIONS)

#: A query that would never end.
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


# -- lifespan.py ------------------------------------------------------------------------------


@by_era
@pytest.mark.parametrize(
    "sql", [f"{ENDLESS} SELECT max(i) FROM n", f"INSERT INTO notes {ENDLESS} SELECT i, i, i FROM n"]
)
async def test_a_cancelled_query_is_interrupted(
    sql: str, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = load("lifespan.py", monkeypatch)
    async with open_client(example.server, revision=revision) as client:
        with trio.move_on_after(0.2) as scope:
            await client.call_tool("query", {"sql": sql})
        assert scope.cancelled_caught
        with trio.fail_after(10):
            # The connection is free again, and nothing was done.
            rows = await call(client, "query", sql="SELECT count(*) AS number FROM notes")
        assert rows == [{"number": 0}]


async def test_a_query_that_waits_for_its_turn_is_just_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does not interrupt the one whose turn it is."""
    example = load("lifespan.py", monkeypatch)
    counting = f"{ENDLESS} SELECT max(i) AS number FROM (SELECT i FROM n LIMIT 1000000)"
    results: list[Any] = []

    async def count(db: Any, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        results.extend(await db.fetch_all(counting))

    async with example.open_database(":memory:") as db, trio.open_nursery() as nursery:
        await nursery.start(count, db)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0) as scope:
            await db.fetch_all("SELECT 1")
        assert scope.cancelled_caught
    assert results == [{"number": 1_000_000}]


async def test_the_hooks_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="lifespan")
    async with open_client(load("lifespan.py", monkeypatch).server):
        assert [record.message for record in caplog.records] == ["ready"]
    messages = [record.message for record in caplog.records if record.name == "lifespan"]
    assert messages == ["ready", "done, with 0 notes"]


async def test_old_notes_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    example = load("lifespan.py", monkeypatch)
    async with example.open_database("notes.db") as db:
        for day in ("2020-01-01", "9999-01-01"):
            await db.fetch_all("INSERT INTO notes VALUES ('', '', ?)", day)
    async with open_client(example.server) as client:
        with trio.fail_after(10):
            while len(rows := await call(client, "query", sql="SELECT day FROM notes")) == 2:
                await trio.lowlevel.checkpoint()
    assert rows == [{"day": "9999-01-01"}]


# -- sessions.py ------------------------------------------------------------------------------


@by_era
async def test_each_client_has_its_basket(revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server = load("sessions.py", monkeypatch).server
    async with server.application(signals=False):
        async with open_client(server, revision=revision) as one:
            assert await call(one, "take", fruit="apple") == {"apple": 1}
            async with open_client(server, revision=revision) as other:
                assert await call(other, "take", fruit="apple") == {"apple": 1}
                assert await call(other, "left") == {"apple": 1, "pear": 2}
            assert await call(one, "left") == {"apple": 2, "pear": 2}
            assert await call(one, "buy") == 1
        async with open_client(server, revision=revision) as third:
            assert await call(third, "left") == {"apple": 2, "pear": 2}
            assert await call(third, "take", fruit="pear") == {"pear": 1}


# -- notifications.py -------------------------------------------------------------------------


@by_era
async def test_the_status_every_30_seconds(
    revision: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.abc.Clock
) -> None:
    server = load("notifications.py", monkeypatch).server
    async with (
        open_client(server, revision=revision) as client,
        client.listen(resources=["status://app"]) as changes,
    ):
        began = trio.current_time()
        for number in (1, 2):
            assert await anext(changes) == ResourceUpdated("status://app")
            assert trio.current_time() - began == 30 * number


async def test_following_over_lost_connections(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    example = load("notifications.py", monkeypatch)
    follow = load("notifications_client.py", monkeypatch).follow
    shown, seen = trio.open_memory_channel[str](100)

    async def show(result: Any) -> None:
        await shown.send(result.contents[0].text)

    async def serve(port: int, task_status: trio.TaskStatus[Any]) -> None:
        async with trio.open_nursery() as inner:
            ((_, port),) = await inner.start(example.server.serve_tcp, "127.0.0.1", port)
            task_status.started((port, inner.cancel_scope))

    port, scope = await nursery.start(serve, 0)
    nursery.start_soon(follow, f"tcp://127.0.0.1:{port}", "messages://all", show)
    with trio.fail_after(20):
        assert "Hello" not in await seen.receive()
        await example.add_message("Hello")
        assert "Hello" in await seen.receive()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        _, scope = await nursery.start(serve, port)
        # The server began anew, and with it what it knows.
        assert "Hello" not in await seen.receive()
        await example.add_message("Again")
        assert "Again" in await seen.receive()
    nursery.cancel_scope.cancel()


# -- bus.py -----------------------------------------------------------------------------------


@by_era
async def test_changes_in_another_process(revision: str) -> None:
    command = [sys.executable, str(EXAMPLES / "bus.py")]
    async with (
        open_client(command, revision=revision) as one,
        open_client(command, revision=revision) as other,
        one.listen(resources=["votes://tea"]) as changes,
    ):
        for number in ("1", "2"):
            await other.call_tool("vote", {"choice": "tea"})
            assert await told(changes) == ResourceUpdated("votes://tea")
            assert await read(one, "votes://tea") == number


# -- middleware.py ----------------------------------------------------------------------------


@by_era
async def test_the_rate_is_each_clients_own(
    revision: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: trio.abc.Clock,
) -> None:
    caplog.set_level("INFO", logger="middleware")
    server = load("middleware.py", monkeypatch).server
    async with (
        server.application(signals=False),
        open_client(server, revision=revision) as greedy,
        open_client(server, revision=revision) as modest,
    ):
        for _ in range(5):
            await greedy.call_tool("roll")
        with pytest.raises(LimitExceeded) as caught:
            await greedy.call_tool("roll")
        assert caplog.messages[-1].startswith("tools/call failed in ")
        assert await call(modest, "roll") == 4
        assert caplog.messages[-1].startswith("tools/call done in 0.01")
        await trio.sleep(caught.value.data["seconds"])
        assert await call(greedy, "roll") == 4


# -- returned_questions.py --------------------------------------------------------------------


async def test_an_answer_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = load("returned_questions.py", monkeypatch).server
    async with open_client(server, **ANSWERS) as client:
        params = {"name": "pay", "arguments": {"amount": 5}}
        answers = {"sure": {"action": "accept", "content": {"sure": True}}}
        unasked = await client.request("tools/call", {**params, "inputResponses": answers})
        assert unasked["resultType"] == "input_required"
        asked = await client.request("tools/call", params)
        retry = {
            **params,
            "requestState": asked["requestState"],
            "inputResponses": answers,
        }
        paid = await client.request("tools/call", retry)
        assert paid["content"][0]["text"] == "Paid 5."
        with pytest.raises(RequestError) as caught:
            await client.request("tools/call", retry)
        assert caught.value.code == -32602
        with pytest.raises(RequestError):
            await client.request("tools/call", {**retry, "arguments": {"amount": 6}})


# -- tests ------------------------------------------------------------------------------------


def test_the_tests_pass(tmp_path: Path) -> None:
    for name in TESTS:
        shutil.copy(EXAMPLES / name, tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nfilterwarnings = error\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
    count = sum((tmp_path / name).read_text().count("\nasync def test_") for name in TESTS)
    # One of them runs for two revisions.
    assert f"{count + 1} passed" in done.stdout
