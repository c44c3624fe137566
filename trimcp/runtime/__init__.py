"""Events to tasks: the driver of a connection, and what handlers are run with."""

from ._calls import ProgressCallback
from ._contents import prompt_result, read_result
from ._failures import failure_of
from ._frame import Frame
from ._functions import (
    BadArguments,
    Function,
    Header,
    compile_form,
    compile_function,
    convert,
)
from ._parking import Answers, Parking, Questions
from ._peer import HANDED_OVER, Handlers, Peer, method_not_found
from ._schemas import InvalidSchema, SchemaChecker
from ._seal import Seal
from ._templates import InvalidTemplate, UriTemplate, compile_template
from ._threads import ToolThreads

__all__ = [
    "HANDED_OVER",
    "Answers",
    "BadArguments",
    "Frame",
    "Function",
    "Handlers",
    "Header",
    "InvalidSchema",
    "InvalidTemplate",
    "Parking",
    "Peer",
    "ProgressCallback",
    "Questions",
    "SchemaChecker",
    "Seal",
    "ToolThreads",
    "UriTemplate",
    "compile_form",
    "compile_function",
    "compile_template",
    "convert",
    "failure_of",
    "method_not_found",
    "prompt_result",
    "read_result",
]
