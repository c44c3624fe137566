"""What every command consists of, and the options that several commands share."""

from __future__ import annotations

import argparse
import re
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

import attrs
import trio

from ._logging import log_as_tool

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

#: The variable of the environment by which `run --reload` tells a process what it is to serve on.
RELOADED: Final = "TRIMCP_RELOAD"

#: A header: a name (RFC 9110, section 5.1), and a value that every server reads alike.
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t\x20-\x7e]*)")

Output: TypeAlias = Literal["text", "json", "raw"]
Address: TypeAlias = tuple[str, int]

#: Help: what a target is.
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

#: Help: who answers the questions of the server.
QUESTIONS: Final = """
The server may ask something before it answers. On a terminal people are asked. --answer and
--sample answer instead of them, and also where there is no terminal. With --answer, a field that
is not given takes its default; a form that still lacks something, or does not fit, is declined.
A form without fields takes --answer agreed=yes. What cannot be answered is not offered to the
server.
"""


class Command:
    """A command with its options. Each has a file of its own, which is loaded when it is used.

    Attributes:
        has_result: Whether it writes a result to standard output.
        verbosity: How many `-v` were given.
    """

    has_result: ClassVar[bool] = True
    verbosity: int

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        """Give the command's parser its texts and options."""
        raise NotImplementedError

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Self:
        """The command with the options that were given.

        Args:
            found: What the parser has found; `words` are those that belong to no option, `given`
                all of them.
            command: What follows the bare `--`, if there is one.

        Raises:
            ValueError: They make no sense.
        """
        raise NotImplementedError

    def run(self) -> int:
        """Perform it; returns the exit status. What goes wrong leaves as an exception."""
        raise NotImplementedError


# -- connecting -------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Connecting(Command):
    """What every command needs that connects to a server.

    Attributes:
        target: A file or address, or a command with its arguments.
        timeout: Seconds to wait for an answer.
        revision: The protocol revision to speak; None for the newest that both know.
        headers: Sent to a server at a URL, each with its name.
        token_env: The variable of the environment that has an access token for it.
        output: The form of the result; None lets standard output decide.
        verbosity: How many `-v` were given.
    """

    target: str | list[str]
    timeout: float
    revision: str | None
    headers: list[tuple[str, str]]
    token_env: str | None
    output: Output | None
    verbosity: int

    @staticmethod
    def add_common(parser: argparse.ArgumentParser, *outputs: str) -> None:
        """Add the options that belong to this class; `outputs` are the forms of the result."""
        parser.set_defaults(output=None)
        if outputs:
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
        """The attributes that these options give; the target is not one of them."""
        return {
            "timeout": found.timeout,
            "revision": found.revision,
            "headers": found.headers,
            "token_env": found.token_env,
            "output": found.output,
            "verbosity": found.verbosity + found.verbosity_before,
        }

    def run(self) -> int:
        log_as_tool(self.verbosity)
        return trio.run(self.talk)

    async def talk(self) -> int:
        """Do what the command is for; returns the exit status."""
        raise NotImplementedError


def usage(command: str, words: str = "") -> str:
    """The usage of a command that takes these words beside the server."""
    begin = f"trimcp {command} [options]"
    return "\n       ".join(
        " ".join(filter(None, parts))
        for parts in [(begin, "TARGET", words), (begin, words, "-- COMMAND [ARGUMENT...]")]
    )


def find_target(words: list[str], command: list[str] | None) -> tuple[str | list[str], list[str]]:
    """The server, and the words that are left.

    Args:
        words: What the parser has found.
        command: What follows the bare `--`, if there is one.

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
    """Raises ValueError, which names the rule, if there are words left."""
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
    """What every command needs whose request may lead to questions of the server.

    Attributes:
        answers: The fields of its forms; without any, people are asked, if there are some.
        sample: What the model says, whatever it is asked; None to ask people.
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

    @classmethod
    def read_answers(cls, found: argparse.Namespace) -> dict[str, Any]:
        """The attributes that these options and the common ones give."""
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
