"""The entry point of the command, and its exit statuses."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Final

from trimcp._groups import unwrapping

from ._arguments import parse
from ._errors import INTERRUPTED, CommandError, UsageError, explain
from ._logging import say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._options import Command

__all__ = ["main"]

FAILED: Final = 1
WRONG_USAGE: Final = 2
#: The exit status that a shell reports for a program ended by SIGPIPE.
NOBODY_READS: Final = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The words after `trimcp`; by default those of the process.

    Returns:
        The exit status: 0; 1 if something failed; 2 if the command line is wrong; 130 after Ctrl-C;
            141 if the reader of the output is gone.

    Raises:
        SystemExit: Help was requested, or the command line is wrong.
    """
    try:
        # This loads the command, which takes a while.
        command = parse(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    if not command.has_result:
        return _attempt(command)
    from ._screen import screened
    from ._streams import open_missing

    # Control characters from the server must not reach the terminal.
    with open_missing() as missing, screened(command.colours):
        return _attempt(command, has_output="stdout" not in missing)


def _attempt(command: Command, *, has_output: bool = True) -> int:
    """Run the command and return its exit status, also after errors."""
    try:
        if not has_output:
            raise CommandError(
                "standard output is closed: send it to /dev/null if the result is not wanted"
            )
        with unwrapping():
            status = command.run()
            if sys.stdout is not None:
                sys.stdout.flush()
            return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_output()
        return NOBODY_READS
    except Exception as error:
        return _report(error, command)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        return INTERRUPTED


def _report(error: Exception, command: Command) -> int:
    try:
        if command.log_format == "json":
            say(explain(error), "json", level=logging.ERROR)
            return WRONG_USAGE if isinstance(error, UsageError) else FAILED
        if command.verbosity:
            import traceback

            traceback.print_exception(error)
        if sys.stderr is not None:
            # Loaded late, as it is for the screen: `run` needs it only for errors.
            from ._screen import paint

            paint(sys.stderr, [("trimcp:", "error"), (f" {explain(error)}\n", None)])
            if isinstance(error, CommandError) and error.beneath:
                sys.stderr.write(f"{error.beneath}\n")
    except OSError:
        # Standard error cannot be written either.
        pass
    _abandon_output()
    return WRONG_USAGE if isinstance(error, UsageError) else FAILED


def _abandon_output() -> None:
    """Discard buffered output; otherwise the interpreter would report an error at exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
