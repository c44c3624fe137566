"""The access log: one line for each HTTP request, once it has been answered.

The log `trimcp.access` has it at the level INFO. A record's attributes `client`, `method`, `path`,
`status`, `milliseconds` and `about` are the parts of its line, for programs. There is no query,
header or argument among them, which may be secret.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.protocol import Batch, InvalidShape, Notification, Request, read_name
from trimcp.protocol.http import source_of_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimcp.protocol import Message

    from ._visits import Response

__all__ = ["note_answered", "note_message"]

logger = logging.getLogger("trimcp.access")

#: How many characters of what a client chose are shown.
_LONGEST: Final = 100


def _is_wanted() -> bool:
    """Whether anybody reads it."""
    return logger.isEnabledFor(logging.INFO)


def note_message(response: Response, message: Message | Batch) -> None:
    """Remember what a request is about, for its line."""
    if _is_wanted():
        response.about = _about(message)


def note_answered(scope: Mapping[str, Any], response: Response, began: float) -> None:
    """Log a request that has been answered, or whose client is gone.

    Args:
        scope: Its ASGI scope.
        response: The answer.
        began: When it began, on Trio's clock.
    """
    if not _is_wanted():
        return
    host, port = scope.get("client") or ("", 0)
    client = f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if host else "-"
    parts = {
        "client": client,
        "method": _shown(scope["method"]),
        "path": _shown(scope["path"]),
        "status": response.status or "-",
        "milliseconds": round(1000 * (trio.current_time() - began), 1),
        "about": response.about,
    }
    line = "%(client)s %(method)s %(path)s %(status)s %(milliseconds).1f ms %(about)s"
    logger.info(line if response.about else line.removesuffix(" %(about)s"), parts, extra=parts)


def _about(message: Message | Batch) -> str:
    """The method and the name or URI that a message is about: `tools/call add`."""
    if isinstance(message, Batch):
        return f"a batch of {len(message.items)}"
    if not isinstance(message, Request | Notification):
        return ""
    name = _name_in(message)
    return f"{_shown(message.method)} {_shown(name)}" if name else _shown(message.method)


def _name_in(message: Request | Notification) -> str | None:
    """The name of what is used; a URI without its query."""
    source = source_of_name(message.method)
    if source is None:
        return None
    try:
        name = read_name(message.params, source)
    except InvalidShape:
        return None
    return name.partition("?")[0] if source == "uri" and name else name


def _shown(text: str) -> str:
    """What a client chose, as a part of one line."""
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return text if text.isprintable() else ascii(text)
