"""The answers of servers, as text for people."""

from __future__ import annotations

import json
from functools import singledispatch
from typing import TYPE_CHECKING

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

from ._screen import printable

if TYPE_CHECKING:
    from trimcp.types import TextResourceContents

__all__ = ["describe", "describe_resource", "failure_text", "speech", "texts_of"]


def texts_of(result: CallToolResult) -> list[str]:
    """Text unchanged, a line about other content, and structured content if there is no text."""
    texts = [describe(each).removesuffix("\n") for each in result.content]
    has_text = any(isinstance(each, TextContent) for each in result.content)
    if not has_text and result.structured_content is not UNSET:
        texts.append(json.dumps(result.structured_content, indent=2, ensure_ascii=False))
    return texts


def failure_text(result: CallToolResult) -> str:
    """The text of a tool that failed; a general sentence if the tool gave none."""
    return "\n".join(texts_of(result)) or "the tool failed and did not say why"


def speech(role: str, text: str) -> str:
    """A message: the role, then the text, with further lines indented."""
    return "\n  ".join(f"{role}: {text}".removesuffix("\n").split("\n"))


@singledispatch
def describe(content: object) -> str:
    """Text unchanged, or a line about other content."""
    return f"[{type(content).__name__}]"


@describe.register
def _(content: TextContent) -> str:
    return content.text


@describe.register
def _(content: ImageContent) -> str:
    return f"[image: {printable(content.mime_type)}, {_size(content.data)}]"


@describe.register
def _(content: AudioContent) -> str:
    return f"[audio: {printable(content.mime_type)}, {_size(content.data)}]"


@describe.register
def _(content: ResourceLink) -> str:
    return printable(f"[link: {content.uri}, {content.title or content.name}]")


@describe.register
def _(content: EmbeddedResource) -> str:
    return describe_resource(content.resource)


def describe_resource(contents: TextResourceContents | BlobResourceContents) -> str:
    """A line about the contents of a resource."""
    if isinstance(contents, BlobResourceContents):
        size = _size(contents.blob)
    else:
        size = f"{len(contents.text):,} characters"
    facts = filter(None, (contents.uri, contents.mime_type, size))
    return printable(f"[resource: {', '.join(facts)}]")


def _size(base64: str) -> str:
    """The number of bytes that a base64 text encodes."""
    return f"{len(base64.rstrip('=')) * 3 // 4:,} bytes"
