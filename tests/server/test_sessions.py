"""Lifespans of the application and of sessions, and what goes wrong in them."""

from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trimcp import Context, Server, Session, combine_lifespans, open_client, open_tcp_client
from trimcp.protocol import LATEST, LATEST_HANDSHAKE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

by_era = pytest.mark.parametrize("revision", [LATEST_HANDSHAKE.date, LATEST.date])


class Diary:
    """What happened, in order."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def lifespan(self, name: str, *, entering: str = "", leaving: str = "") -> Any:
        """A lifespan that writes itself down, and fails where it is told to."""

        @asynccontextmanager
        async def lifespan(owner: Any) -> AsyncIterator[str]:
            if entering:
                raise ValueError(entering)
            self.entries.append(f"+{name}")
            try:
                yield name
            finally:
                await trio.lowlevel.checkpoint()
                self.entries.append(f"-{name}")
                if leaving:
                    raise ValueError(leaving)

        return lifespan


# -- sessions ---------------------------------------------------------------------------------


@by_era
async def test_session_lifespan(revision: str) -> None:
    """Once per connection, inside the application's, typed through `Context`."""
    diary = Diary()
    server = Server("s", lifespan=diary.lifespan("app"), session_lifespan=diary.lifespan("session"))

    @server.tool
    async def contexts(ctx: Context[str, str]) -> list[str]:
        assert ctx.session is not None
        assert ctx.session is server.request_context.session
        assert ctx.session.lifespan_context == ctx.lifespan_context
        return [ctx.lifespan_context, ctx.session_context]

    async with server.application(signals=False):
        for _ in range(2):
            async with open_client(server, revision=revision) as client:
                for _ in range(2):
                    result = await client.call_tool("contexts")
                    assert json.loads(result.text) == ["app", "session"]
        assert diary.entries == ["+app", "+session", "-session", "+session", "-session"]
    assert diary.entries[-1] == "-app"


async def test_each_connection_has_its_own(nursery: trio.Nursery) -> None:
    counts = iter(range(10))

    @asynccontextmanager
    async def numbered(session: Session) -> AsyncIterator[int]:
        yield next(counts)

    server = Server("s", session_lifespan=numbered)

    @server.tool
    async def number(ctx: Context) -> int:
        return ctx.session_context

    ((host, port),) = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
    async with (
        open_tcp_client(host, port) as first,
        open_tcp_client(host, port) as second,
    ):
        numbers = [(await each.call_tool("number")).text for each in (first, second, first)]
        assert numbers == ["0", "1", "0"]
    nursery.cancel_scope.cancel()


async def test_session_that_cannot_begin_closes_only_itself(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    failing = [True]

    @asynccontextmanager
    async def lifespan(session: Session) -> AsyncIterator[None]:
        if failing.pop():
            raise ValueError("no room")
        yield

    server = Server("s", session_lifespan=lifespan)
    ((host, port),) = await nursery.start(server.serve_tcp, "127.0.0.1", 0)
    from trimcp import ConnectionLost

    with pytest.raises(ConnectionLost):
        async with open_tcp_client(host, port):
            pass
    assert "no room" in caplog.text
    failing.append(False)
    async with open_tcp_client(host, port) as client:
        await client.list_tools()
    nursery.cancel_scope.cancel()


async def test_leaving_a_session_may_take_its_time(autojump_clock: object) -> None:
    """It cleans up under a deadline of its own, although the connection is gone."""
    left = []

    @asynccontextmanager
    async def lifespan(session: Session) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await trio.sleep(5)
            left.append(trio.current_time())

    async with open_client(Server("s", session_lifespan=lifespan)) as client:
        await client.list_tools()
    assert len(left) == 1


async def test_session_that_never_ends_is_given_up(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def lifespan(session: Session) -> AsyncIterator[None]:
        yield
        await trio.sleep_forever()

    async with open_client(Server("s", session_lifespan=lifespan)) as client:
        await client.list_tools()
    assert "the cleanup of a session took longer" in caplog.text


@by_era
async def test_session_knows_its_client(revision: str) -> None:
    server = Server("s")

    @server.tool
    async def who(ctx: Context) -> str | None:
        session = ctx.session
        assert session is not None
        assert session.id is None
        assert session.server is server
        assert (session.client_info is None) == (session.client_capabilities is None)
        return session.client_info.name if session.client_info else None

    async with open_client(server, revision=revision, name="visitor") as client:
        told = (await client.call_tool("who")).text
        assert told == ("" if revision == LATEST.date else "visitor")


# -- composition and errors -------------------------------------------------------------------


async def test_combined_lifespans() -> None:
    diary = Diary()
    lifespan = combine_lifespans(*(diary.lifespan(name) for name in "abc"))
    server = Server("s", lifespan=lifespan)

    @server.tool
    async def values(ctx: Context[tuple[str, str, str]]) -> list[str]:
        return list(ctx.lifespan_context)

    async with open_client(server) as client:
        result = await client.call_tool("values")
        assert json.loads(result.text) == ["a", "b", "c"]
    assert diary.entries == ["+a", "+b", "+c", "-c", "-b", "-a"]


async def test_error_on_entering_ends_the_server() -> None:
    """With that error, and nothing half open."""
    diary = Diary()
    parts = [diary.lifespan("a"), diary.lifespan("b", entering="no database")]
    server = Server("s", lifespan=combine_lifespans(*parts))

    @server.on_startup
    async def started() -> None:
        diary.entries.append("started")

    with pytest.raises(ValueError, match="no database"):
        async with server.application(signals=False):
            raise AssertionError
    assert diary.entries == ["+a", "-a"]
    with pytest.raises(ValueError, match="no database"):
        await server.serve_tcp("127.0.0.1", 0)


async def test_error_on_leaving_is_reported() -> None:
    diary = Diary()
    server = Server("s", lifespan=diary.lifespan("a", leaving="not closed"))
    with pytest.raises(ValueError, match="not closed"):
        async with server.application(signals=False):
            pass


async def test_error_on_leaving_does_not_hide_the_first(caplog: pytest.LogCaptureFixture) -> None:
    diary = Diary()
    parts = [diary.lifespan("a", leaving="a not closed"), diary.lifespan("b", leaving="b not")]
    server = Server("s", lifespan=combine_lifespans(*parts))
    with pytest.raises(KeyError), caplog.at_level(logging.ERROR):
        async with server.application(signals=False):
            raise KeyError("the first")
    assert "a not closed" in caplog.text
    assert "b not" in caplog.text
    assert diary.entries == ["+a", "+b", "-b", "-a"]


async def test_error_on_leaving_a_cancelled_server_is_not_lost() -> None:
    diary = Diary()
    server = Server("s", lifespan=diary.lifespan("a", leaving="not closed"))

    async def serve() -> None:
        with trio.CancelScope() as scope:
            async with server.application(signals=False):
                scope.cancel()
                await trio.sleep_forever()

    with pytest.raises(ValueError, match="not closed"):
        await serve()


async def test_lifespan_may_end_the_server_by_its_own_scope() -> None:
    @asynccontextmanager
    async def lifespan(server: Server) -> AsyncIterator[trio.CancelScope]:
        with trio.CancelScope() as scope:
            yield scope

    server = Server("s", lifespan=lifespan)
    async with server.application(signals=False):
        server._application.value.cancel()  # type: ignore[union-attr]
        await trio.sleep_forever()
