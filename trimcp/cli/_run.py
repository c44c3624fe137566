"""`trimcp run`: serve the server in a file."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import trio

from ._errors import CommandError, reason
from ._loading import load_server, split_object
from ._logging import log_as_server
from ._options import RELOADED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimcp.server import Server

    from ._handing import HandedOn
    from ._options import Address, Running

__all__ = ["run"]


def run(options: Running) -> int:
    """Serve until the end of input, a signal, or the server's own `shutdown()`.

    Raises:
        CommandError: There is no server, or it cannot be served.
    """
    if options.reload is not None:
        return _run_reloading(options, options.reload)
    given = _handed_on() if RELOADED in os.environ else None
    server = load_server(options.file)
    log_as_server(options.verbosity)
    if given is None:
        trio.run(_serve, server, options)
    else:
        trio.run(_serve_handed_on, server, options, given)
    return 0


def _handed_on() -> HandedOn:
    from ._handing import handed_on

    return handed_on()


def _run_reloading(options: Running, words: Sequence[str]) -> int:
    """Serve in one process after the other."""
    from ._reload import run_reloading

    path, _ = split_object(options.file)
    if not os.path.isfile(path):
        raise CommandError(f"no such file: {path}")
    where = options.tcp or options.http or options.ws or options.unix
    assert where is not None
    return run_reloading(path, [sys.executable, "-m", "trimcp", *words], where)


async def _serve_handed_on(server: Server[Any], options: Running, given: HandedOn) -> None:
    """Serve for the process that watches the files, on its sockets."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(given.follow_parent, server, nursery.cancel_scope)
        with given.used():
            await _serve(server, options)
        nursery.cancel_scope.cancel(reason="the server has ended")


async def _serve(server: Server[Any], options: Running) -> None:
    if options.tcp is not None:
        await _serve_tcp(server, options.tcp)
    elif options.unix is not None:
        await _serve_unix(server, options.unix)
    elif options.http is not None:
        await _serve_http(server, options.http, options.root_path)
    elif options.ws is not None:
        await _serve_websocket(server, options.ws)
    else:
        if sys.stdin is not None and sys.stdin.isatty():
            _say("serving on standard input and output; Ctrl-D or Ctrl-C ends it")
        await server.serve_stdio()


async def _serve_tcp(server: Server[Any], address: Address) -> None:
    status = _Listening(_tcp_name)
    try:
        await server.serve_tcp(*address, task_status=status)
    except OSError as error:
        raise status.explain(error, _tcp_name(address)) from error


async def _serve_unix(server: Server[Any], path: str) -> None:
    status = _Listening(_unix_name)
    try:
        await server.serve_unix(path, task_status=status)
    except OSError as error:
        raise status.explain(error, _unix_name(path)) from error


async def _serve_http(server: Server[Any], address: Address, root_path: str) -> None:
    status = _Listening(_endpoint)
    try:
        await server.serve_http(*address, root_path=root_path, task_status=status)
    except OSError as error:
        raise status.explain(error, _endpoint(f"http://{_authority(address)}")) from error


async def _serve_websocket(server: Server[Any], address: Address) -> None:
    status = _Listening(_websocket_name)
    try:
        await server.serve_websocket(*address, task_status=status)
    except OSError as error:
        raise status.explain(error, _websocket_name(address)) from error


class _Listening:
    """A task status that tells the user instead of a nursery."""

    def __init__(self, name: Callable[[Any], str]) -> None:
        self._name = name
        self._has_started = False

    def started(self, value: Any = None) -> None:
        self._has_started = True
        for each in [value] if isinstance(value, str) else value:
            _say(f"listening on {self._name(each)}")

    def explain(self, error: OSError, name: str) -> Exception:
        return error if self._has_started else CommandError(f"cannot serve {name}: {reason(error)}")


def _endpoint(url: str) -> str:
    return f"{url}/mcp"


def _tcp_name(address: Address) -> str:
    return f"tcp://{_authority(address)}"


def _unix_name(path: str) -> str:
    return f"unix:{path}"


def _websocket_name(address: Address) -> str:
    return f"ws://{_authority(address)}/ws"


def _authority(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _say(text: str) -> None:
    # Whoever runs a server in the background may have closed it.
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
