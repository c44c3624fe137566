"""Logging to standard error, if requested, and what the command itself says there."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Final, Literal, TypeAlias

__all__ = ["FORMATS", "LogFormat", "log_as_server", "log_as_tool", "say"]

LogFormat: TypeAlias = Literal["text", "json"]
FORMATS: Final[tuple[LogFormat, ...]] = ("text", "json")

_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"

#: What every record has; everything else was added by who logged it.
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

#: The name under which the command itself speaks in a log of JSON.
_OURS: Final = "trimcp.cli"


class _JSONFormatter(logging.Formatter):
    """Each record as one JSON object on one line, with what was given as `extra=`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _USUAL}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=str)


def log_as_server(verbosity: int, form: LogFormat | None = None) -> None:
    """Log warnings and errors, more with `-v`.

    Args:
        verbosity: How many `-v` were given.
        form: The form of the lines; without one, logging that the user's file has set up stays.
    """
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    logging.basicConfig(format=_FORMAT, level=level, force=form is not None)
    if form == "json":
        for handler in logging.getLogger().handlers:
            handler.setFormatter(_JSONFormatter())


def log_as_tool(verbosity: int) -> None:
    """Log only with `-v`; otherwise the result and the exit status are enough."""
    if verbosity:
        log_as_server(verbosity)
    else:
        logging.getLogger("trimcp").addHandler(logging.NullHandler())


def say(text: str, form: LogFormat | None = None) -> None:
    """Write a line of the command itself to standard error; it may be closed, in the background."""
    if sys.stderr is None:
        return
    if form == "json":
        record = logging.LogRecord(_OURS, logging.INFO, "", 0, text, None, None)
        text = _JSONFormatter().format(record)
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
