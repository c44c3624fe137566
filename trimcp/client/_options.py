"""The options of a client, and their checks."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypedDict

from trimcp.errors import OptionError
from trimcp.limits import Limits
from trimcp.protocol import LOGGING_LEVELS, check_extensions

from ._checks import check_callback, check_seconds, check_texts
from ._roots import roots_of

if TYPE_CHECKING:
    from trimcp.transports import Authorizing
    from trimcp.types import LoggingLevel

    from ._answers import ElicitationCallback, SamplingCallback, UrlCallback
    from ._client import LogCallback
    from ._roots import Roots

__all__ = [
    "DEFAULT_TIMEOUT",
    "ClientOptions",
    "check_env",
    "check_options",
    "checked_command",
    "checked_file",
]

#: Seconds to wait for an answer.
DEFAULT_TIMEOUT: Final = 60.0


class ClientOptions(TypedDict, total=False):
    """The options of all functions that open a client. Callbacks may be async or not.

    Attributes:
        elicitation: Answers form questions: gets the form, returns the content (defaults are filled
            in, and the content is checked), or None to decline. The client declares only the
            capabilities for which there is a callback.
        url_elicitation: Agrees that the user is sent to a URL; returns True or False.
        sampling: Returns a model's answer, or just its text.
        sampling_tools: Whether `sampling` understands tools. Default False.
        roots: The client's roots (paths, URIs, `Root`s), or a function that returns them.
        logging: Called with each log message of the server.
        log_level: How severe a log message must be for the server to send it.
        revision: Pins the protocol revision, such as `"2025-11-25"`; `"handshake"` means the
            newest with a handshake that both sides speak.
        timeout: Seconds to wait for an answer, unless a call has another timeout. Default 60.
        probe_timeout: Seconds after which a server that does not answer `server/discover` is
            assumed to be of the handshake era; after half of this time it is given up if its output
            is not a message of the protocol. Default 10.
        max_rounds: Rounds of questions that one call may take (stateless era). Default 20.
        experimental: Capabilities outside of the specification, by name.
        extensions: Extensions of the protocol that it supports (stateless era).
        result_types: Values of `resultType` that those extensions add, for `Client.request`.
        name: The client's name.
        version: Its version.
        limits: Bounds of everything that grows.
        headers: Sent with every request to a server at a URL, or with the handshake of a
            WebSocket; a token, for example.
        auth: Gets access tokens where a server at a URL demands them: a `trimcp.auth.OAuth`, or
            for a program without a user `ClientCredentials` and its like.
    """

    elicitation: ElicitationCallback | None
    url_elicitation: UrlCallback | None
    sampling: SamplingCallback | None
    sampling_tools: bool
    roots: Roots | None
    logging: LogCallback | None
    log_level: LoggingLevel | None
    max_rounds: int
    revision: str | None
    timeout: float
    probe_timeout: float
    experimental: Mapping[str, Any] | None
    extensions: Mapping[str, Any] | None
    result_types: Sequence[str]
    name: str
    version: str
    limits: Limits
    headers: Mapping[str, str] | None
    auth: Authorizing | None


_CALLBACKS: Final = ("elicitation", "url_elicitation", "sampling", "logging")
_TEXTS: Final = ("revision", "name", "version")
_MAPPINGS: Final = ("experimental", "extensions")

#: Headers that `auth=` makes.
_AUTHORIZING: Final = {"authorization": "Authorization", "dpop": "DPoP"}


def check_options(options: Mapping[str, Any]) -> None:
    """Check the options of a function that opens a client.

    Raises:
        OptionError: An option is unknown, or has an invalid value.
    """
    unknown = options.keys() - ClientOptions.__annotations__.keys()
    if unknown:
        raise OptionError(f"unknown options: {', '.join(sorted(unknown))}")
    for name in _CALLBACKS:
        check_callback(f"{name}=", options.get(name))
    for name in ("timeout", "probe_timeout"):
        check_seconds(f"{name}=", options.get(name, 0.0))
    for name in _TEXTS:
        _check_type(name, options, str, "a text")
    for name in _MAPPINGS:
        _check_type(name, options, Mapping, "a mapping")
    _check_type("sampling_tools", options, bool, "True or False")
    _check_type("limits", options, Limits, "a trimcp.Limits")
    _check_auth(options.get("auth"), options.get("headers"))
    roots = options.get("roots")
    if roots is not None and not callable(roots):
        roots_of(roots)
    try:
        check_extensions(options.get("extensions"))
    except ValueError as error:
        raise OptionError(str(error)) from None
    _check_result_types(options.get("result_types", ()), options.get("extensions"))
    _check_rounds(options.get("max_rounds", 1))
    level = options.get("log_level")
    if level is not None and level not in LOGGING_LEVELS:
        raise OptionError(f"log_level= is one of {', '.join(LOGGING_LEVELS)}, not {level!r}")


def _check_auth(auth: Any, headers: Any) -> None:
    if isinstance(auth, type) and callable(getattr(auth, "opened", None)):
        raise OptionError(f"auth= is an object, not the class: write auth={auth.__name__}()")
    if auth is not None and not callable(getattr(auth, "opened", None)):
        raise OptionError(f"auth= is an object such as trimcp.auth.OAuth(), not {auth!r:.100}")
    check_texts("headers=", headers)
    for name in headers or () if auth is not None else ():
        if made := _AUTHORIZING.get(name.lower()):
            raise OptionError(f"auth= makes the header {made}: leave it out of headers=")


def _check_type(name: str, options: Mapping[str, Any], cls: type, what: str) -> None:
    value = options.get(name)
    if value is not None and not isinstance(value, cls):
        raise OptionError(f"{name}= is {what}, not {value!r:.100}")


def _check_rounds(value: Any) -> None:
    if type(value) is not int:
        raise OptionError(f"max_rounds= is a whole number, not {value!r:.100}")
    if value < 1:
        raise OptionError(f"max_rounds= is at least 1, not {value}")


def _check_result_types(value: Any, extensions: Any) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise OptionError(f"result_types= is a list of texts, not {value!r:.100}")
    if not all(isinstance(each, str) for each in value):
        raise OptionError(f"result_types= is a list of texts: {value!r:.100}")
    if value and not extensions:
        raise OptionError("result_types= belong to extensions=, and no extension is declared")


def checked_command(command: Any) -> list[str]:
    """A program and its arguments.

    Raises:
        OptionError: It is not a list of texts, or it is empty.
    """
    if isinstance(command, str | bytes | os.PathLike):
        text = os.fsdecode(command)
        try:
            parts = shlex.split(text)
        except ValueError:
            parts = [text]
        raise OptionError(
            f"a command is a list of the program and its arguments, since no shell is involved: "
            f"write {parts!r}"
        )
    if not isinstance(command, Sequence):
        raise OptionError(
            f"a command is a list of the program and its arguments, not {command!r:.100}"
        )
    if not command:
        raise OptionError("the command is empty: it is a list of the program and its arguments")
    if not all(isinstance(each, str | os.PathLike) for each in command):
        raise OptionError(f"the program and its arguments are texts: {list(command)!r:.200}")
    return [os.fspath(each) for each in command]


def checked_file(name: str) -> str:
    """A Python file to run. Raises FileNotFoundError if there is none."""
    if not os.path.isfile(name):
        raise FileNotFoundError(f"there is no Python file {name!r} (in {os.getcwd()!r})")
    return name


def check_env(env: Any) -> None:
    """Check that it can be added to a process's environment. Raises OptionError."""
    check_texts("env=", env)
    for name, value in (env or {}).items():
        if not name or "=" in name or "\0" in name + value:
            raise OptionError(f"env=: {name!r:.50} and its value cannot be in an environment")
