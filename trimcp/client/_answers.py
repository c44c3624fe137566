"""Answering what the server asks, in both eras.

In the handshake era a question is a request of the server; in the stateless era it comes as the
result of a call, and the answers go back with the call's retry.

Specification: Elicitation; 2026-07-28, Multi Round-Trip Requests, Client Requirements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from trimcp._groups import unwrapping
from trimcp.errors import INVALID_PARAMS, ProtocolViolation, RequestError
from trimcp.protocol import DecodeError, InvalidShape, codec_for, read_object
from trimcp.runtime import method_not_found
from trimcp.types import ElicitRequestFormParams, ElicitResult, EmptyResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trimcp.protocol import Revision
    from trimcp.runtime import Frame
    from trimcp.types import InputRequiredResult

__all__ = ["Answerer", "ElicitationCallback"]

#: Asked with the form; returns the content, an `ElicitResult`, or None for "declined".
ElicitationCallback: TypeAlias = (
    "Callable[[ElicitRequestFormParams], Awaitable[Mapping[str, Any] | ElicitResult | None]]"
)


class Answerer:
    """Runs the user's callbacks.

    Args:
        elicitation: Answers form questions; None if the client cannot.
    """

    def __init__(self, elicitation: ElicitationCallback | None) -> None:
        self._elicitation = elicitation

    async def handle(self, frame: Frame) -> Any:
        """A request of the server. Raises RequestError."""
        exchange = frame.exchange
        if exchange.method == "ping":
            return EmptyResult()
        if exchange.method not in exchange.terms.revision.server_requests:
            raise method_not_found(exchange.method)
        try:
            params = read_object(exchange.params)
        except InvalidShape as error:
            raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None
        return await self._answer(exchange.method, params, exchange.terms.revision)

    async def answer_all(
        self, result: InputRequiredResult, revision: Revision
    ) -> dict[str, Any] | None:
        """Answer every question of a round, side by side.

        Returns:
            The answers in wire form, by key; None if there was no question.

        Raises:
            ProtocolViolation: A question is of a kind that this client did not declare.
        """
        if not result.input_requests:
            return None
        answers: dict[str, Any] = {}
        codec = codec_for(revision)

        async def answer(key: str, method: str, params: Any) -> None:
            wire = {} if params is None else codec.encode(params)
            try:
                answers[key] = codec.encode(await self._answer(method, wire, revision))
            except RequestError as error:
                raise ProtocolViolation(
                    f"the question {key!r} cannot be answered: {error}"
                ) from error

        with unwrapping():
            async with trio.open_nursery() as nursery:
                for key, question in result.input_requests.items():
                    nursery.start_soon(answer, key, question.method, question.params)
        return answers

    async def _answer(self, method: str, params: dict[str, Any], revision: Revision) -> Any:
        if method != "elicitation/create" or self._elicitation is None:
            raise method_not_found(method)
        try:
            form = codec_for(revision).decode(params, ElicitRequestFormParams)
        except DecodeError as error:
            raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None
        answer = await self._elicitation(form)
        if isinstance(answer, ElicitResult):
            return answer
        if answer is None:
            return ElicitResult("decline")
        return ElicitResult("accept", dict(answer))
