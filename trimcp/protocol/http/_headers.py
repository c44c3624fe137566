"""The headers that repeat parts of the body, so that intermediaries need not parse it.

Specification: 2026-07-28, Streamable HTTP, Request Metadata.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ._values import InvalidValue, encode_value, text_of

if TYPE_CHECKING:
    from ._annotations import HeaderParam

__all__ = [
    "ACCEPT_BOTH",
    "EVENT_STREAM",
    "JSON",
    "LAST_EVENT_ID",
    "METHOD",
    "NAME",
    "PROTOCOL_VERSION",
    "SESSION_ID",
    "Headers",
    "accepts",
    "argument_headers",
    "fold_headers",
    "has_websocket_key",
    "media_type",
    "mirror_headers",
    "source_of_name",
]

#: Headers by their names in lower case.
Headers: TypeAlias = Mapping[str, str]

PROTOCOL_VERSION: Final = "mcp-protocol-version"
METHOD: Final = "mcp-method"
NAME: Final = "mcp-name"
SESSION_ID: Final = "mcp-session-id"
LAST_EVENT_ID: Final = "last-event-id"

JSON: Final = "application/json"
EVENT_STREAM: Final = "text/event-stream"
ACCEPT_BOTH: Final = f"{JSON}, {EVENT_STREAM}"

#: A weight of zero, which means that the type is not accepted.
_NO_WEIGHT: Final = re.compile(r"q=0(\.0{0,3})?")

_WEBSOCKET_KEY: Final = b"sec-websocket-key"
_WEBSOCKET_KEY_BYTES: Final = 16

#: The member of `params` that `Mcp-Name` repeats.
_NAMED_BY: Final[Mapping[str, Literal["name", "uri"]]] = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
}


#: Names that clients send, as they are written most often.
_KNOWN: Final = {
    name.encode(): name
    for name in (
        *("accept", "accept-encoding", "authorization", "connection", "content-length"),
        *("content-type", "host", "origin", "user-agent"),
        *(PROTOCOL_VERSION, METHOD, NAME, SESSION_ID, LAST_EVENT_ID),
    )
}


def fold_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers of a request, with lower-case names and no white space around the values.

    The values of a repeated header are joined with a comma, as HTTP defines it, so a repeated
    header does not equal a value of the body.
    """
    folded: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for raw_name, raw_value in pairs:
        name = _KNOWN.get(raw_name) or raw_name.decode("latin-1").lower()
        value = raw_value.decode("latin-1").strip(" \t")
        if name in folded:
            repeated.setdefault(name, [folded[name]]).append(value)
        else:
            folded[name] = value
    for name, values in repeated.items():
        folded[name] = ", ".join(values)
    return folded


def media_type(value: str) -> str:
    """The media type of a `Content-Type`, without its parameters."""
    return value.partition(";")[0].strip(" \t").lower()


def accepts(accept: str, wanted: str) -> bool:
    """Whether a client accepts a media type.

    Args:
        accept: Its `Accept` header.
        wanted: The media type.

    The most specific range that matches decides, and a range with `q=0` refuses.

    Specification: RFC 9110, 12.5.1.
    """
    fitting = ("*/*", f"{wanted.partition('/')[0]}/*", wanted)
    best, is_accepted = -1, False
    for each in accept.split(","):
        name, *parameters = (part.strip(" \t").lower() for part in each.split(";"))
        rank = fitting.index(name) if name in fitting else -1
        is_refusal = any(_NO_WEIGHT.fullmatch(part) for part in parameters)
        if rank > best or (rank == best >= 0 and not is_refusal):
            best, is_accepted = rank, not is_refusal
    return is_accepted


def source_of_name(method: str) -> Literal["name", "uri"] | None:
    """The member of `params` that `Mcp-Name` repeats; None where there is no such header."""
    return _NAMED_BY.get(method)


def mirror_headers(revision: str, method: str, params: Mapping[str, Any] | None) -> dict[str, str]:
    """The standard headers of a request.

    Args:
        revision: The name of the revision that the request is written in.
        method: Its method.
        params: Its params in wire form.

    Raises:
        InvalidValue: The name or URI for `Mcp-Name` is not Unicode.
    """
    headers = {PROTOCOL_VERSION: revision, METHOD: method}
    source = source_of_name(method)
    name = None if source is None or params is None else params.get(source)
    if isinstance(name, str):
        headers[NAME] = encode_value(name)
    return headers


def argument_headers(params: Iterable[HeaderParam], arguments: Mapping[str, Any]) -> dict[str, str]:
    """The `Mcp-Param-…` headers of a call.

    Args:
        params: The tool's mirrored parameters.
        arguments: The call's arguments.

    Raises:
        InvalidValue: An argument cannot be mirrored exactly; the message names it.
    """
    headers: dict[str, str] = {}
    for param in params:
        try:
            text = text_of(param.find(arguments))
            if text is not None:
                headers[param.header] = encode_value(text)
        except InvalidValue as error:
            where = ".".join(param.path)
            raise InvalidValue(f"argument {where!r} cannot be mirrored: {error}") from None
    return headers


def has_websocket_key(pairs: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers of a WebSocket handshake hold exactly one key, 16 bytes in base64.

    Specification: RFC 6455, 4.2.1.
    """
    keys = [value for name, value in pairs if name.lower() == _WEBSOCKET_KEY]
    if len(keys) != 1:
        return False
    try:
        return len(base64.b64decode(keys[0], validate=True)) == _WEBSOCKET_KEY_BYTES
    except binascii.Error:
        return False
