"""What a server offers: its registers, and its description."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from trimcp.limits import Limits
    from trimcp.runtime import Authorization, Bus, NonceStore
    from trimcp.types import CacheScope, Implementation, ServerCapabilities

    from ._completion import CompletionRegister
    from ._methods import MethodRegister
    from ._middleware import Middleware
    from ._prompts import PromptRegister
    from ._resources import ResourceRegister
    from ._tools import ToolRegister

__all__ = ["Offer", "Setup"]


class Offer(Protocol):
    """The attributes of a server that the protocol's methods use; see `Server`."""

    @property
    def tools(self) -> ToolRegister: ...
    @property
    def resources(self) -> ResourceRegister: ...
    @property
    def prompts(self) -> PromptRegister: ...
    @property
    def completions(self) -> CompletionRegister: ...
    @property
    def methods(self) -> MethodRegister: ...
    @property
    def middlewares(self) -> Sequence[Middleware]: ...
    @property
    def authorization(self) -> Authorization | None: ...
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


class Setup(Offer, Protocol):
    """The attributes of a server that an application uses: what it offers, and how it is served."""

    @property
    def limits(self) -> Limits: ...
    @property
    def lifespan(self) -> Callable[[Any], AbstractAsyncContextManager[Any]] | None: ...
    @property
    def session_lifespan(self) -> Callable[[Any], AbstractAsyncContextManager[Any]] | None: ...
    @property
    def startup_hooks(self) -> Sequence[Callable[..., Awaitable[Any]]]: ...
    @property
    def shutdown_hooks(self) -> Sequence[Callable[..., Awaitable[Any]]]: ...
    @property
    def background_tasks(self) -> Sequence[Callable[..., Awaitable[Any]]]: ...
    @property
    def bus(self) -> Bus: ...
    @property
    def state_keys(self) -> Sequence[bytes]: ...
    @property
    def nonces(self) -> NonceStore: ...
    @property
    def shutdown_grace(self) -> float | None: ...
    @property
    def eof_grace(self) -> float: ...
