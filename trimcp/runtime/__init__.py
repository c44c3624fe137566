"""Events to tasks: the driver of a connection, and what handlers are run with."""

from ._calls import ProgressCallback
from ._contents import prompt_result, read_result
from ._conversations import flaw_of_conversation
from ._failures import failure_of
from ._frame import Frame, Home, Retried
from ._functions import (
    BadArguments,
    Function,
    Header,
    compile_form,
    compile_function,
    convert,
    to_json,
)
from ._input_required import InputRequired
from ._nonces import MemoryNonceStore, NonceStore
from ._parking import Job, Parking
from ._peer import Handlers, Peer, method_not_found
from ._schemas import InvalidSchema, SchemaChecker
from ._seal import Seal
from ._streams import Final, drain, in_threads
from ._templates import InvalidTemplate, UriTemplate, compile_template
from ._threads import ToolThreads

__all__ = [
    "BadArguments",
    "Final",
    "Frame",
    "Function",
    "Handlers",
    "Header",
    "Home",
    "InputRequired",
    "InvalidSchema",
    "InvalidTemplate",
    "Job",
    "MemoryNonceStore",
    "NonceStore",
    "Parking",
    "Peer",
    "ProgressCallback",
    "Retried",
    "SchemaChecker",
    "Seal",
    "ToolThreads",
    "UriTemplate",
    "compile_form",
    "compile_function",
    "compile_template",
    "convert",
    "drain",
    "failure_of",
    "flaw_of_conversation",
    "in_threads",
    "method_not_found",
    "prompt_result",
    "read_result",
    "to_json",
]
