"""Prompts: their registration and how one is made.

Specification: Prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from trimcp.errors import INVALID_PARAMS, RequestError
from trimcp.functions import BadArguments, InputRequired, compile_function, prompt_result
from trimcp.types import Prompt, PromptArgument

from ._context import Context
from ._described import described
from ._register import Register, Room
from ._registered import Options, Registered
from ._running import call_function, run
from ._scopes import needed_under

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trimcp.runtime import Principal

__all__ = ["PromptOptions", "PromptRegister", "RegisteredPrompt"]


@attrs.frozen(kw_only=True)
class PromptOptions(Options):
    """What a user says of a prompt."""


@attrs.frozen(eq=False, kw_only=True)
class RegisteredPrompt(Registered):
    """A prompt as registered.

    Attributes:
        description: What `prompts/list` says.
    """

    description: Prompt

    def needed(self, principal: Principal, given: Any) -> frozenset[str]:
        """The scopes that one use needs. Raises whatever a `scopes=` function raises."""
        return needed_under(self.scopes, principal, lambda: self._validated(given))

    def _validated(self, given: Any) -> Mapping[str, Any]:
        """The arguments. Raises BadArguments."""
        if not isinstance(given, dict):
            raise BadArguments("$: no object")
        return self.function.bind_text(given)

    def get(self, context: Context[Any], arguments: Mapping[str, str]) -> Awaitable[Any]:
        """Run the prompt's function.

        Returns:
            A `GetPromptResult`, or an `InputRequiredResult` if the prompt asks.

        Raises:
            RequestError: An argument is missing, unknown or malformed.
            Exception: Whatever the prompt raises.
        """
        return run(context, self, arguments)

    async def work(self, context: Context[Any], given: Mapping[str, str]) -> Any:
        """Run the function once, with the request's arguments.

        Returns a `GetPromptResult`, or an `InputRequired` if it asks questions that way.
        """
        try:
            bound = self.function.bind_text(given)
        except BadArguments as error:
            flaws = str(error).replace("\n", "; ")
            flaw = f"Invalid arguments for prompt {self.description.name}: {flaws}"
            raise RequestError(INVALID_PARAMS, flaw) from None
        value = await call_function(context, self.function, bound)
        if isinstance(value, InputRequired):
            return value
        try:
            return prompt_result(value, self.description.description)
        except (TypeError, ValueError) as error:
            error.add_note(self.function.advice(value))
            raise


class PromptRegister(Register[RegisteredPrompt]):
    """The prompts of one server.

    Args:
        changed: Called when one was added or removed.
        room: What fits on one page of a list.
    """

    def __init__(self, changed: Callable[[], None], room: Room) -> None:
        super().__init__("prompt", "after prompt:", changed, room)

    def register(self, function: Callable[..., Any], options: PromptOptions) -> None:
        """Register a prompt. Raises RegistrationError if it cannot be one, or its name is taken."""
        prompt = _prompt(function, options)
        self.add(prompt.description.name, prompt)


def _prompt(function: Callable[..., Any], options: PromptOptions) -> RegisteredPrompt:
    """Look at a prompt's function. Raises RegistrationError."""
    compiled = compile_function(function, Context, name=options.name, kind="prompt")
    properties = compiled.input_schema["properties"]
    required = compiled.input_schema.get("required", ())
    arguments = [
        PromptArgument(
            name=each,
            description=properties[each].get("description"),
            required=each in required,
        )
        for each in compiled.parameters
    ]
    label = f"prompt {compiled.name!r}"
    listed = described(label, Prompt, **options.listed(compiled), arguments=arguments or None)
    return RegisteredPrompt(description=listed, function=compiled, **options.kept(label))
