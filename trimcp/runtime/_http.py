"""The HTTP request that brought something, for handlers that want to see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HttpRequest"]


@attrs.frozen(eq=False)
class HttpRequest:
    """An HTTP request without its body.

    Attributes:
        headers: Its headers, by their names in lower case; one that came twice is joined with
            a comma.
        scope: Its ASGI scope, which middleware in front may have added to.
        is_mirror: Whether its headers repeat what stands in its body.
    """

    headers: Mapping[str, str]
    scope: Mapping[str, Any]
    is_mirror: bool = False
