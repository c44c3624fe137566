"""The options of each command, and their help."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ._options import Argument

if TYPE_CHECKING:
    from ._options import Address

__all__ = ["argument", "make_parser"]

_TARGET: Final = """\
TARGET is where the server is:
  FILE.py           run with this Python; it must serve itself when run
  FILE.py:OBJECT    served by `trimcp run`
  http://HOST/PATH  a server on HTTP (or https://)
  tcp://HOST:PORT   a server that listens on TCP
  unix:PATH         a server that listens on a Unix socket
  ws://HOST:PORT/PATH, wss://...   a server's WebSocket
Instead of TARGET, a command that starts the server may follow after a bare --.
"""

_ARGUMENTS: Final = """
KEY=VALUE is read as the tool's input schema says: integers, numbers and booleans as such, a
string as it is, everything else as JSON. KEY:=JSON is JSON in any case. Both win over --json.
"""

_OUTPUTS: Final = """
--output text prints texts as they are and a line about everything else, json the whole answer,
and raw the very bytes of the contents, one after the other.
"""

_QUESTIONS: Final = """
The server may ask something before it answers. On a terminal people are asked. --answer and
--sample answer instead of them, and also where there is no terminal. With --answer, a field that
is not given takes its default; a form that still lacks something, or does not fit, is declined.
A form without fields takes --answer agreed=yes. What cannot be answered is not offered to the
server.
"""


_CHANGES: Final = """
A resource that changes again before it was told of is told of once. What the server does not agree
to tell of stands on standard error. --output json prints one JSON object a line.
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of everything before the first bare `--`."""
    parser = _Parser(
        prog="trimcp",
        description="Serve and use MCP servers.",
        epilog="`trimcp COMMAND --help` says more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    # A name of its own: the command's parser begins to count anew.
    _add_verbosity(parser, "verbosity_before")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_run(commands)
    _add_list(commands)
    _add_inspect(commands)
    _add_call(commands)
    _add_read(commands)
    _add_prompt(commands)
    _add_listen(commands)
    return parser


class _Parser(argparse.ArgumentParser):
    """Prints errors as the rest of the command does."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"trimcp: {message}\n{self.format_usage()}")


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        sys.stdout.write(f"trimcp {version('trimcp')}\n")
        parser.exit()


# -- commands ---------------------------------------------------------------------------------


def _add_run(commands: Any) -> None:
    parser = _add(
        commands,
        "run",
        help="serve the Server in a Python file",
        usage="trimcp run [--stdio | --http HOST:PORT | --ws HOST:PORT | --tcp HOST:PORT | "
        "--unix PATH] "
        "[--root-path PATH] [--reload] [-v] FILE[:OBJECT]",
        description="Serve the Server in a Python file, until the end of input, SIGINT or SIGTERM.",
        epilog="Without OBJECT, the only Server among the file's global names is served. The file "
        "is loaded like a module: its `if __name__ == '__main__'` part does not run.",
    )
    doors = parser.add_mutually_exclusive_group()
    doors.add_argument("--stdio", action="store_true", help="standard input and output (default)")
    doors.add_argument(
        "--http",
        type=_address,
        metavar="HOST:PORT",
        help="listen for HTTP, without authentication: Streamable HTTP at the path /mcp, and all "
        "that `Server.asgi_app()` has",
    )
    doors.add_argument(
        "--tcp",
        type=_address,
        metavar="HOST:PORT",
        help="listen on TCP, without authentication; port 0 lets the system choose",
    )
    doors.add_argument("--unix", metavar="PATH", help="listen on a Unix socket of this user")
    doors.add_argument(
        "--ws",
        type=_address,
        metavar="HOST:PORT",
        help="listen for WebSockets at the path /ws, without authentication",
    )
    parser.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="with --http: the prefix, such as /tools, that a proxy strips from the path",
    )
    parser.add_argument(
        "--reload",
        action="store_true",
        help="serve in a new process whenever a Python file in FILE's directory or below changes; "
        "not with --stdio, where the client would lose its server",
    )


def _add_list(commands: Any) -> None:
    parser = _add(
        commands,
        "list",
        help="list what a server offers",
        usage=_usage("list"),
        description="List the tools, resources, resource templates and prompts of a server; "
        "* marks required arguments.",
        epilog=_TARGET,
    )
    _add_common(parser, "text", "json")


def _add_inspect(commands: Any) -> None:
    parser = _add(
        commands,
        "inspect",
        help="tell all about a server",
        usage=_usage("inspect"),
        description="Tell all that a server says about itself; with --output json also the whole "
        "of every schema.",
        epilog=_TARGET,
    )
    _add_common(parser, "text", "json")


def _add_call(commands: Any) -> None:
    parser = _add(
        commands,
        "call",
        help="call a tool of a server",
        usage=_usage("call", "TOOL [KEY=VALUE | KEY:=JSON]..."),
        description="Call a tool of a server and print its result.",
        epilog=_TARGET + _ARGUMENTS + _QUESTIONS,
    )
    parser.add_argument(
        "--json",
        type=_json_object,
        default={},
        metavar="OBJECT",
        help="arguments as one JSON object",
    )
    _add_answers(parser)
    _add_common(parser, "text", "json")


def _add_read(commands: Any) -> None:
    parser = _add(
        commands,
        "read",
        help="read a resource of a server",
        usage=_usage("read", "URI"),
        description="Read a resource of a server and print its contents.",
        epilog=_TARGET + _OUTPUTS + _QUESTIONS,
    )
    _add_answers(parser)
    _add_common(parser, "text", "json", "raw")


def _add_prompt(commands: Any) -> None:
    parser = _add(
        commands,
        "prompt",
        help="get a prompt of a server",
        usage=_usage("prompt", "NAME [KEY=VALUE]..."),
        description="Get a prompt of a server and print its messages, each after its role.",
        epilog=_TARGET + _QUESTIONS,
    )
    _add_answers(parser)
    _add_common(parser, "text", "json")


def _add_listen(commands: Any) -> None:
    parser = _add(
        commands,
        "listen",
        help="tell of changes at a server",
        usage=_usage("listen", "[URI]..."),
        description="Print a line for each change at a server, until Ctrl-C or the server ends: of "
        "the resources that are named, or else of the lists of tools, prompts and resources.",
        epilog=_TARGET + _CHANGES,
    )
    parser.add_argument(
        "--lists", action="store_true", help="the lists too, where resources are named"
    )
    parser.add_argument(
        "--count", type=_number, metavar="N", help="stop after so many changes (default: never)"
    )
    _add_common(parser, "text", "json")


def _usage(command: str, words: str = "") -> str:
    begin = f"trimcp {command} [options]"
    return "\n       ".join(
        " ".join(filter(None, parts))
        for parts in [(begin, "TARGET", words), (begin, words, "-- COMMAND [ARGUMENT...]")]
    )


def _add(commands: Any, name: str, **texts: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **texts,
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    _add_verbosity(parser, "verbosity")
    parser.set_defaults(parser=parser)
    return parser


def _add_verbosity(parser: argparse.ArgumentParser, destination: str) -> None:
    parser.add_argument(
        "-v",
        dest=destination,
        action="count",
        default=0,
        help="log to standard error, what the server logs too; twice for every detail",
    )


# -- options ----------------------------------------------------------------------------------


def _add_common(parser: argparse.ArgumentParser, *outputs: str) -> None:
    parser.add_argument(
        "--output",
        choices=outputs,
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


def _add_answers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--answer",
        dest="answers",
        action="append",
        type=_answer,
        default=[],
        metavar="KEY=VALUE",
        help="a field of the server's forms, read as they say; KEY:=JSON too; may be repeated",
    )
    parser.add_argument(
        "--sample", metavar="TEXT", help="what the model says, whatever the server asks it"
    )
    parser.add_argument(
        "--root",
        dest="roots",
        action="append",
        type=_root,
        default=[],
        metavar="PATH",
        help="a directory or file that the server may work on; may be repeated",
    )


def argument(word: str) -> Argument:
    """`KEY=VALUE` or `KEY:=JSON`. Raises ValueError."""
    key, separator, text = word.partition("=")
    if not separator or key in ("", ":"):
        raise ValueError(f"not KEY=VALUE or KEY:=JSON: {word!r}")
    return Argument(key.removesuffix(":"), text, is_json=key.endswith(":"))


def _answer(word: str) -> Argument:
    try:
        return argument(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _root(text: str) -> str:
    if "://" in text and not text.startswith("file://"):
        raise argparse.ArgumentTypeError(f"not a path or a file:// URI: {text!r}")
    return text


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or not port.isdecimal() or int(port) > 65535:
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


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"not a number above zero: {text!r}")
    return int(text)


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value
