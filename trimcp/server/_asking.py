"""Asking the client, the same way in both eras.

Specification: Elicitation; Sampling; Roots; 2026-07-28, Multi Round-Trip Requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from trimcp.errors import INVALID_PARAMS, INVALID_REQUEST, AnswerRefused, RequestError
from trimcp.protocol import Era, InvalidShape, read_object
from trimcp.types import CreateMessageResult, ElicitResult, InputRequest, ListRootsResult, Root

from ._questions import (
    MAX_TOKENS,
    decode_answer,
    form_question,
    lacking,
    read_answer,
    read_form,
    roots_question,
    sampling_question,
    url_question,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trimcp.protocol import Revision
    from trimcp.runtime import Handler
    from trimcp.types import (
        IncludeContext,
        JSONObject,
        ModelPreferences,
        SamplingMessage,
        Tool,
        ToolChoice,
    )

    from ._services import Services

__all__ = ["Asking", "ask_by_request"]

AskedT = TypeVar("AskedT")


class Asking:
    """The questions of a `Context`.

    A question is awaited like a call. In the handshake era it is a request to the client. In the
    stateless era the handler waits between two requests of the client, bounded by `Limits.parked`.
    It never waits longer than `Limits.parked_seconds`, and the waiting does not count against a
    tool's timeout.

    Every question takes a `key`: a name for it, unique within the request. By default a digest of
    the question identifies it; a key is needed if the text differs between runs and the handler is
    registered with `replay=True`.

    All methods that ask raise these, besides the errors that they document:

    * `MissingCapability`: the client did not declare that it can answer (-32021 in the stateless
      era; a `RequestError` with -32600 in the handshake era, which has no code for it).
    * `RequestTimeout`: no answer came in time (handshake era).
    * `RequestError`: the request is of a kind that may not ask, or the answer is malformed.
    """

    __slots__ = ("_application", "_handler")

    def __init__(self, handler: Handler, application: Services) -> None:
        self._handler = handler
        self._application = application

    # -- elicitation ----------------------------------------------------------------------

    @overload
    async def elicit(
        self, message: str, asked: type[AskedT], *, key: str | None = None
    ) -> AskedT: ...

    @overload
    async def elicit(self, message: str, asked: Any, *, key: str | None = None) -> Any: ...

    async def elicit(self, message: str, asked: Any, *, key: str | None = None) -> Any:
        """Ask the user to fill in a form.

        Args:
            message: What the user is asked.
            asked: A pydantic model, dataclass, attrs class or TypedDict of primitive fields.
            key: A name for the question.

        Returns:
            An instance of `asked`.

        Raises:
            AnswerRefused: The user declined or dismissed the question.
            RegistrationError: `asked` cannot be asked for in a form.
            RequestError: It has a list of choices, and the request is of revision 2025-06-18.

        Specification: Elicitation, Form Mode.
        """
        wire = await self._ask(form_question(message, asked), key)
        return read_form(self._revision, wire, asked)

    async def elicit_url(self, message: str, url: str, *, key: str | None = None) -> None:
        """Ask the user to visit a URL, for data that must not pass through the client.

        It returns when the user has agreed to visit it, not when the visit is over.

        Args:
            message: The reason, for the user.
            url: The URL.
            key: A name for the question.

        Raises:
            AnswerRefused: The user declined or dismissed the question.
            ValueError: It is not an absolute URL.

        Specification: Elicitation, URL Mode (since 2025-11-25).
        """
        wire = await self._ask(url_question(message, url), key)
        result = decode_answer(self._revision, wire, ElicitResult)
        if result.action != "accept":
            raise AnswerRefused(result.action)

    # -- sampling and roots ---------------------------------------------------------------

    async def sample(
        self,
        messages: str | SamplingMessage | Sequence[str | SamplingMessage],
        *,
        max_tokens: int = MAX_TOKENS,
        system_prompt: str | None = None,
        temperature: float | None = None,
        stop_sequences: Sequence[str] | None = None,
        model_preferences: ModelPreferences | None = None,
        include_context: IncludeContext | None = None,
        metadata: JSONObject | None = None,
        tools: Sequence[Tool] | None = None,
        tool_choice: ToolChoice | None = None,
        key: str | None = None,
    ) -> CreateMessageResult:
        """Ask the client for a model's answer.

        Args:
            messages: The conversation; a text is a message of the user.
            max_tokens: The maximum length of the answer, in tokens.
            system_prompt: The system prompt.
            temperature: The sampling temperature.
            stop_sequences: Texts at which the model stops.
            model_preferences: Which model is preferred.
            include_context: Which servers' context the client should add (deprecated).
            metadata: Data for the model's provider.
            tools: Tools that the model may call; the answer then holds its calls, and the handler
                asks again with their results (since 2025-11-25).
            tool_choice: Whether the model must call a tool.
            key: A name for the question.

        Returns:
            The model's answer.

        Raises:
            ValueError: The messages cannot be expressed in the request's revision, or the tool
                results do not match the tool uses before them.

        Specification: Sampling (deprecated in 2026-07-28).
        """
        question = sampling_question(
            messages,
            max_tokens=max_tokens,
            system_prompt=system_prompt,
            temperature=temperature,
            stop_sequences=stop_sequences,
            model_preferences=model_preferences,
            include_context=include_context,
            metadata=metadata,
            tools=tools,
            tool_choice=tool_choice,
        )
        wire = await self._ask(question, key)
        return decode_answer(self._revision, wire, CreateMessageResult)

    async def list_roots(self, *, key: str | None = None) -> list[Root]:
        """Ask the client for its roots: the directories and files that the server should work on.

        Args:
            key: A name for the question.

        Specification: Roots (deprecated in 2026-07-28).
        """
        wire = await self._ask(roots_question(), key)
        return list(decode_answer(self._revision, wire, ListRootsResult).roots)

    # -- answers to questions that were returned ----------------------------------------------

    @property
    def input_responses(self) -> Mapping[str, Any] | None:
        """The answers that this run was started with, in wire form, by key.

        None if the client sent none; see `InputRequired`.
        """
        return self._handler.retry.responses

    @overload
    def input_response(self, key: str, asked: type[AskedT]) -> AskedT | None: ...

    @overload
    def input_response(self, key: str, asked: Any) -> Any: ...

    def input_response(self, key: str, asked: Any) -> Any:
        """The answer to a question of an `InputRequired`, or None if the client did not send it.

        Args:
            key: The question's key.
            asked: The type that the form asked for; `CreateMessageResult` or `ListRootsResult` for
                the other questions, `ElicitResult` for the unconverted answer to an elicitation.

        Raises:
            AnswerRefused: The user declined or dismissed the form.
            RequestError: The answer is malformed or does not fit.
        """
        wire = (self._handler.retry.responses or {}).get(key)
        return None if wire is None else read_answer(self._revision, wire, asked)

    @property
    def request_state(self) -> Any:
        """The `state` of the `InputRequired` that led to this run, or None."""
        return self._handler.retry.kept

    # -- how ------------------------------------------------------------------------------

    @property
    def _revision(self) -> Revision:
        # The round with the answer may have another revision than the first round.
        return self._handler.exchange.terms.revision

    async def _ask(self, question: InputRequest, key: str | None) -> dict[str, Any]:
        """Ask the client a question in the way of the request's era."""
        exchange = self._handler.exchange
        if (error := lacking(exchange.terms, question)) is not None:
            raise error
        if exchange.terms.revision.era is Era.HANDSHAKE:
            return await ask_by_request(self, question)
        if exchange.method not in exchange.terms.revision.multi_round:
            raise RequestError(INVALID_REQUEST, f"{exchange.method} may not ask the client")
        return await self._application.parking.ask(self._handler, question, key)


async def ask_by_request(context: Asking, question: InputRequest) -> dict[str, Any]:
    """Ask a client of the handshake era. Raises RequestError, RequestTimeout, ConnectionLost."""
    handler = context._handler
    peer, exchange, method = handler.peer, handler.exchange, question.method
    if method not in exchange.terms.revision.server_requests:
        raise RequestError(INVALID_REQUEST, f"{method} is not part of this protocol revision")
    if peer.connection is None or not peer.connection.is_initialized:
        # Lifecycle: nothing but pings and logs before `notifications/initialized`.
        raise RequestError(INVALID_REQUEST, "the client has not finished the handshake")
    handler.pause()
    try:
        _, raw = await peer.request(
            method,
            question.params,
            terms=exchange.terms,
            timeout=context._application.limits.parked_seconds,
        )
    finally:
        handler.resume()
    try:
        return read_object(raw)
    except InvalidShape as error:
        raise RequestError(INVALID_PARAMS, f"the answer is malformed: {error}") from None
