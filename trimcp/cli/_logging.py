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
            "message": _message_of(record),
        }
        for key, value in vars(record).items():
            if key not in _USUAL:
                line[f"extra_{key}" if key in line else key] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        try:
            return json.dumps(line, default=str, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            # A NaN, a cycle, keys of another kind: all of it as text is better than nothing.
            return json.dumps({key: str(value) for key, value in line.items()})


def _message_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        # Its arguments do not fit; `logging` would write pages about it, which are no JSON.
        return f"{record.msg} {record.args!r} ({type(error).__name__}: {error})"


class _TextFormatter(logging.Formatter):
    """Lines of text; a terminal gets no control characters, which may come from a client."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if sys.stderr is None or not sys.stderr.isatty():
            return text
        # Loaded late: only a terminal needs it.
        from ._screen import visible

        return visible(text)


def log_as_server(verbosity: int, form: LogFormat | None = None) -> None:
    """Log warnings and errors, more with `-v`.

    Args:
        verbosity: How many `-v` were given.
        form: The form of the lines; without one, logging that the user's file has set up stays.
    """
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(_JSONFormatter() if form == "json" else _TextFormatter(_FORMAT))
    logging.basicConfig(handlers=[handler], level=level, force=form is not None)
    if form == "json":
        logging.captureWarnings(True)


def log_as_tool(verbosity: int) -> None:
    """Log only with `-v`; otherwise the result and the exit status are enough."""
    if verbosity:
        log_as_server(verbosity)
    else:
        logging.getLogger("trimcp").addHandler(logging.NullHandler())


def say(text: str, form: LogFormat | None = None, *, level: int = logging.INFO) -> None:
    """Write a line of the command itself to standard error; it may be closed, in the background."""
    if sys.stderr is None:
        return
    if form == "json":
        record = logging.LogRecord(_OURS, level, "", 0, text, None, None)
        text = _JSONFormatter().format(record)
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
