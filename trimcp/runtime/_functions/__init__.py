"""A user's function as a tool: JSON Schemas out, validated arguments and content in.

The only place that knows pydantic.
"""

from ._arguments import BadArguments
from ._compile import Function, compile_function
from ._forms import Form, compile_form
from ._headers import Header
from ._pydantic import convert, to_json

__all__ = [
    "BadArguments",
    "Form",
    "Function",
    "Header",
    "compile_form",
    "compile_function",
    "convert",
    "to_json",
]
