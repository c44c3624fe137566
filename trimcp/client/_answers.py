"""Answering the server's questions, in both eras.

In the handshake era a question is a request of the server. In the stateless era it is part of the
result of a call, and the answers are sent with the retry of the call.

Specification: Elicitation; Sampling; Roots; 2026-07-28, Multi Round-Trip Requests, Client
Requirements.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio

from trimcp._groups import unwrapping
from trimcp.errors import INVALID_PARAMS, OptionError, ProtocolViolation, RequestError
from trimcp.functions import InvalidSchema, SchemaChecker
from trimcp.protocol import DecodeError, InvalidShape, read_object, reader_for
from trimcp.runtime import awaited, flaw_of_conversation, method_not_found
from trimcp.types import (
    ClientCapabilities,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitationCapability,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    EmptyResult,
    ListRootsResult,
    RootsCapability,
    SamplingCapability,
    TextContent,
    ToolResultContent,
    ToolUseContent,
)

from ._forms import flaw_of_form, flaws_of_formats
from ._roots import roots_of

if TYPE_CHECKING:
    from trimcp.protocol import Revision
    from trimcp.runtime import Round
    from trimcp.types import InputRequiredResult

    from ._roots import Roots

__all__ = ["Answerer", "ElicitationCallback", "SamplingCallback", "UrlCallback"]

#: Called with the form; returns the content, an `ElicitResult`, or None to decline.
ElicitationCallback: TypeAlias = Callable[
    [ElicitRequestFormParams],
    Awaitable[Mapping[str, Any] | ElicitResult | None] | Mapping[str, Any] | ElicitResult | None,
]

#: Called before the user is sent to a URL; returns whether they agreed, or an `ElicitResult`.
UrlCallback: TypeAlias = Callable[
    [ElicitRequestURLParams], Awaitable[bool | ElicitResult] | bool | ElicitResult
]

#: Called for a model's answer; returns it, or just its text.
SamplingCallback: TypeAlias = Callable[
    [CreateMessageRequestParams], Awaitable[CreateMessageResult | str] | CreateMessageResult | str
]


@attrs.frozen(kw_only=True)
class Answerer:
    """Runs the user's callbacks; a capability without a callback is not declared.

    Attributes:
        elicitation: Answers form questions.
        url: Agrees to URL questions.
        sampling: Returns a model's answers.
        sampling_tools: Whether `sampling` understands tools.
        roots: The client's roots.
        experimental: Capabilities outside of the specification.
        extensions: Extensions that the client supports.
    """

    elicitation: ElicitationCallback | None = None
    url: UrlCallback | None = None
    sampling: SamplingCallback | None = None
    sampling_tools: bool = False
    roots: Roots | None = None
    experimental: Mapping[str, Any] | None = None
    extensions: Mapping[str, Any] | None = None

    @property
    def capabilities(self) -> ClientCapabilities:
        """The capabilities that the client declares."""
        elicitation = sampling = None
        if self.elicitation is not None or self.url is not None:
            elicitation = ElicitationCapability(
                form=None if self.elicitation is None else {},
                url=None if self.url is None else {},
            )
        if self.sampling is not None:
            sampling = SamplingCapability(tools={} if self.sampling_tools else None)
        return ClientCapabilities(
            elicitation=elicitation,
            sampling=sampling,
            roots=None if self.roots is None else RootsCapability(list_changed=True),
            experimental=self.experimental,
            extensions=self.extensions,
        )

    async def handle(self, round_: Round) -> Any:
        """Answer a request of the server (handshake era). Raises RequestError."""
        exchange = round_.exchange
        if exchange.method == "ping":
            return EmptyResult()
        method = exchange.terms.revision.server_requests.get(exchange.method)
        if method is None:
            raise method_not_found(exchange.method)
        try:
            params: Any = read_object(exchange.params)
            if method.params is not None:
                params = reader_for(exchange.terms.revision).decode(params, method.params)
        except (InvalidShape, DecodeError) as error:
            raise RequestError(INVALID_PARAMS, f"invalid params: {error}") from None
        return await self._answer(exchange.method, params, exchange.terms.revision)

    async def answer_all(
        self, result: InputRequiredResult, revision: Revision
    ) -> dict[str, Any] | None:
        """Answer all questions of a round, concurrently.

        Returns:
            The answers, by key; None if there was no question.

        Raises:
            ProtocolViolation: A question cannot be answered, for example since it is of a kind that
                this client did not declare. The first such one cancels the others.
        """
        if not result.input_requests:
            return None
        answers: dict[str, Any] = {}
        unanswered: list[tuple[str, RequestError]] = []

        async def answer(key: str, method: str, params: Any) -> None:
            try:
                answers[key] = await self._answer(method, params, revision)
            except RequestError as error:
                # Not raised here, since several questions may fail in one step.
                if not unanswered:
                    unanswered.append((key, error))
                nursery.cancel_scope.cancel(reason="a question cannot be answered")

        with unwrapping():
            async with trio.open_nursery() as nursery:
                for key, question in result.input_requests.items():
                    nursery.start_soon(answer, key, question.method, question.params)
        if unanswered:
            # Taken out, since the error's frames refer to the list.
            key, error = unanswered.pop()
            try:
                raise ProtocolViolation(
                    f"the question {key!r} cannot be answered: {error}"
                ) from error
            finally:
                del error
        return answers

    async def _answer(self, method: str, params: Any, revision: Revision) -> Any:
        if isinstance(params, ElicitRequestFormParams) and self.elicitation is not None:
            if (flaw := flaw_of_form(params.requested_schema, revision)) is not None:
                raise RequestError(INVALID_PARAMS, f"the form cannot be answered: {flaw}")
            return await _answer_form(self.elicitation, params)
        if isinstance(params, ElicitRequestURLParams) and self.url is not None:
            return await _answer_url(self.url, params)
        if isinstance(params, CreateMessageRequestParams) and self.sampling is not None:
            return await self._sample(self.sampling, params)
        if method == "roots/list" and self.roots is not None:
            if not callable(self.roots):
                return ListRootsResult(roots_of(self.roots))
            found = await awaited(self.roots())
            return ListRootsResult(roots_of(found, "what the function of roots= returned"))
        if method == "elicitation/create" and (self.elicitation or self.url) is not None:
            raise RequestError(INVALID_PARAMS, "this client has not declared that mode")
        raise method_not_found(method)

    async def _sample(self, sample: SamplingCallback, params: CreateMessageRequestParams) -> Any:
        wants_tools = params.tools is not None or params.tool_choice is not None
        if wants_tools and not self.sampling_tools:
            raise RequestError(INVALID_PARAMS, "this client cannot sample with tools")
        if (flaw := flaw_of_conversation(params.messages)) is not None:
            raise RequestError(INVALID_PARAMS, flaw)
        answer = await awaited(sample(params))
        if isinstance(answer, CreateMessageResult):
            _check_sampled(answer)
            return answer
        if not isinstance(answer, str):
            raise OptionError(
                "the function of sampling= returns a CreateMessageResult or a text, "
                f"not {answer!r:.100}"
            )
        return CreateMessageResult("assistant", (TextContent(answer),), model="unknown")


def _check_sampled(answer: CreateMessageResult) -> None:
    """Check that a model's answer has no content that only the user may send. Raises ValueError."""
    if any(isinstance(block, ToolResultContent) for block in answer.content):
        raise ValueError("a model's answer contains a tool result: only a user may send it")
    if answer.role != "assistant" and any(isinstance(b, ToolUseContent) for b in answer.content):
        raise ValueError("only the assistant uses tools: the answer's role must be 'assistant'")


async def _answer_url(ask: UrlCallback, params: ElicitRequestURLParams) -> ElicitResult:
    """Run the callback. Raises OptionError if its result is not an answer."""
    answer = await awaited(ask(params))
    if isinstance(answer, ElicitResult):
        return answer
    if answer is not None and not isinstance(answer, bool):
        # A text such as "decline" would count as true.
        raise OptionError(
            "the function of url_elicitation= returns True, False or an ElicitResult, "
            f"not {answer!r:.100}"
        )
    return ElicitResult("accept" if answer else "decline")


async def _answer_form(ask: ElicitationCallback, params: ElicitRequestFormParams) -> ElicitResult:
    """Run the callback, fill in defaults, and check the content against the form.

    Raises:
        RequestError: The form cannot be checked.
        OptionError: The callback's result is not an answer to a form.
        ValueError: The callback's content does not fit the form.
    """
    answer = await awaited(ask(params))
    if answer is None:
        return ElicitResult("decline")
    if isinstance(answer, ElicitResult):
        if answer.action != "accept":
            return answer
        answer = answer.content or {}
    if not isinstance(answer, Mapping):
        raise OptionError(
            "the function of elicitation= returns the form's content as a mapping, an "
            f"ElicitResult, or None to decline; not {answer!r:.100}"
        )
    properties = params.requested_schema.get("properties", {})
    defaults = {
        name: schema["default"]
        for name, schema in properties.items()
        if isinstance(schema, dict) and "default" in schema
    }
    content = {**defaults, **answer}
    try:
        flaws = SchemaChecker(params.requested_schema).flaws(content)
    except InvalidSchema as error:
        raise RequestError(INVALID_PARAMS, f"the form is malformed: {error}") from None
    flaws = flaws or flaws_of_formats(params.requested_schema, content)
    if flaws is not None:
        raise ValueError(f"the answer does not match the form:\n{flaws}")
    return ElicitResult("accept", content)
