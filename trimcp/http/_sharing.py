"""What several processes behind one socket cannot have: whatever one of them alone remembers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimcp.runtime import MemoryNonceStore

from ._application import HttpApplication

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimcp.server import Server

    from ._asgi import ASGIApp

__all__ = ["check_sharing"]


def check_sharing(
    server: Server[Any], app: ASGIApp | None, options: Mapping[str, Any], workers: int
) -> None:
    """See that a server can be served by several processes.

    Args:
        server: The server.
        app: The application, if one is given.
        options: The options of `serve_http`.
        workers: How many processes there are to be, for the message.

    Raises:
        ValueError: It cannot; says what to write instead.
    """
    if options.get("sessions") or (isinstance(app, HttpApplication) and app.keeps_sessions):
        raise ValueError(
            f"workers={workers} cannot have sessions: a session lives in one process, and the next "
            "request may come to another. Give sessions=False to the application, such as "
            "server.http_app(sessions=False), or serve with workers=1"
        )
    registered = [
        *server.tools,
        *server.prompts,
        *server.resources.fixed,
        *server.resources.templates,
    ]
    is_single = any(each.single_use for each in registered)
    if is_single and isinstance(server.nonces, MemoryNonceStore):
        raise ValueError(
            f"workers={workers} and single_use=True need a store that all workers share: each "
            "would accept the same state once. Give one to Server(nonces=...), or serve with "
            "workers=1"
        )
