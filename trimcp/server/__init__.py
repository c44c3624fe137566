"""Servers: what a user registers, and how it is served."""

from ._accepting import NETWORK_GRACE
from ._application import Application
from ._context import Context
from ._doors import CustomRoute, HttpOptions
from ._lifespans import NEEDS_TRIO, combine_lifespans
from ._middleware import CallNext
from ._questions import form_question, roots_question, sampling_question, url_question
from ._server import Server
from ._session import Session
from ._signals import told_of_signals
from ._statistics import Statistics

__all__ = [
    "NEEDS_TRIO",
    "NETWORK_GRACE",
    "Application",
    "CallNext",
    "Context",
    "CustomRoute",
    "HttpOptions",
    "Server",
    "Session",
    "Statistics",
    "combine_lifespans",
    "form_question",
    "roots_question",
    "sampling_question",
    "told_of_signals",
    "url_question",
]
