"""Cancelled at whichever checkpoint, everything ends as it should.

Guarantees 2, 10, 21, 22, 23 and 24, for each moment at which a client, a server or a connection can
be given up.
"""

from __future__ import annotations

from collections.abc import AsyncIterator  # noqa: TC003
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair

from tests.cancelling import Ledger, at_each_checkpoint
from tests.giving_up import REVISIONS, USES, a_server, answer, held
from trimcp import MCPError, Server, open_client, open_stream_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.cancelling import Moment
    from trimcp import Client


@asynccontextmanager
async def connected(server: Server[None], revision: str) -> AsyncIterator[Client]:
    """A client over a stream, where messages may be cut anywhere."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, theirs)
        async with open_stream_client(ours, revision=revision, elicitation=answer) as client:
            yield client
    # The server has ended by itself, since its client is gone.


# -- the promises -------------------------------------------------------------------------------


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_request_that_is_given_up(
    revision: str, use: Callable[[Client], Awaitable[None]]
) -> None:
    """Its handler ends, and the connection serves the next one."""

    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        async with connected(server, revision) as client:
            before = await held(server, ledger)
            with moment.inside():
                await use(client)
            assert await held(server, ledger) == before
            await use(client)
            assert await held(server, ledger) == before
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 5


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_client_that_is_given_up(revision: str, use: Callable[[Client], Awaitable[None]]) -> None:
    """Opening, using and closing it: the server ends, for it served nobody else."""

    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        ours, theirs = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.serve_stream, theirs)
            with moment.inside():
                async with open_stream_client(
                    ours, revision=revision, elicitation=answer
                ) as client:
                    await use(client)
            await ours.aclose()
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 20


@pytest.mark.parametrize("how", ["cancelled", "shut down"])
@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_server_that_is_given_up(
    revision: str, use: Callable[[Client], Awaitable[None]], how: str
) -> None:
    """Its handlers and lifespans end; its client has its answer, or an error instead of waiting."""

    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        ours, theirs = memory_stream_pair()

        async def serve() -> None:
            with moment.inside(server.shutdown if how == "shut down" else None):
                await server.serve_stream(theirs)
            assert ledger.open == []
            await theirs.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            try:
                async with open_stream_client(
                    ours, revision=revision, elicitation=answer, timeout=1000
                ) as client:
                    await use(client)
            except* MCPError:
                assert moment.has_come
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 20


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
@pytest.mark.parametrize("revision", REVISIONS)
def test_both_in_memory(revision: str, use: Callable[[Client], Awaitable[None]]) -> None:
    """A client and its server in one scope."""

    ledger = Ledger()
    server = a_server(ledger)

    async def scenario(moment: Moment) -> None:
        with moment.inside():
            async with open_client(server, revision=revision, elicitation=answer) as client:
                await use(client)
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 20


class LifespanFailed(Exception):
    """What a lifespan raises."""


@pytest.mark.parametrize("when", ["entry", "exit"])
def test_a_server_whose_lifespan_fails(when: str) -> None:
    """The error comes out as it is, unless the server was given up before."""

    ledger = Ledger()

    @asynccontextmanager
    async def lifespan(_: Server[None]) -> AsyncIterator[None]:
        with ledger.entered("lifespan"):
            await trio.lowlevel.checkpoint()
            if when == "entry":
                raise LifespanFailed
            yield
            await trio.lowlevel.checkpoint()
            raise LifespanFailed

    server = Server("s", lifespan=lifespan)

    async def scenario(moment: Moment) -> None:
        ours, theirs = memory_stream_pair()
        has_failed = False
        async with ours, theirs:
            await ours.send_eof()
            try:
                with moment.inside():
                    await server.serve_stream(theirs)
            except LifespanFailed:
                has_failed = True
        assert has_failed or moment.has_come
        assert ledger.open == []

    assert at_each_checkpoint(scenario) > 2
