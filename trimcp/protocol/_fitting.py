"""Errors and notifications that fit into the size limit of a message.

A result that does not fit is replaced by the caller. An error loses its data, then the end of its
text. A notification that carries a text for people (progress, log messages) loses the end of this
text; any other is refused.

Specification: none; peers skip messages that are longer than they accept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from trimcp.errors import LimitExceeded

from ._messages import encode_failure, encode_notification

if TYPE_CHECKING:
    from ._messages import RequestId

__all__ = ["fitting_failure", "fitting_notification"]

#: The member of a notification's params that may be shortened.
_TEXTS: Final = {"notifications/progress": "message", "notifications/message": "data"}

#: The end of a text that was shortened.
_MARK: Final = "... (cut)"

_encode: Final = msgspec.json.Encoder().encode


def fitting_failure(
    identity: RequestId | None, code: int, message: str, data: Any, *, omit_id: bool, limit: int
) -> bytes:
    """An error answer of at most `limit` bytes, if its id is not longer than that.

    Arguments and errors as for `encode_failure`.
    """
    answer = encode_failure(identity, code, message, data, omit_id=omit_id)
    if len(answer) > limit and data is not None:
        answer = encode_failure(identity, code, message, None, omit_id=omit_id)
    if len(answer) > limit:
        bare = encode_failure(identity, code, "", None, omit_id=omit_id)
        text = _cut(message, limit - len(bare))
        answer = encode_failure(identity, code, text, None, omit_id=omit_id)
    return answer


def fitting_notification(method: str, wire: dict[str, Any] | None, limit: int) -> bytes:
    """A notification of at most `limit` bytes.

    Args:
        method: Its method.
        wire: Its params, or None for none.
        limit: The maximum number of bytes.

    Raises:
        LimitExceeded: It is longer, and has no text that can be shortened.
        TypeError, ValueError: It holds something that JSON cannot express.
    """
    data = encode_notification(method, wire)
    if len(data) <= limit:
        return data
    member = _TEXTS.get(method)
    if wire is not None and member is not None and wire.get(member) is not None:
        text = wire[member] if isinstance(wire[member], str) else _encode(wire[member]).decode()
        room = limit - len(encode_notification(method, {**wire, member: ""}))
        if room >= len(_MARK):
            return encode_notification(method, {**wire, member: _cut(text, room)})
    raise LimitExceeded(f"{method}: a message of {len(data)} bytes is longer than {limit}")


def _cut(text: str, room: int) -> str:
    """The beginning of a text, at most `room` bytes long in JSON, without its quotes."""
    room = max(room - len(_MARK), 0)
    kept = text[:room]
    while (size := len(_encode(kept)) - 2) > room:
        # Characters take one to six bytes; each turn removes at least an eighth of the text.
        kept = kept[: min(len(kept) * room // size, len(kept) * 7 // 8)]
    return kept + _MARK
