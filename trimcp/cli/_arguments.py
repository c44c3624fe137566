"""The grammar of the command line.

::

    trimcp run  [options] FILE[:OBJECT]
    trimcp list [options] TARGET
    trimcp list [options] -- COMMAND [ARGUMENT…]
    trimcp call [options] TARGET TOOL [KEY=VALUE | KEY:=JSON]…
    trimcp call [options] TOOL [KEY=VALUE | KEY:=JSON]… -- COMMAND [ARGUMENT…]

The first bare `--` ends the command's own words: everything after it is the command that starts
the server, and then there is no TARGET. Options may stand anywhere before it.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Address", "Argument", "Calling", "Connecting", "Output", "Running", "parse"]

Output: TypeAlias = Literal["text", "json"]
Address: TypeAlias = tuple[str, int]


@attrs.frozen(kw_only=True)
class Running:
    """`trimcp run`.

    Attributes:
        file: `FILE` or `FILE:OBJECT`, as written.
        tcp: Where to listen, or None.
        unix: The socket to make, or None. Without both: standard input and output.
        verbosity: How many `-v` were given.
    """

    file: str
    tcp: Address | None
    unix: str | None
    verbosity: int


@attrs.frozen(kw_only=True)
class Connecting:
    """`trimcp list`, and what every command needs that connects to a server.

    Attributes:
        target: A file or address, or a command with its arguments.
        timeout: Seconds to wait for an answer.
        revision: The protocol revision to speak; None for the newest that both know.
        output: The form of the result; None lets standard output decide.
        verbosity: How many `-v` were given.
    """

    target: str | list[str]
    timeout: float
    revision: str | None
    output: Output | None
    verbosity: int


@attrs.frozen
class Argument:
    """`KEY=VALUE`, or `KEY:=JSON`."""

    key: str
    text: str
    is_json: bool


@attrs.frozen(kw_only=True)
class Calling(Connecting):
    """`trimcp call`.

    Attributes:
        tool: The tool's name.
        arguments: As written on the command line.
        json: What `--json` gave.
    """

    tool: str
    arguments: list[Argument]
    json: dict[str, Any]


def parse(words: list[str]) -> Running | Connecting:
    """Understand the command line.

    Raises:
        SystemExit: Help was asked for (status 0), or the words make no sense (status 2).
    """
    words, command = _split(words)
    found, rest = _parser().parse_known_args(words)
    parser: argparse.ArgumentParser = found.parser
    if unknown := [word for word in rest if word.startswith("-")]:
        parser.error(f"unknown option: {unknown[0]}")
    # argparse gives back the words that stand behind an option.
    found.words += rest
    try:
        return _OPTIONS[found.command](found, command)
    except ValueError as error:
        parser.error(str(error))


def _split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """What stands before the first bare `--`, and the command after it, if any."""
    if "--" not in words:
        return words, None
    end = words.index("--")
    return words[:end], words[end + 1 :]


# -- what the words mean ----------------------------------------------------------------------


def _running(found: argparse.Namespace, command: list[str] | None) -> Running:
    if command is not None:
        raise ValueError("run takes a Python file, not a command after --")
    if len(found.words) != 1:
        raise ValueError("give one FILE or FILE:OBJECT")
    return Running(file=found.words[0], tcp=found.tcp, unix=found.unix, verbosity=found.verbosity)


def _listing(found: argparse.Namespace, command: list[str] | None) -> Connecting:
    target, words = _target(found.words, command)
    if words:
        raise ValueError(f"list takes nothing more than the server: {words[0]!r}")
    return Connecting(target=target, **_common(found))


def _calling(found: argparse.Namespace, command: list[str] | None) -> Calling:
    target, words = _target(found.words, command)
    if not words:
        raise ValueError("name the TOOL to call")
    return Calling(
        target=target,
        tool=words[0],
        arguments=[_argument(word) for word in words[1:]],
        json=found.json,
        **_common(found),
    )


def _target(words: list[str], command: list[str] | None) -> tuple[str | list[str], list[str]]:
    """The server, and the words that are left."""
    if command is not None:
        if not command:
            raise ValueError("a command is missing after --")
        return command, words
    if not words:
        raise ValueError("name the server: a TARGET, or -- and the command that starts it")
    return words[0], words[1:]


def _common(found: argparse.Namespace) -> dict[str, Any]:
    names = ("timeout", "revision", "output", "verbosity")
    return {name: getattr(found, name) for name in names}


_OPTIONS: dict[str, Callable[[argparse.Namespace, list[str] | None], Running | Connecting]] = {
    "run": _running,
    "list": _listing,
    "call": _calling,
}


def _argument(word: str) -> Argument:
    key, separator, text = word.partition("=")
    if not separator or key in ("", ":"):
        raise ValueError(f"not KEY=VALUE or KEY:=JSON: {word!r}")
    return Argument(key.removesuffix(":"), text, is_json=key.endswith(":"))


# -- the parser -------------------------------------------------------------------------------

_TARGET = """\
TARGET is where the server is:
  FILE.py           run with this Python; it must serve itself when run
  FILE.py:OBJECT    served by `trimcp run`
  tcp://HOST:PORT   a server that listens on TCP
  unix:PATH         a server that listens on a Unix socket
Instead of TARGET, a command that starts the server may follow after a bare --.
"""

_ARGUMENTS = """
KEY=VALUE is read as the tool's input schema says: integers, numbers and booleans as such, a
string as it is, everything else as JSON. KEY:=JSON is JSON in any case. Both win over --json.
"""


class _Parser(argparse.ArgumentParser):
    """Prints errors as the rest of the command does."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"trimcp: {message}\n{self.format_usage()}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="trimcp",
        description="Serve and use MCP servers.",
        epilog="`trimcp COMMAND --help` says more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_list(commands)
    _add_call(commands)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        sys.stdout.write(f"trimcp {version('trimcp')}\n")
        parser.exit()


def _add_run(commands: Any) -> None:
    parser = _add(
        commands,
        "run",
        help="serve the Server in a Python file",
        usage="trimcp run [--stdio | --tcp HOST:PORT | --unix PATH] [-v] FILE[:OBJECT]",
        description="Serve the Server in a Python file, until the end of input, SIGINT or SIGTERM.",
        epilog="Without OBJECT, the only Server among the file's global names is served. The file "
        "is loaded like a module: its `if __name__ == '__main__'` part does not run.",
    )
    doors = parser.add_mutually_exclusive_group()
    doors.add_argument("--stdio", action="store_true", help="standard input and output (default)")
    doors.add_argument(
        "--tcp",
        type=_address,
        metavar="HOST:PORT",
        help="listen on TCP, without authentication; port 0 lets the system choose",
    )
    doors.add_argument("--unix", metavar="PATH", help="listen on a Unix socket of this user")


def _add_list(commands: Any) -> None:
    parser = _add(
        commands,
        "list",
        help="list the tools of a server",
        usage="trimcp list [options] TARGET\n       trimcp list [options] -- COMMAND [ARGUMENT...]",
        description="List the tools of a server, with their arguments; * marks required ones.",
        epilog=_TARGET,
    )
    _add_common(parser)


def _add_call(commands: Any) -> None:
    parser = _add(
        commands,
        "call",
        help="call a tool of a server",
        usage="trimcp call [options] TARGET TOOL [KEY=VALUE | KEY:=JSON]...\n"
        "       trimcp call [options] TOOL [KEY=VALUE | KEY:=JSON]... -- COMMAND [ARGUMENT...]",
        description="Call a tool of a server and print its result.",
        epilog=_TARGET + _ARGUMENTS,
    )
    parser.add_argument(
        "--json",
        type=_json_object,
        default={},
        metavar="OBJECT",
        help="arguments as one JSON object",
    )
    _add_common(parser)


def _add(commands: Any, name: str, **texts: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **texts,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "-v",
        dest="verbosity",
        action="count",
        default=0,
        help="log to standard error; twice for every detail",
    )
    parser.set_defaults(parser=parser)
    return parser


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        choices=("text", "json"),
        help="the form of the result: text by default on a terminal, json elsewhere",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait for an answer (default: 60)",
    )
    parser.add_argument(
        "--revision", metavar="DATE", help="speak this revision of the protocol and no other"
    )


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"not HOST:PORT: {text!r}")
    return host, int(port)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"not a number of seconds above zero: {text!r}")
    return seconds


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value
