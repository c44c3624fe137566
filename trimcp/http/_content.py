"""What a client says about its body, and about the answers that it takes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from trimcp.protocol.http import JSON, Headers, accepts, media_type

from ._visits import Refused

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

__all__ = ["check_accept", "check_content"]

#: The number and the length of the texts that are remembered; refusals never are.
_REMEMBERED: Final = 64
_REMEMBERED_LENGTH: Final = 256


def check_content(headers: Headers) -> None:
    """Check that the body is uncompressed JSON. Raises Refused (415)."""
    _judge(_check_type, headers.get("content-type", ""))
    if headers.get("content-encoding", "identity").lower() != "identity":
        plain = {"accept-encoding": "identity"}
        raise Refused(415, "the body must not be compressed", headers=plain)


def check_accept(headers: Headers, *wanted: str) -> None:
    """Check that the client accepts each of these media types. Raises Refused (406)."""
    accept = headers.get("accept")
    if accept is not None:
        _judge(_check_accepted, accept, wanted)


def _judge(check: _lru_cache_wrapper[None], text: str, *more: Any) -> None:
    """Check what a client sends with each request. What was found right is remembered, if short."""
    if len(text) <= _REMEMBERED_LENGTH:
        check(text, *more)
    else:
        check.__wrapped__(text, *more)


@lru_cache(_REMEMBERED)
def _check_type(text: str) -> None:
    if media_type(text) != JSON:
        raise Refused(415, f"the Content-Type must be {JSON}", headers={"accept": JSON})


@lru_cache(_REMEMBERED)
def _check_accepted(accept: str, wanted: tuple[str, ...]) -> None:
    if not all(accepts(accept, each) for each in wanted):
        raise Refused(406, f"the client must accept {' and '.join(wanted)}")
