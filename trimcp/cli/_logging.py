"""Logging to standard error, if requested."""

from __future__ import annotations

import logging

__all__ = ["log_as_server", "log_as_tool"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_as_server(verbosity: int) -> None:
    """Log warnings and errors, more with `-v`, unless the user's file has set up logging."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.basicConfig(format=_FORMAT, level=level)


def log_as_tool(verbosity: int) -> None:
    """Log only with `-v`; otherwise the result and the exit status are enough."""
    if verbosity:
        log_as_server(verbosity)
    else:
        logging.getLogger("trimcp").addHandler(logging.NullHandler())
