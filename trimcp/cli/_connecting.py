"""From a TARGET to a client."""

from __future__ import annotations

import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from trimcp.client import client_for
from trimcp.errors import MCPError, ProcessDied

from ._errors import CommandError, UsageError, explain, reason
from ._loading import split_object
from ._peer_logs import log_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trimcp.client import Client, ClientOptions

    from ._options import Connecting

__all__ = ["connected"]

#: Seconds after which a silent server is taken for one of the handshake era.
_PROBE_SECONDS = 10.0


@asynccontextmanager
async def connected(
    options: Connecting, answers: ClientOptions | None = None
) -> AsyncIterator[Client]:
    """Connect to the server that the options name.

    Args:
        options: What the command line says.
        answers: The client's options that answer the server's questions.

    Raises:
        UsageError: The target or the revision cannot be understood.
        CommandError: The server cannot be started or reached.
        MCPError: It did not answer as it must.
    """
    try:
        client = client_for(_reachable(options.target), **_client_options(options, answers or {}))
    except ValueError as error:
        raise UsageError(str(error)) from error
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(client.opened())
        except ProcessDied as error:
            raise _with_hint(error, options.target) from error
        except OSError as error:
            # A deadline's error is an OSError too.
            if isinstance(error, MCPError):
                raise
            raise CommandError(f"cannot reach {_name(options.target)}: {reason(error)}") from error
        yield client


def _client_options(options: Connecting, answers: ClientOptions) -> ClientOptions:
    return {
        **answers,
        **log_options(options.verbosity),
        "revision": options.revision,
        "timeout": options.timeout,
        "probe_timeout": min(_PROBE_SECONDS, options.timeout),
    }


def _reachable(target: str | list[str]) -> str | list[str]:
    """The target as the client understands it."""
    if isinstance(target, list) or "://" in target or target.startswith("unix:"):
        return target
    file, name = split_object(target)
    if not os.path.isfile(file):
        raise _not_there(file)
    if name is not None:
        return [sys.executable, "-m", "trimcp", "run", target]
    return [sys.executable, file]


def _not_there(target: str) -> Exception:
    if target.endswith(".py"):
        return CommandError(f"no such file: {target}")
    return UsageError(
        f"cannot tell how to reach {target!r}: give FILE.py, FILE.py:OBJECT, http://HOST/PATH, "
        "ws://HOST:PORT/PATH, tcp://HOST:PORT or unix:PATH, or the server's command after --"
    )


def _with_hint(error: ProcessDied, target: str | list[str]) -> Exception:
    """A file that ends in peace has probably not been written to serve itself."""
    if isinstance(target, list) or error.returncode or ":" in target:
        return error
    return CommandError(
        f"{explain(error)} (a file that does not serve itself when run is served by "
        f"`trimcp run`: write {target}:OBJECT)"
    )


def _name(target: str | list[str]) -> str:
    return target if isinstance(target, str) else target[0]
