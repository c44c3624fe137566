"""Prompts: their registration and how one is made.

Specification: Prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from trimcp.errors import INVALID_PARAMS, RequestError
from trimcp.functions import BadArguments, Function, InputRequired, compile_function, prompt_result
from trimcp.types import Prompt, PromptArgument

from ._context import Context
from ._described import described, option
from ._running import call_function, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from trimcp.types import Icon

__all__ = ["RegisteredPrompt", "make_prompt"]


@attrs.frozen(eq=False)
class RegisteredPrompt:
    """A prompt as registered.

    Attributes:
        description: What `prompts/list` says.
        function: What runs.
        replay: Whether it may run again from the top with recorded answers.
        single_use: Whether a state that it gave out is accepted only once.
    """

    description: Prompt
    function: Function
    replay: bool
    single_use: bool

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

        Returns a `GetPromptResult`, or an `InputRequired` if it asks so.
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
        return prompt_result(value, self.description.description)


def make_prompt(
    function: Callable[..., Any],
    *,
    name: str | None,
    title: str | None,
    description: str | None,
    icons: Sequence[Icon] | None,
    meta: Mapping[str, Any] | None,
    replay: bool,
    single_use: bool,
) -> RegisteredPrompt:
    """Look at a prompt's function. Raises RegistrationError."""
    compiled = compile_function(function, Context, name=name, kind="prompt")
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
    listed = described(
        label,
        Prompt,
        name=compiled.name,
        title=title,
        description=compiled.description if description is None else description,
        arguments=arguments or None,
        icons=icons,
        meta=meta,
    )
    return RegisteredPrompt(
        listed,
        compiled,
        option(label, "replay", replay, bool),
        option(label, "single_use", single_use, bool),
    )
