"""What a user adds around the protocol: methods of one's own, middleware, hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from trimcp.functions import check_async

from ._methods import MethodRegister
from ._middleware import check_middleware
from ._options import check_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ._middleware import Middleware

__all__ = ["Extending"]

FunctionT = TypeVar("FunctionT", bound="Callable[..., Any]")
HookT = TypeVar("HookT", bound="Callable[..., Awaitable[Any]]")
MiddlewareT = TypeVar("MiddlewareT", bound="Middleware")


class Extending:
    """The extensions of a `Server`."""

    def __init__(self) -> None:
        self.methods = MethodRegister()
        self.middlewares: list[Middleware] = []
        self.startup_hooks: list[Callable[..., Awaitable[Any]]] = []
        self.shutdown_hooks: list[Callable[..., Awaitable[Any]]] = []
        self.background_tasks: list[Callable[..., Awaitable[Any]]] = []

    def method(self, name: str, /) -> Callable[[FunctionT], FunctionT]:
        """Register the function that handles requests of an extension, in every revision.

        It takes the params as one parameter of any type that pydantic understands, and
        optionally a `Context`; it returns an object of such a type, or None for an empty one.
        Synchronous functions run in worker threads. Declare the extension with
        `Server(experimental=…)` or `Server(extensions=…)`.

        Args:
            name: The method's name, such as `com.example/action`.

        Raises:
            RegistrationError: The name is the protocol's own or taken, or the function cannot
                be called so.
        """

        check_name(name, "a method", '@server.method("com.example/action")')

        def register(function: FunctionT) -> FunctionT:
            self.methods.add_method(name, function)
            return function

        return register

    def notification(self, name: str, /) -> Callable[[FunctionT], FunctionT]:
        """Register the function that hears notifications of an extension.

        It takes the params as one parameter, and optionally a `Session`. Notifications have no
        answer: what is malformed, what comes while too many are being handled, and what the
        function raises, is logged.

        Args:
            name: Such as `notifications/com.example/moved`; also
                `notifications/roots/list_changed` (handshake era).

        Raises:
            RegistrationError: As for `method`.
        """

        check_name(name, "a notification", '@server.notification("notifications/x")')

        def register(function: FunctionT) -> FunctionT:
            self.methods.add_notification(name, function)
            return function

        return register

    def middleware(self, middleware: MiddlewareT) -> MiddlewareT:
        """Wrap every request in an async function::

            @server.middleware
            async def timed(ctx: Context, call_next: CallNext) -> Any:
                began = trio.current_time()
                try:
                    return await call_next()
                finally:
                    logger.info("%s took %.3f s", ctx.method, trio.current_time() - began)

        The first registered is the outermost. `call_next()` goes on with the request, returns
        its result (a payload of `trimcp.types`, or a mapping for methods of one's own) and raises
        what its handler raised; what the middleware returns or raises takes its place. It sees
        every round of a question by itself: a round that asks has an `InputRequiredResult`.
        It runs for the protocol's own methods and for unknown ones too, but not for messages
        that are no requests, and it cannot ask the client itself.

        Raises:
            RegistrationError: It is no async function of two parameters.
        """
        check_middleware(middleware)
        self.middlewares.append(middleware)
        return middleware

    # -- hooks ----------------------------------------------------------------------------

    def on_startup(self, hook: HookT) -> HookT:
        """Run an async function after the lifespan is entered, before anything is served.

        Like all hooks it may take one argument: what the lifespan yielded.

        Raises:
            RegistrationError: It is no async function, or takes something else.
        """
        _check_hook(hook, "on_startup hook")
        self.startup_hooks.append(hook)
        return hook

    def on_shutdown(self, hook: HookT) -> HookT:
        """Run an async function when nothing is served any more, last registered first.

        An exception is logged and does not keep the others from running.
        """
        _check_hook(hook, "on_shutdown hook")
        self.shutdown_hooks.append(hook)
        return hook

    def background_task(self, task: HookT) -> HookT:
        """Run an async function while the server serves.

        The application's nursery owns it: it is cancelled at the end, and if it crashes, the
        server ends with its exception.
        """
        _check_hook(task, "background task")
        self.background_tasks.append(task)
        return task


def _check_hook(hook: Any, label: str) -> None:
    check_async(hook, label, (0, 1), "nothing, or what the lifespan yielded")
