"""What a server offers: its registers, and what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimcp.types import CacheScope, Implementation, ServerCapabilities

    from ._completion import CompletionRegister
    from ._methods import MethodRegister
    from ._middleware import Middleware
    from ._prompts import RegisteredPrompt
    from ._register import Register
    from ._resources import ResourceRegister
    from ._tools import RegisteredTool

__all__ = ["Offer"]


class Offer(Protocol):
    """What the protocol's methods find in a server; see `Server`."""

    @property
    def tools(self) -> Register[RegisteredTool]: ...
    @property
    def resources(self) -> ResourceRegister: ...
    @property
    def prompts(self) -> Register[RegisteredPrompt]: ...
    @property
    def completions(self) -> CompletionRegister: ...
    @property
    def methods(self) -> MethodRegister: ...
    @property
    def middlewares(self) -> Sequence[Middleware]: ...
    @property
    def identity(self) -> Implementation: ...
    @property
    def instructions(self) -> str | None: ...
    @property
    def capabilities(self) -> ServerCapabilities: ...
    @property
    def page_size(self) -> int | None: ...
    @property
    def list_ttl_ms(self) -> int | None: ...
    @property
    def list_scope(self) -> CacheScope | None: ...
