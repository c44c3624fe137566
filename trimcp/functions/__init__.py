"""A user's function as a handler: its JSON Schemas, arguments and results.

Nothing here waits, and no other package uses pydantic or jsonschema-rs.
"""

from ._arguments import BadArguments
from ._callables import (
    check_async,
    check_opened,
    is_async,
    is_async_generator,
    is_generator,
    signature_of,
    takes,
)
from ._compile import Function, compile_function, is_marked
from ._contents import prompt_result, read_result
from ._final import Final
from ._formats import has_format
from ._forms import compile_form, flaw_of_form, has_choice_lists
from ._headers import Header
from ._input_required import InputRequired
from ._messages import MessageFunction, compile_message
from ._pydantic import convert, to_json
from ._schemas import InvalidSchema, SchemaChecker
from ._templates import InvalidTemplate, UriTemplate, compile_template, leads_away

__all__ = [
    "BadArguments",
    "Final",
    "Function",
    "Header",
    "InputRequired",
    "InvalidSchema",
    "InvalidTemplate",
    "MessageFunction",
    "SchemaChecker",
    "UriTemplate",
    "check_async",
    "check_opened",
    "compile_form",
    "compile_function",
    "compile_message",
    "compile_template",
    "convert",
    "flaw_of_form",
    "has_choice_lists",
    "has_format",
    "is_async",
    "is_async_generator",
    "is_generator",
    "is_marked",
    "leads_away",
    "prompt_result",
    "read_result",
    "signature_of",
    "takes",
    "to_json",
]
