"""What a parser of HTTP/1.1 requests does: it takes bytes and returns what they say.

There are two, one on httptools and one on h11. Both leave the judgement of a head to `read_head`.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._heads import BadRequest, RequestHead

__all__ = ["END", "Event", "MakeParser", "Parser"]


class _Marker(Enum):
    END = auto()


#: The end of a request.
END: Final = _Marker.END

#: The head of a request, a piece of its body, the end of the request, or a refusal, after which
#: nothing more comes.
Event: TypeAlias = "RequestHead | bytes | _Marker | BadRequest"


class Parser(Protocol):
    """Reads the requests on one connection. Never waits, and holds at most one head."""

    @property
    def rest(self) -> bytes:
        """What followed the head of a WebSocket's handshake; it belongs to another protocol."""

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes from the client.

        Args:
            data: At least one byte.

        Returns:
            What they complete. Trailers of a body are dropped. Nothing follows a refusal, the end
            of the last request (`RequestHead.is_last`), or a WebSocket's handshake; what the client
            sends after the last request is ignored.
        """


#: Makes the parser of one connection, with the most bytes that a head may have.
MakeParser: TypeAlias = "Callable[[int], Parser]"
