"""What the pytest fixtures do, without pytest."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

import trio

from trimcp._groups import unwrapping
from trimcp.client import Client, ClientOptions, open_memory_client
from trimcp.errors import NotServing

from ._raw import RawPeer, open_raw_peer

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator

    from trimcp.limits import Limits

    from ._stand_in import Served
    from ._transcript import Transcript

__all__ = ["GoldenCheck", "Keeper", "OpenMcpClient", "OpenRawPeer", "open_keeper"]

T = TypeVar("T")


class OpenMcpClient(Protocol):
    """The type of the fixture `mcp_client`."""

    async def __call__(self, server: Served, **options: Unpack[ClientOptions]) -> Client:
        """Connect to a server in memory; the client is closed after the test."""


class OpenRawPeer(Protocol):
    """The type of the fixture `raw_peer`."""

    async def __call__(self, server: Served, *, limits: Limits | None = None) -> RawPeer:
        """Connect to a server in memory without a client; it is closed after the test."""


class GoldenCheck(Protocol):
    """The type of the fixture `golden`."""

    def __call__(self, transcript: Transcript, path: str | os.PathLike[str] = ...) -> None:
        """Compare a transcript with a file, or rewrite the file with `--trimcp-update-golden`."""


class Keeper:
    """Keeps context managers open in separate tasks, and closes the last one first.

    So they may be opened in one task (the test) and closed from another (the fixture).
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._kept: list[tuple[trio.Event, trio.Event]] = []

    async def client(self, server: Served, **options: Unpack[ClientOptions]) -> Client:
        """See `OpenMcpClient`."""
        await self._serve(server)
        return await self._keep(open_memory_client(server, **options))

    async def raw_peer(self, server: Served, *, limits: Limits | None = None) -> RawPeer:
        """See `OpenRawPeer`."""
        await self._serve(server)
        return await self._keep(open_raw_peer(server, limits=limits))

    async def close(self) -> None:
        """Close everything, one after another."""
        while self._kept:
            leaving, left = self._kept.pop()
            leaving.set()
            await left.wait()

    async def _serve(self, server: Served) -> None:
        """Open the server's application, so that several clients can join it."""
        try:
            await self._keep(server.application(signals=False))
        except NotServing:
            # It is already open: for an earlier client, or because the test has opened it.
            return

    async def _keep(self, manager: AbstractAsyncContextManager[T]) -> T:
        leaving, left = trio.Event(), trio.Event()
        value: T = await self._nursery.start(_hold, manager, leaving, left)
        self._kept.append((leaving, left))
        return value


async def _hold(
    manager: AbstractAsyncContextManager[Any],
    leaving: trio.Event,
    left: trio.Event,
    *,
    task_status: trio.TaskStatus[Any],
) -> None:
    try:
        async with manager as value:
            task_status.started(value)
            await leaving.wait()
    finally:
        left.set()


@asynccontextmanager
async def open_keeper() -> AsyncIterator[Keeper]:
    """Yield a `Keeper` and close all that it keeps. Raises the errors of what it keeps."""
    with unwrapping():
        async with trio.open_nursery() as nursery:
            keeper = Keeper(nursery)
            yield keeper
            await keeper.close()
