"""Servers: what a user registers, and how it is served."""

from ._context import Context
from ._questions import form_question, roots_question, sampling_question, url_question
from ._server import Server
from ._statistics import Statistics

__all__ = [
    "Context",
    "Server",
    "Statistics",
    "form_question",
    "roots_question",
    "sampling_question",
    "url_question",
]
