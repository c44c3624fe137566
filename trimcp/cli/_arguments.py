"""The grammar of the command line.

::

    trimcp run     [options] FILE[:OBJECT]
    trimcp dev     [options] FILE[:OBJECT]
    trimcp list    [options] TARGET
    trimcp inspect [options] TARGET
    trimcp call    [options] TARGET TOOL [KEY=VALUE | KEY:=JSON]…
    trimcp read    [options] TARGET URI
    trimcp prompt  [options] TARGET NAME [KEY=VALUE]…
    trimcp listen  [options] TARGET [URI]…
    trimcp login   [options] URL
    trimcp logout  [options] URL
    trimcp install [options] HOST FILE[:OBJECT] | URL

Except for `run`, `dev`, `login`, `logout` and `install`, the command that starts the server may
stand at the end instead of TARGET::

    trimcp call    [options] TOOL [KEY=VALUE | KEY:=JSON]… -- COMMAND [ARGUMENT…]

The first bare `--` ends the words of `trimcp`: everything after it is the server's command. Options
may be anywhere before it, and `-v` may also be before the name of the command;
`trimcp COMMAND --help` lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._parser import make_parser, similar_option

if TYPE_CHECKING:
    import argparse

    from ._options import Command

__all__ = ["parse"]


def parse(words: list[str]) -> Command:
    """Parse the command line.

    Raises:
        SystemExit: Help was requested (status 0), or the words are invalid (status 2).
    """
    words, command = _split(words)
    found, rest = make_parser().parse_known_args(words)
    parser: argparse.ArgumentParser = found.parser
    kind: type[Command] = found.kind
    # argparse takes what has a space in it for no option.
    unknown = [word for word in found.words if word.startswith("--")]
    if unknown := unknown + [word for word in rest if word.startswith("-")]:
        # What stands behind it may be a secret.
        option = unknown[0].partition("=")[0]
        parser.error(f"unknown option: {option}{similar_option(parser, option)}")
    # argparse returns the words after an option as unknown.
    found.words += rest
    found.given = words
    try:
        return kind.read(found, command)
    except ValueError as error:
        parser.error(str(error))


def _split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """The words before the first bare `--`, and the command after it, if any."""
    if "--" not in words:
        return words, None
    end = words.index("--")
    return words[:end], words[end + 1 :]
