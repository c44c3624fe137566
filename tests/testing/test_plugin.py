"""The fixtures, in tests of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from trimcp.testing import GoldenCheck, OpenMcpClient, OpenRawPeer

import trio

from trimcp import NotServing, Server
from trimcp.testing import Faults, Transcript, faulty, recorded, stateless

pytest_plugins = ["pytester"]

TRIO_MODE = "[pytest]\ntrio_mode = true\nfilterwarnings = error\n"
SERVER = """
import pytest, trio
from contextlib import asynccontextmanager
from trimcp import Server
from trimcp.testing import Transcript

events = []

@asynccontextmanager
async def lifespan(server):
    events.append("open")
    yield
    await trio.sleep(0)
    events.append("closed")

server = Server("s", lifespan=lifespan)

@server.tool
async def add(a: int, b: int) -> int:
    return a + b
"""


def run(
    pytester: pytest.Pytester, code: str, *options: str, ini: str = TRIO_MODE
) -> pytest.RunResult:
    pytester.makeini(ini)
    pytester.makepyfile(SERVER + code)
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


# -- inside of this very run -------------------------------------------------------------------


async def test_several_clients_of_one_server(
    mcp_client: OpenMcpClient, raw_peer: OpenRawPeer
) -> None:
    server = Server("several", version="1")
    transcript = Transcript()
    clients = [
        await mcp_client(server),
        await mcp_client(server, revision="2024-11-05"),
        await mcp_client(recorded(server, transcript)),
        await mcp_client(faulty(server, Faults())),
    ]
    for client in clients:
        await client.ping()
    peer = await raw_peer(server)
    assert "result" in await peer.request("server/discover", stateless())
    assert server.statistics().connections == 5
    assert [client.revision for client in clients].count("2024-11-05") == 1
    assert len(transcript) == 4


async def test_an_application_that_the_test_has_opened(mcp_client: OpenMcpClient) -> None:
    server = Server("opened", version="1")
    async with server.application(signals=False):
        client = await mcp_client(server)
        await client.ping()


async def test_a_server_that_was_shut_down(
    mcp_client: OpenMcpClient, autojump_clock: trio.testing.MockClock
) -> None:
    server = Server("again", version="1")
    await mcp_client(server)
    server.shutdown(grace=0)
    with pytest.raises(NotServing):
        await mcp_client(server)
    await trio.sleep(1)
    client = await mcp_client(server)
    await client.ping()


async def test_what_cannot_be_opened(mcp_client: OpenMcpClient) -> None:
    with pytest.raises(ValueError, match="unknown protocol revision"):
        await mcp_client(Server("s"), revision="1999-01-01")


def test_golden_takes_a_path(golden: GoldenCheck, tmp_path: object) -> None:
    with pytest.raises(AssertionError, match="there is no golden transcript"):
        golden(Transcript(), f"{tmp_path}/none.txt")


# -- in runs of their own ----------------------------------------------------------------------


def test_everything_is_closed_after_the_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
async def test_one(mcp_client):
    client = await mcp_client(server)
    assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == 3
    assert events == ["open"]

async def test_two(mcp_client, autojump_clock):
    assert events == ["open", "closed"]
    await mcp_client(server)
    await mcp_client(server)
    assert events == ["open", "closed", "open"]

async def test_failing(mcp_client):
    await mcp_client(server)
    assert False, "the test's own"

def test_three():
    assert events == ["open", "closed"] * 3
""",
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*AssertionError: the test's own*"])


def test_a_crash_of_the_server_fails_the_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@server.background_task
async def crash():
    await trio.sleep(10)
    raise RuntimeError("the background task's own")

async def test_one(mcp_client, autojump_clock):
    await mcp_client(server)
    await trio.sleep(100)
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*RuntimeError: the background task's own*"])


def test_marked_tests_without_trio_mode(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.mark.trio
async def test_one(mcp_client):
    await mcp_client(server)
""",
        ini="[pytest]\n",
    )
    result.assert_outcomes(passed=1)


def test_without_pytest_trio(pytester: pytest.Pytester) -> None:
    """Whoever does not use it notices nothing; `golden` works all the same."""
    result = run(
        pytester,
        """
def test_sync(golden, tmp_path):
    transcript = Transcript()
    transcript.note("->", b"{}")
    (tmp_path / "it.txt").write_text("-> {}")
    golden(transcript, tmp_path / "it.txt")
""",
        "-p",
        "no:trio",
        ini="[pytest]\nfilterwarnings = error\n",
    )
    result.assert_outcomes(passed=1)


def test_golden(pytester: pytest.Pytester) -> None:
    code = """
@pytest.mark.parametrize("number", [1, 2])
async def test_note(golden, number):
    transcript = Transcript()
    transcript.note("->", b'{"id": %d}' % (number + SHIFT))
    golden(transcript)
"""
    run(pytester, "SHIFT = 0\n" + code).assert_outcomes(failed=2)
    run(pytester, "SHIFT = 0\n" + code, "--trimcp-update-golden").assert_outcomes(passed=2)
    name = "test_golden.test_note"
    assert sorted(path.name for path in (pytester.path / "golden").iterdir()) == [
        f"{name}_1.txt",
        f"{name}_2.txt",
    ]
    assert (pytester.path / "golden" / f"{name}_2.txt").read_text() == '-> {"id": 2}\n'
    run(pytester, "SHIFT = 0\n" + code).assert_outcomes(passed=2)
    result = run(pytester, "SHIFT = 5\n" + code)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(['*-  "id": 1', '*+  "id": 6'])
