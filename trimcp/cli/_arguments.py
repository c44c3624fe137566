"""The grammar of the command line.

::

    trimcp run     [options] FILE[:OBJECT]
    trimcp list    [options] TARGET
    trimcp inspect [options] TARGET
    trimcp call    [options] TARGET TOOL [KEY=VALUE | KEY:=JSON]…
    trimcp read    [options] TARGET URI
    trimcp prompt  [options] TARGET NAME [KEY=VALUE]…
    trimcp listen  [options] TARGET [URI]…

Except for `run`, the command that starts the server may stand at the end instead of TARGET::

    trimcp call    [options] TOOL [KEY=VALUE | KEY:=JSON]… -- COMMAND [ARGUMENT…]

The first bare `--` ends the command's own words: everything after it is that command. Options may
stand anywhere before it, and `-v` before the command too; `trimcp COMMAND --help` names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._options import Calling, Inspecting, Listening, Listing, Prompting, Reading, Running
from ._parser import argument, make_parser

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ._options import Options

__all__ = ["parse"]


def parse(words: list[str]) -> Options:
    """Understand the command line.

    Raises:
        SystemExit: Help was asked for (status 0), or the words make no sense (status 2).
    """
    words, command = _split(words)
    found, rest = make_parser().parse_known_args(words)
    parser: argparse.ArgumentParser = found.parser
    if unknown := [word for word in rest if word.startswith("-")]:
        parser.error(f"unknown option: {unknown[0]}")
    # argparse gives back the words that stand behind an option.
    found.words += rest
    found.given = words
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


# -- the commands -----------------------------------------------------------------------------


def _running(found: argparse.Namespace, command: list[str] | None) -> Running:
    if command is not None:
        raise ValueError("run takes a Python file, not a command after --")
    if len(found.words) != 1:
        raise ValueError("give one FILE or FILE:OBJECT")
    if found.reload and not (found.http or found.tcp or found.unix or found.ws):
        raise ValueError("--reload needs an address: on standard input the client would be lost")
    if found.root_path and not found.http:
        raise ValueError("--root-path is for --http: only there is a path that a proxy strips")
    if found.root_path and not found.root_path.startswith("/"):
        raise ValueError("--root-path begins with a slash, such as /tools")
    again = tuple(word for word in found.given if word != "--reload")
    return Running(
        file=found.words[0],
        tcp=found.tcp,
        unix=found.unix,
        http=found.http,
        ws=found.ws,
        root_path=found.root_path,
        reload=again if found.reload else None,
        verbosity=found.verbosity + found.verbosity_before,
    )


def _listing(found: argparse.Namespace, command: list[str] | None) -> Listing:
    target, words = _target(found.words, command)
    _refuse_more(words, "list takes nothing more than the server")
    return Listing(target=target, **_common(found))


def _inspecting(found: argparse.Namespace, command: list[str] | None) -> Inspecting:
    target, words = _target(found.words, command)
    _refuse_more(words, "inspect takes nothing more than the server")
    return Inspecting(target=target, **_common(found))


def _calling(found: argparse.Namespace, command: list[str] | None) -> Calling:
    target, words = _target(found.words, command)
    if not words:
        raise ValueError("name the TOOL to call")
    return Calling(
        target=target,
        tool=words[0],
        arguments=[argument(word) for word in words[1:]],
        json=found.json,
        **_answering(found),
    )


def _reading(found: argparse.Namespace, command: list[str] | None) -> Reading:
    target, words = _target(found.words, command)
    if not words:
        raise ValueError("give the URI to read")
    _refuse_more(words[1:], "read takes one URI")
    return Reading(target=target, uri=words[0], **_answering(found))


def _prompting(found: argparse.Namespace, command: list[str] | None) -> Prompting:
    target, words = _target(found.words, command)
    if not words:
        raise ValueError("give the NAME of the prompt")
    arguments = [argument(word) for word in words[1:]]
    if any(each.is_json for each in arguments):
        raise ValueError("the arguments of a prompt are text: KEY=VALUE, not KEY:=JSON")
    return Prompting(
        target=target,
        prompt=words[0],
        arguments={each.key: each.text for each in arguments},
        **_answering(found),
    )


def _hearing(found: argparse.Namespace, command: list[str] | None) -> Listening:
    target, uris = _target(found.words, command)
    return Listening(
        target=target,
        uris=uris,
        lists=found.lists or not uris,
        count=found.count,
        **_common(found),
    )


_OPTIONS: dict[str, Callable[[argparse.Namespace, list[str] | None], Options]] = {
    "run": _running,
    "list": _listing,
    "inspect": _inspecting,
    "call": _calling,
    "read": _reading,
    "prompt": _prompting,
    "listen": _hearing,
}


# -- what they share --------------------------------------------------------------------------


def _target(words: list[str], command: list[str] | None) -> tuple[str | list[str], list[str]]:
    """The server, and the words that are left."""
    if command is not None:
        if not command:
            raise ValueError("a command is missing after --")
        return command, words
    if not words:
        raise ValueError("name the server: a TARGET, or -- and the command that starts it")
    return words[0], words[1:]


def _refuse_more(words: list[str], rule: str) -> None:
    if words:
        raise ValueError(f"{rule}: {words[0]!r}")


def _common(found: argparse.Namespace) -> dict[str, Any]:
    verbosity = found.verbosity + found.verbosity_before
    return {**_named(found, "timeout", "revision", "output"), "verbosity": verbosity}


def _answering(found: argparse.Namespace) -> dict[str, Any]:
    return {**_common(found), **_named(found, "answers", "sample", "roots")}


def _named(found: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(found, name) for name in names}
