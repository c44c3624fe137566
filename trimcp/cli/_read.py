"""`trimcp read`: read one resource."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Final

import attrs

from trimcp.errors import METHOD_NOT_FOUND, RequestError
from trimcp.types import TextResourceContents

from ._answers import connected_to_answer
from ._errors import CommandError
from ._logins import is_url
from ._options import QUESTIONS, TARGET, Answering, Connecting, find_target, refuse_more, usage
from ._output import chosen_output, encoded, write_bytes, write_json, write_texts
from ._results import describe_resource
from ._terminal import Terminal

if TYPE_CHECKING:
    import argparse

    from trimcp.client import Client
    from trimcp.types import BlobResourceContents, ReadResourceResult


__all__ = ["Reading"]


#: Help about the forms of the result.
_OUTPUTS: Final = """
--output text prints texts unchanged and a line about everything else, json the whole answer, and
raw the bytes of the contents, one after another.
"""

_NONE: Final = "the server has no resources at all"


@attrs.frozen(kw_only=True)
class Reading(Answering):
    """`trimcp read`.

    Attributes:
        uri: The URI of the resource.
    """

    uri: str

    @staticmethod
    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.usage = usage("read", "URI")
        parser.description = "Read a resource of a server and print its contents."
        parser.epilog = TARGET + _OUTPUTS + QUESTIONS
        Answering.add_answers(parser)
        Connecting.add_common(parser, "text", "json", "raw")

    @classmethod
    def read(cls, found: argparse.Namespace, command: list[str] | None) -> Reading:
        target, words = find_target(found.words, command)
        if not words:
            raise ValueError("give the URI to read")
        refuse_more(words[1:], "read takes one URI")
        return cls(target=target, uri=words[0], **cls.read_answers(found))

    async def talk(self) -> int:
        """Read the resource.

        Raises:
            CommandError: The server cannot be reached, or has no resources.
            MCPError: It does not answer as it must, or does not know the URI.
        """
        await _read(self)
        return 0


async def _read(options: Reading) -> None:
    terminal = Terminal(has_bar=not options.verbosity)
    async with connected_to_answer(options, terminal) as client:
        is_declared = client.capabilities.resources is not None
        if not is_declared and not is_url(options.target):
            raise CommandError(_NONE)
        try:
            async with terminal.bar():
                result = await client.read_resource(options.uri)
        except RequestError as error:
            if is_declared or error.code != METHOD_NOT_FOUND:
                raise
            raise CommandError(_NONE) from error
        _show(result, client, options)


def _show(result: ReadResourceResult, client: Client, options: Reading) -> None:
    output = chosen_output(options.output)
    if output == "json":
        write_json(encoded(result, client))
    elif output == "raw":
        write_bytes(b"".join(map(_bytes, result.contents)))
    else:
        write_texts(map(_text, result.contents))


def _text(contents: TextResourceContents | BlobResourceContents) -> str:
    """Text unchanged, or a line about other contents."""
    if isinstance(contents, TextResourceContents):
        return contents.text.removesuffix("\n")
    return describe_resource(contents)


def _bytes(contents: TextResourceContents | BlobResourceContents) -> bytes:
    if isinstance(contents, TextResourceContents):
        return contents.text.encode(errors="surrogatepass")
    try:
        return b64decode(contents.blob, validate=True)
    except ValueError as error:
        raise CommandError(f"{contents.uri} is not in base64: {error}") from None
