"""Events to tasks: the driver of a connection, and what handlers are run with."""

from ._calls import ProgressCallback
from ._failures import failure_of
from ._frame import Frame
from ._functions import BadArguments, Function, compile_form, compile_function
from ._parking import Answers, Parking, Questions
from ._peer import HANDED_OVER, Handlers, Peer, method_not_found
from ._seal import Seal
from ._threads import ToolThreads

__all__ = [
    "HANDED_OVER",
    "Answers",
    "BadArguments",
    "Frame",
    "Function",
    "Handlers",
    "Parking",
    "Peer",
    "ProgressCallback",
    "Questions",
    "Seal",
    "ToolThreads",
    "compile_form",
    "compile_function",
    "failure_of",
    "method_not_found",
]
