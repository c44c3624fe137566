"""The base classes of commands, and the options that several commands share."""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self, TypeAlias

import attrs
import trio

from ._logging import log_as_tool

if TYPE_CHECKING:
    from ._colours import Choice
    from ._logging import LogFormat
    from ._machines import Machine

__all__ = [
    "QUESTIONS",
    "RELOADED",
    "TARGET",
    "Address",
    "Answering",
    "Argument",
    "Command",
    "Connecting",
    "Output",
    "argument",
    "find_target",
    "refuse_more",
    "usage",
]

#: The environment variable with which `run --reload` passes the sockets to a process.
RELOADED: Final = "TRIMCP_RELOAD"

#: A header: a name (RFC 9110, section 5.1), and a value that every server reads alike.
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e]*)")

Output: TypeAlias = Literal["text", "json", "raw"]
Address: TypeAlias = tuple[str, int]

#: Help about TARGET.
TARGET: Final = """\
TARGET is where the server is:
  FILE.py           a program that serves on standard streams, run with this Python, or a
                    file with one Server, served by `trimcp run`
  FILE.py:OBJECT    served by `trimcp run`
  http://HOST/PATH  a server on HTTP (or https://)
  tcp://HOST:PORT   a server that listens on TCP
  unix:PATH         a server that listens on a Unix socket
  ws://HOST:PORT/PATH, wss://...   a server's WebSocket
Instead of TARGET, a command that starts the server may follow after a bare --.
"""

#: Help about the server's questions.
QUESTIONS: Final = """
The server may ask something before it answers. On a terminal you are asked. --answer and --sample
answer for you, also without a terminal. With --answer, a field that is not given gets its default;
a form that still lacks a value, or has a wrong one, is declined. A form without fields takes
--answer agreed=yes. If a kind of question cannot be answered, the server is told so.
"""


class Command:
    """A command with its options. Each has its own file, which is loaded when it is used.

    Attributes:
        has_result: Whether it writes a result to standard output.
        verbosity: How many `-v` were given.
        colours: When what it writes has colours.
        log_format: The form of what it writes to standard error.
    """

    has_result: ClassVar[bool] = True
    verbosity: int
    colours: Choice = "auto"
    log_format: LogFormat | None = None

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Add the command's texts and options to its parser."""
        raise NotImplementedError

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Self:
        """The command with the options that were given.

        Args:
            found: The parser's result; `words` are those that belong to no option, `given` all
                words.
            command: The words after the bare `--`, or None.

        Raises:
            ValueError: They are invalid.
        """
        raise NotImplementedError

    def run(self) -> int:
        """Run it and return the exit status. Errors are raised as exceptions."""
        raise NotImplementedError


# -- connecting -------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Connecting(Command):
    """The base of commands that connect to a server.

    Attributes:
        target: A file or address, or a command with its arguments.
        timeout: Seconds to wait for an answer.
        revision: The protocol revision to speak; None for the newest that both know.
        headers: Sent to a server at a URL, each with its name.
        token_env: The variable of the environment that has an access token for it.
        machine: Who the command is where there is no user.
        output: The form of the result; None lets standard output decide.
        verbosity: How many `-v` were given.
        colours: When what it writes has colours.
    """

    target: str | list[str]
    timeout: float
    revision: str | None
    headers: list[tuple[str, str]]
    token_env: str | None
    machine: Machine | None = None
    output: Output | None
    verbosity: int
    colours: Choice = "auto"

    @staticmethod
    def add_common(parser: argparse.ArgumentParser, *outputs: str) -> None:
        """Add the options that belong to this class.

        Args:
            parser: Where to.
            outputs: The forms of the result; none for what makes and ends logins of users.
        """
        # Only who connects needs them.
        from ._colours import CHOICES
        from ._machines import Machine

        parser.set_defaults(output=None)
        if outputs:
            Machine.add_options(parser)
            parser.add_argument(
                "--output",
                choices=outputs,
                help="the form of the result: text by default on a terminal, json elsewhere",
            )
        parser.add_argument(
            "--color",
            dest="colours",
            choices=CHOICES,
            default="auto",
            help="when to use colours: by default on a terminal, unless NO_COLOR is set",
        )
        parser.add_argument(
            "--timeout",
            type=_seconds,
            default=60.0,
            metavar="SECONDS",
            help="how long to wait for an answer (default: 60)",
        )
        parser.add_argument(
            "--revision", metavar="DATE", help="use only this revision of the protocol"
        )
        parser.add_argument(
            "--header",
            dest="headers",
            action="append",
            type=_header,
            default=[],
            metavar="NAME:VALUE",
            help="send this header to a server at a URL; may be repeated",
        )
        parser.add_argument(
            "--token-env",
            metavar="VAR",
            help="send the access token that this variable of the environment has",
        )

    @staticmethod
    def read_common(found: argparse.Namespace) -> dict[str, Any]:
        """The attributes from these options, without the target. Raises ValueError."""
        from ._machines import Machine

        machine = Machine.read(found) if hasattr(found, "auth") else None
        names = {name.lower() for name, _ in found.headers}
        if machine is not None and (found.token_env is not None or "authorization" in names):
            raise ValueError(
                "--auth, --token-env and --header Authorization are different ways to say who calls"
            )
        return {
            "machine": machine,
            "timeout": found.timeout,
            "revision": found.revision,
            "headers": found.headers,
            "token_env": found.token_env,
            "output": found.output,
            "verbosity": found.verbosity + found.verbosity_before,
            "colours": found.colours,
        }

    def run(self) -> int:
        log_as_tool(self.verbosity)
        return trio.run(self.talk)

    async def talk(self) -> int:
        """Do the command's work; returns the exit status."""
        raise NotImplementedError


def usage(command: str, words: str = "") -> str:
    """The usage of a command that takes these words in addition to the server."""
    begin = f"trimcp {command} [options]"
    return "\n       ".join(
        " ".join(filter(None, parts))
        for parts in [(begin, "TARGET", words), (begin, words, "-- COMMAND [ARGUMENT...]")]
    )


def find_target(words: list[str], command: list[str] | None) -> tuple[str | list[str], list[str]]:
    """The server, and the other words.

    Args:
        words: The parser's words.
        command: The words after the bare `--`, or None.

    Raises:
        ValueError: No server is named.
    """
    if command is not None:
        if not command:
            raise ValueError("a command is missing after --")
        return command, words
    if not words:
        raise ValueError("name the server: a TARGET, or -- and the command that starts it")
    return words[0], words[1:]


def refuse_more(words: list[str], rule: str) -> None:
    """Raise ValueError, which names the rule, if there are more words."""
    if words:
        raise ValueError(f"{rule}: {words[0]!r}")


def _header(text: str) -> tuple[str, str]:
    found = _HEADER.fullmatch(text)
    if found is None:
        # What was meant for a value may be a secret, so it is not repeated.
        raise argparse.ArgumentTypeError("a header is NAME:VALUE, in printable ASCII")
    return found[1], found[2].strip()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"not a number of seconds above zero: {text!r}")
    return seconds


# -- answering --------------------------------------------------------------------------------


@attrs.frozen
class Argument:
    """`KEY=VALUE`, or `KEY:=JSON`."""

    key: str
    text: str
    is_json: bool


def argument(word: str) -> Argument:
    """`KEY=VALUE` or `KEY:=JSON`. Raises ValueError."""
    key, separator, text = word.partition("=")
    if not separator or key in ("", ":"):
        raise ValueError(f"not KEY=VALUE or KEY:=JSON: {word!r}")
    return Argument(key.removesuffix(":"), text, is_json=key.endswith(":"))


@attrs.frozen(kw_only=True)
class Answering(Connecting):
    """The base of commands whose request may lead to questions of the server.

    Attributes:
        answers: Answers for the fields of its forms; without any, the user at the terminal is
            asked.
        sample: The model's answer to any question; None to ask the user.
        roots: Paths and `file://` URIs.
    """

    answers: list[Argument]
    sample: str | None
    roots: list[str]

    @staticmethod
    def add_answers(parser: argparse.ArgumentParser) -> None:
        """Add the options that belong to this class."""
        parser.add_argument(
            "--answer",
            dest="answers",
            action="append",
            type=_answer,
            default=[],
            metavar="KEY=VALUE",
            help="a field of the server's forms, read by its type; KEY:=JSON too; may be repeated",
        )
        parser.add_argument(
            "--sample", metavar="TEXT", help="the answer of the model to any question of the server"
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

    @classmethod
    def read_answers(cls, found: argparse.Namespace) -> dict[str, Any]:
        """The attributes from these options and the common ones."""
        answers = {"answers": found.answers, "sample": found.sample, "roots": found.roots}
        return {**cls.read_common(found), **answers}


def _answer(word: str) -> Argument:
    try:
        return argument(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _root(text: str) -> str:
    if "://" in text and not text.startswith("file://"):
        raise argparse.ArgumentTypeError(f"not a path or a file:// URI: {text!r}")
    return text
