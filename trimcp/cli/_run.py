"""`trimcp run`: serve the server in a file."""

from __future__ import annotations

import argparse
import math
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.protocol import LOOPBACK, WILDCARDS, callers_of

from ._errors import CommandError, reason
from ._loading import load_server, split_object
from ._logging import FORMATS, log_as_server, say
from ._options import RELOADED, Address, Command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trimcp.server import Server

    from ._handing import HandedOn
    from ._logging import LogFormat

__all__ = ["Running", "authority", "read_address"]

_THIS_MACHINE: Final = "127.0.0.1"

#: Seconds after which a task that blocks the server is named, while it is being developed.
_BLOCKED_SECONDS: Final = 1.0


@attrs.frozen(kw_only=True)
class Running(Command):
    """`trimcp run`.

    Attributes:
        file: `FILE` or `FILE:OBJECT`, as given.
        tcp: The address to listen on, or None.
        unix: The path of the socket to make, or None.
        http: The address to listen on for HTTP, or None.
        ws: The address to listen on for WebSockets, or None. Without any address: standard input
            and output.
        root_path: The prefix that a proxy in front of `http` strips, or "".
        allowed_hosts: Further host names under which it may be called over HTTP or WebSocket.
        allowed_origins: The web pages that may call it there; empty for pages from its own names.
        reload: The words of the same command without `--reload`, to run it again whenever a Python
            file changes; None without that option.
        verbosity: How many `-v` were given.
        log_format: The form of what is written to standard error; None keeps what the file sets up.
    """

    file: str
    tcp: Address | None
    unix: str | None
    http: Address | None = None
    ws: Address | None = None
    root_path: str = ""
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    reload: tuple[str, ...] | None = None
    verbosity: int
    log_format: LogFormat | None = None

    has_result = False

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = (
            "trimcp run [--stdio | --http HOST:PORT | --ws HOST:PORT | --tcp HOST:PORT | "
            "--unix PATH] "
            "[--allowed-host NAME] [--allowed-origin ORIGIN] [--root-path PATH] [--reload] "
            "[--log-format FORMAT] [-v] FILE[:OBJECT]"
        )
        parser.description = (
            "Serve the Server in a Python file, until the end of input, SIGINT or SIGTERM."
        )
        parser.epilog = (
            "PORT or :PORT in place of HOST:PORT listens at 127.0.0.1, for this machine only.\n"
            "Without OBJECT, the only Server among the file's global names is served. The file "
            "is loaded like a module: its `if __name__ == '__main__'` part does not run."
        )
        doors = parser.add_mutually_exclusive_group()
        doors.add_argument(
            "--stdio", action="store_true", help="standard input and output (default)"
        )
        doors.add_argument(
            "--http",
            type=read_address,
            metavar="HOST:PORT",
            help="listen for HTTP, without authentication unless the server has `auth=`: "
            "Streamable HTTP at the path /mcp, and all that `Server.asgi_app()` has",
        )
        doors.add_argument(
            "--tcp",
            type=read_address,
            metavar="HOST:PORT",
            help="listen on TCP, without authentication; port 0 lets the system choose",
        )
        doors.add_argument("--unix", metavar="PATH", help="listen on a Unix socket of this user")
        doors.add_argument(
            "--ws",
            type=read_address,
            metavar="HOST:PORT",
            help="listen for WebSockets at the path /ws, without authentication unless the server "
            "has `auth=`",
        )
        Running.add_access(parser)
        parser.add_argument(
            "--reload",
            action="store_true",
            help="serve in a new process whenever a Python file in FILE's directory or below "
            "changes; not with --stdio, since the client would lose its server",
        )
        Running.add_log_format(parser)

    @staticmethod
    def add_log_format(parser: argparse.ArgumentParser) -> None:
        """Add the option about the form of the log."""
        parser.add_argument(
            "--log-format",
            choices=FORMATS,
            help="the form of what is written to standard error: text, or one JSON object on each "
            "line; it replaces the logging that the file sets up",
        )

    @staticmethod
    def add_access(parser: argparse.ArgumentParser) -> None:
        """Add the options about callers of a server over HTTP or WebSocket."""
        parser.add_argument(
            "--allowed-host",
            action="append",
            default=[],
            metavar="NAME",
            help="with --http or --ws: a host name under which clients call the server, such as "
            "mcp.example.com, *.example.com or * for any, in addition to localhost and the address "
            "listened on; may be repeated",
        )
        parser.add_argument(
            "--allowed-origin",
            action="append",
            default=[],
            metavar="ORIGIN",
            help="with --http or --ws: web pages that may call the server, such as "
            "https://app.example.com or * for any, instead of those from its own names; may be "
            "repeated",
        )
        parser.add_argument(
            "--root-path",
            default="",
            metavar="PATH",
            help="with --http: the prefix, such as /tools, that a proxy strips from the path",
        )

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Running:
        if command is not None:
            raise ValueError("run takes a Python file, not a command after --")
        if len(found.words) != 1:
            raise ValueError("give one FILE or FILE:OBJECT")
        if found.reload and not (found.http or found.tcp or found.unix or found.ws):
            raise ValueError(
                "--reload needs an address: on standard input the client would be lost"
            )
        if (found.allowed_host or found.allowed_origin) and not (found.http or found.ws):
            raise ValueError("--allowed-host and --allowed-origin are for --http and --ws")
        callers_of([], found.allowed_host, found.allowed_origin)  # refuses invalid names
        if found.root_path and not found.http:
            raise ValueError("--root-path is for --http: only there is a path that a proxy strips")
        if found.root_path and not found.root_path.startswith("/"):
            raise ValueError("--root-path begins with a slash, such as /tools")
        again = tuple(word for word in found.given if word != "--reload")
        return cls(
            file=found.words[0],
            tcp=found.tcp,
            unix=found.unix,
            http=found.http,
            ws=found.ws,
            root_path=found.root_path,
            allowed_hosts=tuple(found.allowed_host),
            allowed_origins=tuple(found.allowed_origin),
            reload=again if found.reload else None,
            verbosity=found.verbosity + found.verbosity_before,
            log_format=found.log_format,
        )

    def say(self, text: str) -> None:
        """Write a line of the command itself to standard error."""
        say(text, self.log_format)

    def run(self) -> int:
        """Serve until the end of input, a signal, or the server's own `shutdown()`.

        Raises:
            CommandError: There is no server, or it cannot be served.
        """
        if self.reload is not None:
            return _run_reloading(self, self.reload)
        given = _handed_on() if RELOADED in os.environ else None
        server = load_server(self.file)
        log_as_server(self.verbosity, self.log_format)
        if given is None:
            trio.run(_serve, server, self)
        else:
            trio.run(_serve_handed_on, server, self, given)
        return 0


def read_address(text: str) -> Address:
    """`HOST:PORT`, or `PORT` or `:PORT` for this machine only."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if "/" in host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"not HOST:PORT: {text!r}")
    return host or _THIS_MACHINE, int(port)


def _handed_on() -> HandedOn:
    from ._handing import handed_on

    return handed_on()


def _run_reloading(options: Running, words: Sequence[str]) -> int:
    """Serve in a child process, and in a new one whenever a file changes."""
    from ._reload import run_reloading

    path, _ = split_object(options.file)
    if not os.path.isfile(path):
        raise CommandError(f"no such file: {path}")
    where = options.tcp or options.http or options.ws or options.unix
    assert where is not None
    again = [sys.executable, "-m", "trimcp", *words]
    return run_reloading(path, again, where, options.say)


async def _serve_handed_on(server: Server[Any], options: Running, given: HandedOn) -> None:
    """Serve for the process that watches the files, on its sockets."""
    if server.limits.blocked_seconds == math.inf:
        server.limits = attrs.evolve(server.limits, blocked_seconds=_BLOCKED_SECONDS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(given.follow_parent, server, nursery.cancel_scope)
        with given.used():
            await _serve(server, options)
        nursery.cancel_scope.cancel(reason="the server has ended")


async def _serve(server: Server[Any], options: Running) -> None:
    if options.tcp is not None:
        await _serve_tcp(server, options.tcp, options)
    elif options.unix is not None:
        await _serve_unix(server, options.unix, options)
    elif options.http is not None:
        await _serve_http(server, options.http, options)
    elif options.ws is not None:
        await _serve_websocket(server, options.ws, options)
    else:
        if sys.stdin is not None and sys.stdin.isatty():
            options.say("serving on standard input and output; Ctrl-D or Ctrl-C ends it")
        await server.serve_stdio()


async def _serve_tcp(server: Server[Any], address: Address, options: Running) -> None:
    status = _Listening(options.say, _tcp_name)
    try:
        await server.serve_tcp(*address, task_status=status)
    except OSError as error:
        raise status.explain(error, _tcp_name(address)) from error


async def _serve_unix(server: Server[Any], path: str, options: Running) -> None:
    status = _Listening(options.say, _unix_name)
    try:
        await server.serve_unix(path, task_status=status)
    except OSError as error:
        raise status.explain(error, _unix_name(path)) from error


async def _serve_http(server: Server[Any], address: Address, options: Running) -> None:
    status = _Listening(options.say, _endpoint, _advice(address, options))
    access = _access(address, options)
    try:
        await server.serve_http(*address, root_path=options.root_path, task_status=status, **access)
    except OSError as error:
        raise status.explain(error, _endpoint(f"http://{authority(address)}")) from error


async def _serve_websocket(server: Server[Any], address: Address, options: Running) -> None:
    status = _Listening(options.say, _websocket_name, _advice(address, options))
    access = _access(address, options)
    try:
        await server.serve_websocket(*address, task_status=status, **access)
    except OSError as error:
        raise status.explain(error, _websocket_name(address)) from error


def _access(address: Address, options: Running) -> dict[str, Any]:
    """The options for who may call the server. Raises CommandError."""
    access: dict[str, Any] = {}
    if options.allowed_hosts:
        access["allowed_hosts"] = {*LOOPBACK, address[0], *options.allowed_hosts} - WILDCARDS
    if options.allowed_origins:
        access["allowed_origins"] = options.allowed_origins
    return access


def _advice(address: Address, options: Running) -> str | None:
    """Advice for a server that listens on all addresses, and so has no host name."""
    if address[0] not in WILDCARDS or options.allowed_hosts:
        return None
    return "only requests to localhost are answered: say its other names with --allowed-host NAME"


class _Listening:
    """A task status that reports to the user instead of a nursery."""

    def __init__(
        self, say: Callable[[str], None], name: Callable[[Any], str], advice: str | None = None
    ) -> None:
        self._say = say
        self._name = name
        self._advice = advice
        self._has_started = False

    def started(self, value: Any = None) -> None:
        self._has_started = True
        for each in [value] if isinstance(value, str) else value:
            self._say(f"listening on {self._name(each)}")
        if self._advice is not None:
            self._say(self._advice)

    def explain(self, error: OSError, name: str) -> Exception:
        return error if self._has_started else CommandError(f"cannot serve {name}: {reason(error)}")


def _endpoint(url: str) -> str:
    return f"{url}/mcp"


def _tcp_name(address: Address) -> str:
    return f"tcp://{authority(address)}"


def _unix_name(path: str) -> str:
    return f"unix:{path}"


def _websocket_name(address: Address) -> str:
    return f"ws://{authority(address)}/ws"


def authority(where: Address) -> str:
    """An address as it stands in a URL."""
    host, port = where
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
