"""Tools: their registration and how one is called.

Specification: Tools.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from msgspec import Raw

from trimcp.errors import INVALID_PARAMS, RegistrationError, RequestError, ToolError
from trimcp.functions import BadArguments, InputRequired, compile_function
from trimcp.protocol import Rejected, codec_for, read_object
from trimcp.protocol.http import check_arguments, header_params
from trimcp.runtime import ProtocolError
from trimcp.types import UNSET, CallToolResult, JSONObject, TextContent, Tool

from ._context import Context
from ._described import described, option
from ._options import checked_seconds
from ._register import Register, Room
from ._registered import Options, Registered
from ._running import GENERATORS, call_function, run, streamed
from ._scopes import needed_under

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trimcp.protocol import Revision, ToolCall
    from trimcp.protocol.http import HeaderParam, Headers
    from trimcp.runtime import Principal
    from trimcp.types import ToolAnnotations

__all__ = ["RegisteredTool", "ToolOptions", "ToolRegister"]

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@attrs.frozen(kw_only=True)
class ToolOptions(Options):
    """The options that a user gives for a tool."""

    annotations: ToolAnnotations | None = None
    input_schema: Mapping[str, Any] | None = None
    output_schema: Mapping[str, Any] | None = None
    timeout: float | None = None


@attrs.frozen(eq=False, kw_only=True)
class RegisteredTool(Registered):
    """A tool as registered.

    Attributes:
        description: What `tools/list` says.
        timeout: Seconds one call may run, or None.
        mirrored: The parameters that HTTP headers repeat.
        takes_whole: Whether the function takes all arguments as one mapping.
    """

    description: Tool
    timeout: float | None
    mirrored: tuple[HeaderParam, ...]
    takes_whole: bool

    def needed(self, principal: Principal, given: ToolCall) -> frozenset[str]:
        """The scopes that one call needs. Raises whatever a `scopes=` function raises."""
        return needed_under(self.scopes, principal, lambda: self._validated(given))

    def _validated(self, given: ToolCall) -> Mapping[str, Any]:
        """The arguments of a call. Raises BadArguments."""
        raw = given.arguments if isinstance(given.arguments, Raw) else None
        if raw is not None and not _is_object(raw):
            raise BadArguments("$: no object")
        bound = self.function.bind(raw)
        whole: Mapping[str, Any] = next(iter(bound.values())) if self.takes_whole else bound
        return whole

    def call(self, context: Context[Any], shape: ToolCall) -> Awaitable[Any]:
        """Run the tool for one request.

        Returns:
            A `CallToolResult`, the same in wire form, or an `InputRequiredResult` if the tool asks.

        Raises:
            Exception: Whatever the tool raises.
        """
        handler = context._handler
        http = handler.peer.http
        revision = handler.exchange.terms.revision
        if self.mirrored and http is not None and http.is_mirror and revision.mirrors:
            self._check_mirrored(http.headers, shape)
        return run(context, self, shape, is_retry=shape.is_retry)

    def _check_mirrored(self, headers: Headers, shape: ToolCall) -> None:
        raw = shape.arguments if isinstance(shape.arguments, Raw) else None
        if raw is not None and not _is_object(raw):
            return  # refused later
        try:
            check_arguments(headers, read_object(raw), self.mirrored)
        except Rejected as error:
            raise ProtocolError(error.code, error.message, error.data) from None

    async def work(self, context: Context[Any], given: ToolCall) -> Any:
        """Run the tool once. Returns a result, see `call`, or an `InputRequired` with questions."""
        arguments = bytes(given.arguments) if isinstance(given.arguments, Raw) else None
        if arguments is not None and arguments[:1] != b"{":
            # A model cannot correct this: the request itself is malformed (Tools, Error Handling).
            raise RequestError(INVALID_PARAMS, "invalid params: arguments must be an object")
        try:
            bound = self.function.bind(arguments)
        except BadArguments as error:
            text = f"Invalid arguments for tool {self.description.name}:\n{error}"
            return CallToolResult((TextContent(text),), is_error=True)
        if self.timeout is None:
            value = await call_function(context, self.function, bound)
            if self.function.gives_stream or isinstance(value, GENERATORS):
                value = await streamed(context, self.function, value)
        else:
            value = await self._call_in_time(context, bound, self.timeout)
        if isinstance(value, InputRequired):
            return value
        revision = context._handler.exchange.terms.revision
        if not context._application.server.middlewares:
            # Nobody looks at the result before it is sent.
            wire = self.function.wire_result(value, structured=revision.structured_any)
            if wire is not None:
                return wire
        return self._fitted(self.function.result(value), revision)

    async def _call_in_time(
        self, context: Context[Any], bound: dict[str, Any], seconds: float
    ) -> Any:
        with trio.move_on_after(seconds) as context._handler.timer:
            value = await call_function(context, self.function, bound)
            if self.function.gives_stream or isinstance(value, GENERATORS):
                value = await streamed(context, self.function, value)
            return value
        raise ToolError(f"The tool did not finish within {seconds:g} seconds.")

    def _fitted(self, result: CallToolResult, revision: Revision) -> CallToolResult:
        """The result in the form that the output schema has in this revision."""
        schema = self.description.output_schema
        if revision.structured_any or schema is None or result.structured_content is UNSET:
            return result
        value = codec_for(revision).structured(result.structured_content, schema)
        return attrs.evolve(result, structured_content=value)


def _is_object(raw: Raw) -> bool:
    return bytes(raw)[:1] == b"{"


class ToolRegister(Register[RegisteredTool]):
    """The tools of one server.

    Args:
        changed: Called when one was added or removed.
        room: What fits on one page of a list.
    """

    def __init__(self, changed: Callable[[], None], room: Room) -> None:
        super().__init__("tool", "after:", changed, room)

    def register(self, function: Callable[..., Any], options: ToolOptions) -> None:
        """Register a tool. Raises RegistrationError if it cannot be one, or its name is taken."""
        tool = _tool(function, options)
        self.add(tool.description.name, tool)


def _tool(function: Callable[..., Any], options: ToolOptions) -> RegisteredTool:
    """Look at a tool's function. Raises RegistrationError."""
    label = f"tool {options.name or getattr(function, '__name__', '')!r}"
    timeout = option(label, "timeout", options.timeout, float)
    input_schema = option(label, "input_schema", options.input_schema, JSONObject)
    output_schema = option(label, "output_schema", options.output_schema, JSONObject)
    if timeout is not None and timeout < 0:
        raise RegistrationError(f"{label}: timeout: it cannot be negative")
    compiled = compile_function(
        function, Context, name=options.name, input_schema=input_schema, output_schema=output_schema
    )
    listed = described(
        label,
        Tool,
        **options.listed(compiled),
        input_schema=compiled.input_schema,
        output_schema=compiled.output_schema,
        annotations=options.annotations,
    )
    if not _NAME.fullmatch(listed.name):
        raise RegistrationError(
            f"tool {listed.name!r}: a name has 1 to 128 letters, digits, '_', '-' or '.'"
        )
    checked_seconds(timeout, f"tool {compiled.name!r}: timeout=")
    return RegisteredTool(
        description=listed,
        function=compiled,
        timeout=timeout,
        mirrored=header_params(compiled.input_schema),
        takes_whole=input_schema is not None,
        **options.kept(label),
    )
