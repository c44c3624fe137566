"""Servers: what a user registers, and how it is served."""

from trimcp.runtime import NEEDS_TRIO, NETWORK_GRACE, CustomRoute, told_of_signals

from ._application import Application
from ._blocking import loading
from ._context import Context
from ._http_options import HttpOptions
from ._lifespans import combine_lifespans
from ._middleware import CallNext
from ._questions import form_question, roots_question, sampling_question, url_question
from ._server import Server
from ._session import Session
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
    "loading",
    "roots_question",
    "sampling_question",
    "told_of_signals",
    "url_question",
]
