"""`Server.run`: one synchronous call that starts Trio and serves."""

from __future__ import annotations

import functools
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

import trio

from trimcp._groups import unwrapping

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from typing_extensions import Unpack

    from ._http_options import HttpOptions

__all__ = ["loading", "run"]

#: Where `http` listens by default.
_HOST: Final = "127.0.0.1"
_PORT: Final = 8000

#: How other frameworks call these transports.
_OTHER_NAMES: Final = {"streamable-http": "http", "streamable_http": "http", "sse": "http"}


#: Whether the file of a server is being loaded by the command, which then serves it.
_IS_LOADING: Final[ContextVar[bool]] = ContextVar("trimcp_is_loading", default=False)


@contextmanager
def loading() -> Iterator[None]:
    """Refuse `run` while the block loads the file of a server."""
    token = _IS_LOADING.set(True)
    try:
        yield
    finally:
        _IS_LOADING.reset(token)


class _Server(Protocol):
    """What is needed of the server."""

    async def serve_stdio(self) -> None: ...

    async def serve_http(
        self,
        host: str,
        port: int,
        *,
        task_status: trio.TaskStatus[list[str]],
        **options: Unpack[HttpOptions],
    ) -> None: ...


def run(
    server: _Server, transport: str, host: str | None, port: int | None, options: HttpOptions
) -> None:
    """Serve until the end; see `Server.run`."""
    if _IS_LOADING.get():
        raise RuntimeError(
            "server.run() is called while the file is loaded, before the command can serve it: "
            "put it under `if __name__ == '__main__':`"
        )
    serve = _door(server, transport, host, port, options)
    _check_free(transport)
    try:
        with unwrapping():
            trio.run(serve)
    except KeyboardInterrupt:
        # While the server serves, it shuts down at SIGINT. Before and after, this is the end.
        pass
    except BaseExceptionGroup as group:
        _, others = group.split(KeyboardInterrupt)
        if others is not None:
            raise


def _door(
    server: _Server, transport: str, host: str | None, port: int | None, options: HttpOptions
) -> Callable[[], Awaitable[None]]:
    """What Trio has to run. Raises ValueError."""
    if transport == "http":
        return functools.partial(
            server.serve_http,
            _HOST if host is None else host,
            _PORT if port is None else port,
            task_status=_Listening(),
            **options,
        )
    if transport != "stdio":
        advice = _OTHER_NAMES.get(transport)
        hint = f": write {advice!r}, which serves all clients over HTTP" if advice else ""
        raise ValueError(f"transport is 'stdio' or 'http', not {transport!r}{hint}")
    if host is not None or port is not None or options:
        raise ValueError("host, port and options of HTTP are for run('http'), not for 'stdio'")
    return server.serve_stdio


def _check_free(transport: str) -> None:
    """Raise RuntimeError if an event loop runs in this thread."""
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "server.run() starts Trio, which already runs here: "
            f"write `await server.serve_{transport}(…)` instead"
        )
    if _asyncio_runs():
        raise RuntimeError(
            "server.run() starts Trio, and cannot do so inside of asyncio, which runs here: call "
            "server.run() from synchronous code, without asyncio.run()"
        )


def _asyncio_runs() -> bool:
    # Not imported here: whoever runs it has imported it.
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Listening:
    """A task status that tells the user where the server listens, on standard error."""

    def started(self, value: list[str] | None = None) -> None:
        # There may be no standard error, for example in the background.
        if sys.stderr is not None:
            for url in value or []:
                sys.stderr.write(f"listening on {url}/mcp\n")
            sys.stderr.flush()
