"""The parser of the command line. It loads the file of a command when the command is used."""

from __future__ import annotations

import argparse
import re
import sys
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._options import Command

__all__ = ["make_parser", "similar_option"]

#: How argparse refuses a value that is none of those allowed.
_WRONG_CHOICE: Final = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")
_WORD: Final = re.compile(r"[\w-]+")

#: The shells for which shtab writes completions.
_SHELLS: Final = ("bash", "zsh", "tcsh")

#: The commands, with their classes (in the files of their names) and help texts.
_COMMANDS: Final = {
    "run": ("Running", "serve the Server in a Python file"),
    "dev": ("Developing", "serve a file while you write it, with the Inspector"),
    "list": ("Listing", "list what a server offers"),
    "inspect": ("Inspecting", "show everything about a server"),
    "call": ("Calling", "call a tool of a server"),
    "read": ("Reading", "read a resource of a server"),
    "prompt": ("Prompting", "get a prompt of a server"),
    "listen": ("Listening", "tell of changes at a server"),
    "login": ("LoggingIn", "log in at a server"),
    "logout": ("LoggingOut", "forget a login"),
    "install": ("Installing", "put a server into the settings of a program that uses servers"),
}


def make_parser() -> argparse.ArgumentParser:
    """The parser of everything before the first bare `--`.

    Its result has these attributes for every command: `kind`, the class of the command; `parser`,
    the parser of the command; `words`, the words that belong to no option; and the verbosities.
    """
    parser = _Parser(
        prog="trimcp",
        description="Serve and use MCP servers.",
        epilog="See `trimcp COMMAND --help` for more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    parser.add_argument(
        "--completion",
        action=_Completion,
        choices=_SHELLS,
        metavar="SHELL",
        help="print what completes words of this command in bash, zsh or tcsh",
    )
    # A separate name, since the command's parser starts counting at zero.
    _add_verbosity(parser, "verbosity_before")
    commands = parser.add_subparsers(
        metavar="COMMAND", required=True, dest="command", parser_class=_CommandParser
    )
    for name, (kind, text) in _COMMANDS.items():
        commands.add_parser(name, help=text, file=f"trimcp.cli._{name}", kind=kind)
    parser.commands = commands.choices
    return parser


def similar_option(parser: argparse.ArgumentParser, option: str) -> str:
    """Which option of a command was meant, for the end of a message."""
    from trimcp._similar import did_you_mean

    return did_you_mean(option, parser._option_string_actions)


class _Parser(argparse.ArgumentParser):
    """Prints errors in the same form as the rest of the command.

    Attributes:
        commands: The parsers of the commands, by name.
    """

    commands: Mapping[str, _CommandParser] = MappingProxyType({})

    def error(self, message: str) -> NoReturn:
        # Loaded late: only wrong words need it.
        from trimcp._similar import did_you_mean

        if found := _WRONG_CHOICE.search(message):
            message += did_you_mean(found[1], _WORD.findall(found[2]))
        self.exit(2, f"trimcp: {message}\n{self.format_usage()}")


class _CommandParser(_Parser):
    """The parser of one command.

    Args:
        file: The module that has the command.
        kind: The name of its class.
        options: As for `argparse.ArgumentParser`.
    """

    def __init__(self, *, file: str, kind: str, **options: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )
        self._file = file
        self._kind = kind

    def parse_known_args(self, *args: Any, **options: Any) -> Any:
        """Called once, by the parser of the whole line, if this command is used."""
        self.load()
        return super().parse_known_args(*args, **options)

    def load(self) -> argparse.Action:
        """Load the command and add its options; the argument of all its other words."""
        kind: type[Command] = getattr(import_module(self._file), self._kind)
        words = self.add_argument("words", nargs="*", help=argparse.SUPPRESS)
        _add_verbosity(self, "verbosity")
        kind.add_options(self)
        self.set_defaults(parser=self, kind=kind)
        return words


class _Version(argparse.Action):
    """Writes the version on one line, even on a narrow terminal."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        # `importlib.metadata` would take as long as all the rest of the command.
        sys.stdout.write(f"trimcp {import_module('trimcp').__version__}\n")
        parser.exit()


#: What completes a host, or a file.
_HOSTS_IN_BASH: Final = """\
_trimcp_hosts() {
    compgen -W "%s" -- "$1"
    compgen -f -- "$1"
}
"""


class _Completion(argparse.Action):
    """Writes the completion of all commands for a shell."""

    def __call__(
        self, parser: argparse.ArgumentParser, _: object, shell: Any, *__: object
    ) -> NoReturn:
        try:
            shtab = import_module("shtab")
        except ImportError:
            parser.error("completion needs a library: pip install 'trimcp[completion]'")
        assert isinstance(parser, _Parser)
        from ._hosts import HOSTS

        for name, command in parser.commands.items():
            words: Any = command.load()
            words.complete = shtab.FILE
            if name == "install":
                words.complete = {**shtab.FILE, "bash": "_trimcp_hosts"}
            # What has no help is not completed.
            words.help = "words"
        preamble = {"bash": _HOSTS_IN_BASH % " ".join(HOSTS)}
        sys.stdout.write(shtab.complete(parser, shell, preamble=preamble))
        parser.exit()


def _add_verbosity(parser: argparse.ArgumentParser, destination: str) -> None:
    parser.add_argument(
        "-v",
        dest=destination,
        action="count",
        default=0,
        help="log to standard error, including the server's log; twice for more detail",
    )
