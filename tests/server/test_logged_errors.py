"""What a server's log shows of an exception: all frames, and no group around a single one."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import trio

from trimcp import Server, open_client
from trimcp._groups import logged

if TYPE_CHECKING:
    import pytest


def make_server() -> Server[None]:
    server: Server[None] = Server("failing")

    @server.tool
    async def fail(times: int) -> None:
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            for _ in range(times):
                inner.start_soon(child)
            outer.start_soon(trio.sleep, 0)

    return server


async def child() -> None:
    raise LookupError("in a child")


async def test_a_single_exception_is_not_logged_as_a_group(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_client(make_server()) as client:
        await client.call_tool("fail", {"times": 1})
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)
    # The frames of the groups stay, above those of the child.
    frames = [frame.name for frame in traceback.extract_tb(record.exc_info[2])]
    assert frames.index("fail") < frames.index("child")
    assert frames.count("child") == 1
    assert "Group" not in caplog.text


async def test_several_exceptions_stay_a_group(caplog: pytest.LogCaptureFixture) -> None:
    async with open_client(make_server()) as client:
        await client.call_tool("fail", {"times": 2})
    [record] = caplog.records
    assert record.exc_info is not None
    error = record.exc_info[1]
    assert isinstance(error, ExceptionGroup)
    assert [type(each) for each in error.exceptions] == [LookupError, LookupError]


def test_no_frame_is_shown_twice() -> None:
    """`except*` gives a bare exception a group that begins with the same frame."""

    def fail() -> None:
        raise ValueError("bare")

    try:
        fail()
    except* ValueError as group:
        _, error, frames = logged(group)
    assert isinstance(error, ValueError)
    assert [frame.name for frame in traceback.extract_tb(frames)] == [
        "test_no_frame_is_shown_twice",
        "fail",
    ]
