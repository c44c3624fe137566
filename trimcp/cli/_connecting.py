"""Connecting a client by a command's options."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from trimcp.client import client_for
from trimcp.errors import HTTPStatusError, MCPError, ProcessDied, RequestError

from ._errors import CommandError, UsageError, explain, reason
from ._interrupts import Interrupts
from ._logins import identity_options
from ._peer_logs import ask_for_logs, log_options
from ._targets import reachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trimcp.client import Client, ClientOptions

    from ._options import Connecting

__all__ = ["connected"]

#: Seconds after which a silent server is assumed to be of the handshake era.
_PROBE_SECONDS = 10.0

#: The status of a request that lacks a good access token.
_UNAUTHORIZED = 401


@asynccontextmanager
async def connected(
    options: Connecting,
    answers: ClientOptions | None = None,
    on_stderr: Callable[[str], None] | None = None,
) -> AsyncIterator[Client]:
    """Connect to the server that the options name.

    Args:
        options: The options of the command.
        answers: The client's options that answer the server's questions.
        on_stderr: Called with each line that the server's process writes to standard error, if the
            command starts one; by default they are logged.

    Raises:
        UsageError: The target or the revision cannot be understood.
        CommandError: The server cannot be started or reached.
        MCPError: It did not answer as it must.
        KeyboardInterrupt: Ctrl-C; the work with the client is cancelled.
    """
    try:
        target, given = reachable(options.target), _client_options(options, answers or {})
        client = client_for(target, on_stderr=on_stderr, **given)
    except ValueError as error:
        raise UsageError(str(error)) from error
    interrupts = Interrupts(client.kill_server)
    with interrupts.watched():
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(client.opened())
            except ProcessDied as error:
                raise _with_hint(error, options.target) from error
            except (RequestError, HTTPStatusError) as error:
                raise _with_login(error, options) from error
            except OSError as error:
                # A deadline's error is an OSError too.
                if isinstance(error, MCPError):
                    raise
                name = _name(options.target)
                raise CommandError(f"cannot reach {name}: {reason(error)}") from error
            with interrupts.working():
                await ask_for_logs(client, options.verbosity)
                yield client


def _client_options(options: Connecting, answers: ClientOptions) -> ClientOptions:
    return {
        **identity_options(options),
        **answers,
        **log_options(options.verbosity),
        "revision": options.revision,
        "timeout": options.timeout,
        "probe_timeout": min(_PROBE_SECONDS, options.timeout),
    }


def _with_hint(error: ProcessDied, target: str | list[str]) -> Exception:
    """Add advice to the error: a file that ends with status 0 probably does not serve by itself."""
    if any("was never awaited" in line for line in error.stderr):
        error.__notes__ = ["a file ends with `trio.run(server.serve_stdio)` or `server.run()`"]
        return error
    if isinstance(target, list) or error.returncode or ":" in target:
        return error
    error.__notes__ = [
        f"a file that does not serve itself when run is served by `trimcp run`: write "
        f"{target}:OBJECT"
    ]
    return error


def _with_login(error: RequestError | HTTPStatusError, options: Connecting) -> Exception:
    """Add advice to the error of a server that wants to know who calls."""
    status = error.status if isinstance(error, HTTPStatusError) else error.http_status
    if status != _UNAUTHORIZED or options.machine is not None:
        return error
    name = _name(options.target)
    return CommandError(
        f"{explain(error)}; log in with `trimcp login {name}`, or give --token-env or --auth"
    )


def _name(target: str | list[str]) -> str:
    return target if isinstance(target, str) else target[0]
