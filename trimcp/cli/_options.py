"""What a command line asks for: one class for each command."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import attrs

__all__ = [
    "RELOADED",
    "Address",
    "Answering",
    "Argument",
    "Calling",
    "Connecting",
    "Inspecting",
    "Listening",
    "Listing",
    "Options",
    "Output",
    "Prompting",
    "Reading",
    "Running",
]

#: The variable of the environment by which `run --reload` tells a process what it is to serve on.
RELOADED: Final = "TRIMCP_RELOAD"

Output: TypeAlias = Literal["text", "json", "raw"]
Address: TypeAlias = tuple[str, int]


@attrs.frozen(kw_only=True)
class Running:
    """`trimcp run`.

    Attributes:
        file: `FILE` or `FILE:OBJECT`, as written.
        tcp: Where to listen, or None.
        unix: The socket to make, or None.
        http: Where to listen for HTTP, or None.
        ws: Where to listen for WebSockets, or None. Without any: standard input and output.
        root_path: The prefix that a proxy in front of `http` strips, or "".
        reload: The words of the same command without `--reload`, to be run again whenever a
            Python file changes; None without that option.
        verbosity: How many `-v` were given.
    """

    file: str
    tcp: Address | None
    unix: str | None
    http: Address | None = None
    ws: Address | None = None
    root_path: str = ""
    reload: tuple[str, ...] | None = None
    verbosity: int


@attrs.frozen(kw_only=True)
class Connecting:
    """What every command needs that connects to a server.

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


@attrs.frozen(kw_only=True)
class Listing(Connecting):
    """`trimcp list`."""


@attrs.frozen(kw_only=True)
class Inspecting(Connecting):
    """`trimcp inspect`."""


@attrs.frozen
class Argument:
    """`KEY=VALUE`, or `KEY:=JSON`."""

    key: str
    text: str
    is_json: bool


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


@attrs.frozen(kw_only=True)
class Calling(Answering):
    """`trimcp call`.

    Attributes:
        tool: The tool's name.
        arguments: As written on the command line.
        json: What `--json` gave.
    """

    tool: str
    arguments: list[Argument]
    json: dict[str, Any]


@attrs.frozen(kw_only=True)
class Reading(Answering):
    """`trimcp read`.

    Attributes:
        uri: The resource's.
    """

    uri: str


@attrs.frozen(kw_only=True)
class Prompting(Answering):
    """`trimcp prompt`.

    Attributes:
        prompt: The prompt's name.
        arguments: All of them text.
    """

    prompt: str
    arguments: dict[str, str]


@attrs.frozen(kw_only=True)
class Listening(Connecting):
    """`trimcp listen`.

    Attributes:
        uris: The resources to hear of.
        lists: Whether to hear of the lists of tools, prompts and resources.
        count: After how many changes to stop; None for never.
    """

    uris: list[str]
    lists: bool
    count: int | None


Options: TypeAlias = Running | Listing | Inspecting | Calling | Reading | Prompting | Listening
