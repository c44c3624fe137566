"""A user's function as a tool: JSON Schemas out, validated arguments and content in.

The only place that knows pydantic.
"""

from ._arguments import BadArguments
from ._compile import Function, compile_function
from ._forms import Form, compile_form
from ._headers import Header
from ._messages import MessageFunction, compile_message
from ._pydantic import convert, to_json

__all__ = [
    "BadArguments",
    "Form",
    "Function",
    "Header",
    "MessageFunction",
    "compile_form",
    "compile_function",
    "compile_message",
    "convert",
    "to_json",
]
