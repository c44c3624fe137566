"""Requests that HTTP itself has a word for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import FORBIDDEN, INVALID_REQUEST, LIMIT_EXCEEDED, SHUTTING_DOWN
from trimcp.protocol import encode_failure

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Refused", "no_room"]

_CODES: Final = {
    403: FORBIDDEN,
    408: LIMIT_EXCEEDED,
    413: LIMIT_EXCEEDED,
    503: SHUTTING_DOWN,
}


class Refused(Exception):
    """The request is answered with a status; its body is an error response without an id.

    Args:
        status: The HTTP status.
        message: One sentence.
        headers: Further headers of the answer.
        code: The error code, where the status does not say it.
        data: More about the error, as JSON.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        code: int | None = None,
        data: Any = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.code = _CODES.get(status, INVALID_REQUEST) if code is None else code
        self.data = data

    @property
    def body(self) -> bytes:
        """The error response."""
        return encode_failure(None, self.code, self.message, self.data, omit_id=True)


def no_room() -> Refused:
    """There is no room for what a request brings, because of what is held for others."""
    message = "too much is held for clients at the moment: try again later"
    return Refused(503, message, headers={"retry-after": "1"}, code=LIMIT_EXCEEDED)
