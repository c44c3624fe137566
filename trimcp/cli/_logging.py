"""Logs go to standard error, if they are wanted."""

from __future__ import annotations

import logging

__all__ = ["log_as_server", "log_as_tool"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_as_server(verbosity: int) -> None:
    """What goes wrong is logged in any case, unless the user's file has arranged it itself."""
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.basicConfig(format=_FORMAT, level=level)


def log_as_tool(verbosity: int) -> None:
    """Without `-v` a command says what it has to say by its result and its status."""
    if verbosity:
        log_as_server(verbosity)
    else:
        logging.getLogger("trimcp").addHandler(logging.NullHandler())
