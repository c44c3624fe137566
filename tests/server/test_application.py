"""The one owner of what a server has while it serves."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trimcp import NotServing, Server


async def test_nothing_begins_in_an_application_that_is_closing() -> None:
    server = Server("closing")
    began: list[str] = []

    async def task(name: str) -> None:
        began.append(name)

    async with server.application(signals=False):
        application = server.running
        assert application is not None
        application.start_soon(task, "before")
        await trio.testing.wait_all_tasks_blocked()
        server.shutdown(grace=1)
        with pytest.raises(NotServing):
            application.start_soon(task, "after")
    with pytest.raises(NotServing):
        application.start_soon(task, "when all is over")
    assert began == ["before"]
