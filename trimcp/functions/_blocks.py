"""Making the content blocks of a tool result from any value.

Specification: Tools, Tool Result.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

import msgspec
from msgspec import Raw

from trimcp.protocol import WireResult
from trimcp.types import (
    UNSET,
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
)

from ._pydantic import to_json

__all__ = [
    "CONTENT",
    "content_result",
    "structured_result",
    "written_result",
    "written_text",
]

CONTENT: Final = (TextContent, ImageContent, AudioContent, ResourceLink, EmbeddedResource)
_BYTES: Final = (bytes, bytearray, memoryview)

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(str).decode
_NULL: Final = b"null"


def content_result(value: Any, *, promised: bool) -> CallToolResult:
    """The tool result for a value that is not checked against a schema.

    Args:
        value: Nothing, text, bytes, content blocks, or anything that can be written as JSON.
        promised: Whether the return annotation promises content: an empty list then means no
            content.

    Raises:
        TypeError, ValueError: It cannot be written as JSON.
    """
    if value is None:
        return CallToolResult(())
    if _is_block(value):
        return CallToolResult((_block(value),))
    is_many = isinstance(value, (list, tuple)) and (value or promised)
    if is_many and all(_is_block(each) for each in value):
        return CallToolResult(tuple(_block(each) for each in value))
    raw = to_json(value)
    structured: Any = Raw(raw) if raw[:1] == b"{" else UNSET
    return CallToolResult((TextContent(raw.decode()),), structured_content=structured)


def structured_result(value: Any, raw: bytes, *, is_text: bool) -> CallToolResult:
    """Structured content, and the same as text for clients that only read text.

    Args:
        value: What the function returned.
        raw: The JSON that is sent. The content repeats a text unchanged, everything else as JSON.
        is_text: Whether the function returns text or None: None then means no content.
    """
    content: tuple[TextContent, ...] = ()
    if _is_text(value, raw):
        content = (TextContent(_decode(raw)),)
    elif raw != _NULL or not is_text:
        content = (TextContent(raw.decode()),)
    return CallToolResult(content, structured_content=Raw(raw))


def written_text(text: str) -> WireResult:
    """The result for a text that promises nothing, written already."""
    return WireResult(b'"content":[{"text":%b,"type":"text"}]' % _encode(text))


def written_result(value: Any, raw: bytes, *, is_text: bool) -> WireResult:
    """The same as `structured_result`, written already, for revisions that do not wrap it."""
    if _is_text(value, raw):
        content = b'{"text":%b,"type":"text"}' % raw
    elif raw != _NULL or not is_text:
        content = b'{"text":%b,"type":"text"}' % _encode(raw.decode())
    else:
        content = b""
    return WireResult(b'"content":[%b],"structuredContent":%b' % (content, raw))


def _is_text(value: Any, raw: bytes) -> bool:
    """Whether a value that is written like this is content as it is.

    What is written may be another value than the function returned, for example without a secret.
    """
    return isinstance(value, str) and raw[:1] == b'"'


def _is_block(value: Any) -> bool:
    return isinstance(value, (str, *_BYTES, *CONTENT))


def _block(value: Any) -> Any:
    if isinstance(value, str):
        return TextContent(_plain(value))
    return _bytes_block(bytes(value)) if isinstance(value, _BYTES) else value


def _plain(text: str) -> str:
    """Any kind of string, such as a member of an enumeration, as a plain string."""
    return str.__str__(text)


def _bytes_block(data: bytes) -> TextContent | EmbeddedResource:
    """Text where it is UTF-8, otherwise a blob, named by its digest (RFC 6920)."""
    try:
        return TextContent(data.decode())
    except UnicodeDecodeError:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        blob = base64.b64encode(data).decode()
        contents = BlobResourceContents(f"ni:///sha-256;{digest}", blob, "application/octet-stream")
        return EmbeddedResource(contents)
