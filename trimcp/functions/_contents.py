"""Making the protocol's payloads from what handlers of resources and prompts return.

Specification: Resources, Resource Contents; Prompts, PromptMessage.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from trimcp.types import (
    AudioContent,
    BlobResourceContents,
    EmbeddedResource,
    GetPromptResult,
    ImageContent,
    PromptMessage,
    ReadResourceResult,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from ._pydantic import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["prompt_result", "read_result"]

_CONTENTS: Final = (TextResourceContents, BlobResourceContents)
_BLOCKS: Final = (TextContent, ImageContent, AudioContent, ResourceLink, EmbeddedResource)


def read_result(value: Any, uri: str, mime_type: str | None) -> ReadResourceResult:
    """The result of `resources/read`.

    Text becomes text and bytes become a blob; resource contents (one or several) are unchanged, and
    everything else becomes JSON.

    Args:
        value: What the handler returned.
        uri: The URI that was read.
        mime_type: The registered MIME type, or None to choose it by the value.

    Raises:
        TypeError, ValueError: The value cannot be written as JSON.
    """
    if isinstance(value, ReadResourceResult):
        return value
    if isinstance(value, _CONTENTS):
        return ReadResourceResult((value,))
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, _CONTENTS) for v in value):
        return ReadResourceResult(tuple(value))
    return ReadResourceResult((_contents(value, uri, mime_type),))


def _contents(
    value: Any, uri: str, mime_type: str | None
) -> TextResourceContents | BlobResourceContents:
    if isinstance(value, str):
        return TextResourceContents(uri, value, mime_type or "text/plain")
    if isinstance(value, (bytes, bytearray, memoryview)):
        blob = base64.b64encode(value).decode()
        return BlobResourceContents(uri, blob, mime_type or "application/octet-stream")
    return TextResourceContents(uri, to_json(value).decode(), mime_type or "application/json")


def prompt_result(value: Any, description: str | None) -> GetPromptResult:
    """The result of `prompts/get`.

    The value is a text, a content block, a message, a mapping in place of a block or message, or
    several of these. Texts and blocks become messages of the user.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(value, GetPromptResult):
        return value
    many = value if isinstance(value, (list, tuple)) else (value,)
    return GetPromptResult(tuple(_messages(many)), description)


def _messages(values: Iterable[Any]) -> Iterable[PromptMessage]:
    for value in values:
        if isinstance(value, PromptMessage):
            yield value
        elif isinstance(value, Mapping):
            # It is converted to a payload when it is encoded.
            message: Any = value if "role" in value else PromptMessage("user", cast("Any", value))
            yield message
        elif isinstance(value, str):
            yield PromptMessage("user", TextContent(value))
        elif isinstance(value, _BLOCKS):
            yield PromptMessage("user", value)
        else:
            raise TypeError(f"a prompt gives text, content or messages, not {type(value).__name__}")
