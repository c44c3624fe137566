"""`trimcp dev`: serve a file again after each change, with the Inspector beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from shutil import which
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.protocol import WILDCARDS

from ._errors import CommandError, reason
from ._loading import split_object
from ._logging import say
from ._options import Address, Command
from ._reload import run_reloading
from ._run import Running, authority, read_address

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ._logging import LogFormat

__all__ = ["Developing"]

#: What npx runs. Its options are those of this major version.
_INSPECTOR: Final = "@modelcontextprotocol/inspector@2"

#: Seconds for the Inspector to end, before it is killed.
_GRACE: Final = 3.0

_DEFAULT: Final = ("127.0.0.1", 8000)


@attrs.frozen(kw_only=True)
class Developing(Command):
    """`trimcp dev`.

    Attributes:
        file: `FILE` or `FILE:OBJECT`, as given.
        where: The address to listen on for HTTP.
        inspector: Whether the Inspector is opened.
        verbosity: How many `-v` were given.
        log_format: See `Running`.
    """

    file: str
    where: Address
    inspector: bool
    verbosity: int
    log_format: LogFormat | None

    has_result = False

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = (
            "trimcp dev [--http HOST:PORT] [--no-inspector] [--log-format FORMAT] [-v] "
            "FILE[:OBJECT]"
        )
        parser.description = (
            "Serve the Server in a Python file over HTTP, in a new process whenever a Python file\n"
            "in its directory or below changes, and open the MCP Inspector on it, a web page in\n"
            "which you can try the server. The Inspector needs npx, which comes with Node.js."
        )
        parser.add_argument(
            "--http",
            type=read_address,
            default=_DEFAULT,
            metavar="HOST:PORT",
            help="where to listen (default: 127.0.0.1:8000)",
        )
        parser.add_argument("--no-inspector", action="store_true", help="do not open the Inspector")
        Running.add_log_format(parser)

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Developing:
        if command is not None or len(found.words) != 1:
            raise ValueError("give one FILE or FILE:OBJECT")
        return cls(
            file=found.words[0],
            where=found.http,
            inspector=not found.no_inspector,
            verbosity=found.verbosity + found.verbosity_before,
            log_format=found.log_format,
        )

    def run(self) -> int:
        """Serve until a signal comes.

        Raises:
            CommandError: There is no such file, or the address cannot be bound.
        """
        path, _ = split_object(self.file)
        if not os.path.isfile(path):
            raise CommandError(f"no such file: {path}")
        options = ["-v"] * self.verbosity
        if self.log_format is not None:
            options += ["--log-format", self.log_format]
        words = ["run", *options, "--http", authority(self.where), self.file]
        tell = partial(say, form=self.log_format)
        npx = which("npx") if self.inspector else None
        if self.inspector and npx is None:
            tell(
                "the Inspector is not opened: npx is not here; it comes with Node.js "
                "(https://nodejs.org). Any other client can connect."
            )
        beside = None if npx is None else partial(_inspect, npx, tell)
        again = [sys.executable, "-m", "trimcp", *words]
        return run_reloading(path, again, self.where, tell, beside)


async def _inspect(npx: str, tell: Callable[[str], None], where: Address) -> None:
    """Run the Inspector on the server at an address until it ends, or this is cancelled."""
    host, port = where
    # A server that listens on all addresses answers to this name only.
    url = f"http://{authority(('localhost' if host in WILDCARDS else host, port))}/mcp"
    command = [npx, "--yes", _INSPECTOR, "--transport", "http", "--server-url", url]
    tell(f"opening the Inspector: {' '.join(command)}")
    try:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
        )
    except OSError as error:
        tell(f"the Inspector cannot be started: {reason(error)}")
        return
    try:
        await process.wait()
        tell(f"the Inspector has ended with status {process.returncode}; the server goes on")
    finally:
        with trio.CancelScope(shield=True, relative_deadline=2 * _GRACE):
            await _end(process)


async def _end(process: trio.Process) -> None:
    """End a process with those that it has started, which npx does not do."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGTERM)
        with trio.move_on_after(_GRACE):
            await process.wait()
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
