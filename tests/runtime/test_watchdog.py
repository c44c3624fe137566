"""A task that blocks the event loop is reported with its stack, by a thread that ends in time."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trimcp import Limits, Server, open_client

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds for a report to come; nothing is timed by it.
PATIENCE = 60.0


class Releasing(logging.Handler):
    """Ends the blocking as soon as it is reported; a slow machine may be reported before."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reported = threading.Event()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "in block_until" in (text := record.getMessage()):
            self.texts.append(text)
            self.reported.set()


@pytest.fixture
def reports() -> Iterator[Releasing]:
    handler = Releasing()
    logger = logging.getLogger("trimcp.server")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def watchdogs() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "trimcp watchdog"]


def block_until(reported: threading.Event) -> bool:
    return reported.wait(PATIENCE)


async def test_a_blocking_async_tool_is_reported(reports: Releasing) -> None:
    server = Server("blocking", limits=Limits(blocked_seconds=0.1))

    @server.tool
    async def block() -> bool:
        # Whatever was slow until now is over.
        await trio.testing.wait_all_tasks_blocked()
        return block_until(reports.reported)

    async with open_client(server) as client:
        result = await client.call_tool("block")
        assert not result.is_error
        assert len(watchdogs()) == 1
    [text] = reports.texts
    assert text.startswith("the server has been blocked for 0.1 s")
    assert "plain `def`" in text
    assert "in block_until\n    return reported.wait(PATIENCE)" in text
    assert text.index("in block\n") < text.index("in block_until\n")
    assert watchdogs() == []


async def test_by_default_there_is_no_thread() -> None:
    server = Server("calm")

    @server.tool
    async def count() -> int:
        return len(watchdogs())

    async with open_client(server) as client:
        result = await client.call_tool("count")
    assert result.content[0].text == "0"  # type: ignore[union-attr]


async def test_the_thread_ends_when_the_application_fails() -> None:
    server = Server("failing", limits=Limits(blocked_seconds=0.1))

    @server.on_startup
    async def fail() -> None:
        assert len(watchdogs()) == 1
        raise LookupError

    with pytest.raises(LookupError):
        async with server.application():
            raise AssertionError("unreachable")
    assert watchdogs() == []
