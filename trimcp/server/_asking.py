"""Asking the client, the same way in both eras.

Specification: Elicitation; Sampling; Roots; 2026-07-28, Multi Round-Trip Requests.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from trimcp.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    AnswerRefused,
    MissingCapability,
    RequestError,
)
from trimcp.protocol import DecodeError, Era, InvalidShape, codec_for, read_object
from trimcp.runtime import BadArguments, compile_form, flaw_of_conversation
from trimcp.types import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequest,
    ListRootsResult,
    Root,
    SamplingCapability,
    SamplingMessage,
    TextContent,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimcp.runtime import Frame
    from trimcp.types import IncludeContext, JSONObject, ModelPreferences, Tool, ToolChoice

    from ._application import Application

__all__ = ["Asking"]

AskedT = TypeVar("AskedT")
ResultT = TypeVar("ResultT")

_MAX_TOKENS: Final = 1000

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


class Asking:
    """The questions of a `Context`.

    A question is awaited like a call. In the handshake era it is one: a request to the client.
    In the stateless era the handler waits between two requests of the client, bounded by
    `Limits.parked`. It never waits longer than `Limits.parked_seconds`, and waiting does not count
    against a tool's timeout.

    Every question takes a `key`: a name for it, unique within the request. By default a digest of
    the question identifies it; a key is needed where its text differs from run to run and the
    handler is registered with `replay=True`.

    All of them raise, besides what they name:

    * `MissingCapability`: the client did not declare that it can answer (-32021 in the stateless
      era; a `RequestError` with -32600 in the handshake era, which has no code for it).
    * `RequestTimeout`: no answer came in time (handshake era).
    * `RequestError`: the request is of a kind that may not ask, or the answer is malformed.
    """

    __slots__ = ("_application", "_frame")

    def __init__(self, frame: Frame, application: Application) -> None:
        self._frame = frame
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

        Specification: Elicitation, Form Mode.
        """
        form = compile_form(asked)
        declared = self._frame.exchange.terms.capabilities.elicitation
        # An empty declaration means forms.
        if declared is None or (declared.form is None and declared.url is not None):
            raise self._lacking("ask its user (elicitation)", {"elicitation": {"form": {}}})
        params = ElicitRequestFormParams(message, form.schema)
        result = await self._ask("elicitation/create", params, ElicitResult, key)
        if result.action != "accept":
            raise AnswerRefused(result.action)
        try:
            return form.read(result.content or {})
        except BadArguments as error:
            raise RequestError(INVALID_PARAMS, f"the answer does not fit: {error}") from None

    async def elicit_url(self, message: str, url: str, *, key: str | None = None) -> None:
        """Ask the user to visit a URL, for what must not pass through the client.

        It returns when the user has agreed, not when they are done there.

        Args:
            message: Why they should.
            url: Where to.
            key: A name for the question.

        Raises:
            AnswerRefused: The user declined or dismissed the question.
            ValueError: It is no absolute URL.

        Specification: Elicitation, URL Mode (since 2025-11-25).
        """
        if not _URL.fullmatch(url):
            raise ValueError(f"{url!r} is no absolute URL")
        declared = self._frame.exchange.terms.capabilities.elicitation
        if declared is None or declared.url is None:
            raise self._lacking("send its user to a URL", {"elicitation": {"url": {}}})
        params = ElicitRequestURLParams(message, url, elicitation_id=str(uuid.uuid4()))
        result = await self._ask("elicitation/create", params, ElicitResult, key)
        if result.action != "accept":
            raise AnswerRefused(result.action)

    # -- sampling and roots ---------------------------------------------------------------

    async def sample(
        self,
        messages: str | SamplingMessage | Sequence[str | SamplingMessage],
        *,
        max_tokens: int = _MAX_TOKENS,
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
            max_tokens: How long the answer may be, in tokens.
            system_prompt: What the model should be told first.
            temperature: How freely it should answer.
            stop_sequences: Where it should stop.
            model_preferences: Which model would be best.
            include_context: What the client should add of the servers' context (deprecated).
            metadata: For the model's provider.
            tools: What the model may call; the answer then holds its calls, and the handler asks
                again with their results (since 2025-11-25).
            tool_choice: Whether it must.
            key: A name for the question.

        Returns:
            What the model said.

        Raises:
            ValueError: The messages cannot be said in the request's revision, or the results of
                tools do not answer the uses before them.

        Specification: Sampling (deprecated in 2026-07-28).
        """
        declared = self._frame.exchange.terms.capabilities.sampling
        if declared is None:
            raise self._lacking("sample a model", {"sampling": {}})
        if declared.tools is None and (tools is not None or tool_choice is not None):
            raise self._lacking("sample a model with tools", {"sampling": {"tools": {}}})
        wants_context = include_context not in (None, "none")
        if wants_context and declared.context is None and self._knows_context:
            raise self._lacking("add its servers' context", {"sampling": {"context": {}}})
        conversation = _conversation(messages)
        if (flaw := flaw_of_conversation(conversation)) is not None:
            raise ValueError(flaw)
        params = CreateMessageRequestParams(
            conversation,
            max_tokens,
            model_preferences,
            system_prompt,
            include_context,
            temperature,
            stop_sequences,
            metadata,
            tools,
            tool_choice,
        )
        return await self._ask("sampling/createMessage", params, CreateMessageResult, key)

    @property
    def _knows_context(self) -> bool:
        """Whether clients of this revision declare that they can add context."""
        hidden = self._frame.exchange.terms.revision.hidden.get(SamplingCapability, ())
        return "context" not in hidden

    async def list_roots(self, *, key: str | None = None) -> list[Root]:
        """Ask the client which directories and files it wants to be worked on.

        Args:
            key: A name for the question.

        Specification: Roots (deprecated in 2026-07-28).
        """
        if self._frame.exchange.terms.capabilities.roots is None:
            raise self._lacking("list its roots", {"roots": {}})
        result = await self._ask("roots/list", None, ListRootsResult, key)
        return list(result.roots)

    # -- how ------------------------------------------------------------------------------

    def _lacking(self, what: str, required: dict[str, Any]) -> RequestError:
        """The error for a client that did not declare what the question needs."""
        flaw = f"this needs a client that can {what}"
        if self._frame.exchange.terms.revision.era is Era.STATELESS:
            return MissingCapability(flaw, required)
        return RequestError(INVALID_REQUEST, flaw)

    async def _ask(self, method: str, params: Any, cls: type[ResultT], key: str | None) -> ResultT:
        """Put a question to the client in the way of the request's era."""
        exchange = self._frame.exchange
        revision = exchange.terms.revision
        if revision.era is Era.HANDSHAKE:
            wire = await self._ask_by_request(method, params)
        elif exchange.method not in revision.multi_round:
            raise RequestError(INVALID_REQUEST, f"{exchange.method} may not ask the client")
        else:
            request = InputRequest(method, params)
            wire = await self._application.parking.ask(self._frame, request, key)
        try:
            # The round that brought the answer may be of another revision than the first.
            return codec_for(self._frame.exchange.terms.revision).decode(wire, cls)
        except DecodeError as error:
            raise RequestError(INVALID_PARAMS, f"the answer is malformed: {error}") from None

    async def _ask_by_request(self, method: str, params: Any) -> dict[str, Any]:
        peer, exchange = self._frame.peer, self._frame.exchange
        if method not in exchange.terms.revision.server_requests:
            raise RequestError(INVALID_REQUEST, f"{method} is not part of this protocol revision")
        if not peer.connection.is_initialized:
            # Lifecycle: nothing but pings and logs before `notifications/initialized`.
            raise RequestError(INVALID_REQUEST, "the client has not finished the handshake")
        seconds = self._application.server.limits.parked_seconds
        self._frame.pause()
        try:
            _, raw = await peer.request(method, params, terms=exchange.terms, timeout=seconds)
        finally:
            self._frame.resume()
        try:
            return read_object(raw)
        except InvalidShape as error:
            raise RequestError(INVALID_PARAMS, f"the answer is malformed: {error}") from None


def _conversation(
    messages: str | SamplingMessage | Sequence[str | SamplingMessage],
) -> list[SamplingMessage]:
    if isinstance(messages, str | SamplingMessage):
        messages = [messages]
    return [
        SamplingMessage("user", (TextContent(each),)) if isinstance(each, str) else each
        for each in messages
    ]
