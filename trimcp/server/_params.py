"""The params of the protocol's own requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from trimcp.errors import INVALID_PARAMS, RequestError
from trimcp.protocol import DecodeError, codec_for, read_object

if TYPE_CHECKING:
    from trimcp.protocol import Exchange

__all__ = ["params_as"]

ParamsT = TypeVar("ParamsT")


def params_as(exchange: Exchange, cls: type[ParamsT]) -> ParamsT:
    """The params of a request as a payload. Raises RequestError."""
    try:
        return codec_for(exchange.terms.revision).decode(read_object(exchange.params), cls)
    except DecodeError as error:
        raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None
