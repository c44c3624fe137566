"""Tools: their registration and how one is called.

Specification: Tools.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs
from msgspec import Raw

from trimcp.errors import INVALID_PARAMS, RegistrationError, RequestError
from trimcp.protocol import codec_for
from trimcp.runtime import (
    HANDED_OVER,
    BadArguments,
    Frame,
    Function,
    Questions,
    compile_function,
)
from trimcp.types import UNSET, CallToolResult, TextContent, Tool

from ._context import Context, enter_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trimcp.protocol import Revision, ToolCall
    from trimcp.types import ToolAnnotations

    from ._application import Application

__all__ = ["RegisteredTool", "ToolRegister"]

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@attrs.frozen(eq=False)
class RegisteredTool:
    """A tool as registered.

    Attributes:
        description: What `tools/list` says.
        function: What runs.
        replay: Whether it may run again from the top with recorded answers.
    """

    description: Tool
    function: Function
    replay: bool

    async def call(self, frame: Frame, application: Application, shape: ToolCall) -> Any:
        """Run the tool for one request.

        Returns:
            A `CallToolResult`, or the mark that another frame has taken over.

        Raises:
            Exception: Whatever the tool raises.
        """
        if shape.is_retry and not self._take_retry(frame, application):
            return HANDED_OVER
        arguments = shape.arguments
        try:
            bound = self.function.bind(arguments if isinstance(arguments, Raw) else None)
        except BadArguments as error:
            text = f"Invalid arguments for tool {self.description.name}:\n{error}"
            return CallToolResult((TextContent(text),), is_error=True)
        context: Context[Any] = Context(frame, application)
        enter_context(context)
        if self.function.context is not None:
            bound[self.function.context] = context
        if self.function.is_async:
            value = await self.function.call(**bound)
        else:
            value = await application.threads.run(self.function.call, bound)
        return self._fitted(self.function.result(value), frame.exchange.terms.revision)

    def _fitted(self, result: CallToolResult, revision: Revision) -> CallToolResult:
        """The result as the revision's view of the output schema wants it."""
        schema = self.description.output_schema
        if revision.structured_any or schema is None or result.structured_content is UNSET:
            return result
        value = codec_for(revision).structured(result.structured_content, schema)
        return attrs.evolve(result, structured_content=value)

    def _take_retry(self, frame: Frame, application: Application) -> bool:
        """Take what the request brings from an earlier round; False if it was for another frame.

        Raises:
            RequestError: The state cannot be used.
        """
        answers = application.parking.take_retry(frame)
        if answers is None:
            return False
        if frame.lost_state and not self.replay:
            raise RequestError(
                INVALID_PARAMS,
                "state lost: the handler that asked is gone; call the tool again",
            )
        frame.questions = Questions(answers=answers)
        return True


class ToolRegister:
    """The tools of one server, in the order of their registration."""

    def __init__(self) -> None:
        self._tools: dict[str, RegisteredTool] = {}

    def __iter__(self) -> Iterator[RegisteredTool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def get(self, name: str) -> RegisteredTool:
        """The tool of that name. Raises RequestError."""
        tool = self._tools.get(name)
        if tool is None:
            raise RequestError(INVALID_PARAMS, f"Unknown tool: {name}")
        return tool

    def add(
        self,
        function: Callable[..., Any],
        *,
        name: str | None,
        title: str | None,
        description: str | None,
        annotations: ToolAnnotations | None,
        meta: dict[str, Any] | None,
        replay: bool,
    ) -> RegisteredTool:
        """Register a function. Raises RegistrationError."""
        compiled = compile_function(function, Context, name=name)
        if not _NAME.fullmatch(compiled.name):
            raise RegistrationError(
                f"tool {compiled.name!r}: a name has 1 to 128 letters, digits, '_', '-' or '.'"
            )
        if compiled.name in self._tools:
            raise RegistrationError(f"tool {compiled.name!r} is already registered")
        listed = Tool(
            name=compiled.name,
            input_schema=compiled.input_schema,
            title=title,
            description=description or compiled.description,
            output_schema=compiled.output_schema,
            annotations=annotations,
            meta=meta,
        )
        tool = RegisteredTool(listed, compiled, replay)
        self._tools[compiled.name] = tool
        return tool
