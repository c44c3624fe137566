"""A user's function as a tool: JSON Schemas out, validated arguments and content in.

The only place that knows pydantic.
"""

from ._arguments import BadArguments
from ._callables import (
    awaited,
    check_async,
    check_opened,
    is_async,
    is_generator,
    signature_of,
    takes,
)
from ._compile import Function, compile_function, is_marked
from ._forms import Form, compile_form, flaw_of_form, has_choice_lists
from ._headers import Header
from ._messages import MessageFunction, compile_message
from ._pydantic import convert, to_json

__all__ = [
    "BadArguments",
    "Form",
    "Function",
    "Header",
    "MessageFunction",
    "awaited",
    "check_async",
    "check_opened",
    "compile_form",
    "compile_function",
    "compile_message",
    "convert",
    "flaw_of_form",
    "has_choice_lists",
    "is_async",
    "is_generator",
    "is_marked",
    "signature_of",
    "takes",
    "to_json",
]
