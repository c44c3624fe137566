"""A tool's result as text for people."""

from __future__ import annotations

import json
from functools import singledispatch

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

from ._terminal import printable

__all__ = ["as_text", "failure_text"]


def as_text(result: CallToolResult) -> str:
    """Text as it is, a line about everything else, and structured content if there is no text."""
    lines = [_describe(each).removesuffix("\n") for each in result.content]
    has_text = any(isinstance(each, TextContent) for each in result.content)
    if not has_text and result.structured_content is not UNSET:
        lines.append(json.dumps(result.structured_content, indent=2, ensure_ascii=False))
    return "\n".join(lines)


def failure_text(result: CallToolResult) -> str:
    """The same for a tool that failed, which may have said nothing."""
    return as_text(result) or "the tool failed and did not say why"


@singledispatch
def _describe(content: object) -> str:
    return f"[{type(content).__name__}]"


@_describe.register
def _(content: TextContent) -> str:
    return content.text


@_describe.register
def _(content: ImageContent) -> str:
    return f"[image: {printable(content.mime_type)}, {_size(content.data)}]"


@_describe.register
def _(content: AudioContent) -> str:
    return f"[audio: {printable(content.mime_type)}, {_size(content.data)}]"


@_describe.register
def _(content: ResourceLink) -> str:
    return printable(f"[link: {content.uri}, {content.title or content.name}]")


@_describe.register
def _(content: EmbeddedResource) -> str:
    inner = content.resource
    if isinstance(inner, BlobResourceContents):
        size = _size(inner.blob)
    else:
        size = f"{len(inner.text):,} characters"
    return printable(f"[resource: {inner.uri}, {size}]")


def _size(base64: str) -> str:
    """How many bytes a text in base64 stands for."""
    return f"{len(base64.rstrip('=')) * 3 // 4:,} bytes"
