"""The server a user writes. Each method calls a register, or the function that serves a door."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeVar, overload

import attrs
import trio

from trimcp.errors import NotServing
from trimcp.protocol import (
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
    callers_of,
)
from trimcp.runtime import LocalBus, MemoryNonceStore
from trimcp.types import (
    CacheScope,
    Implementation,
    InitializeResult,
    PromptsCapability,
    ResourcesCapability,
    ServerCapabilities,
    ToolsCapability,
)

from ._application import Application
from ._blocking import run
from ._completion import CompletionRegister, completion_key
from ._context import Context, current_context
from ._custom_routes import add_route, check_free
from ._described import described, option
from ._doors import serve_stdio, serve_stream, serve_tcp, serve_unix, serve_websocket
from ._files import Directory, file_reader
from ._hooks import check_hook
from ._methods import MethodRegister
from ._middleware import check_middleware
from ._options import (
    authorization_of,
    check_name,
    checked_extensions,
    checked_grace,
    checked_instance,
    checked_keys,
    checked_lifespan,
    checked_limits,
    checked_page_size,
)
from ._prompts import PromptOptions, PromptRegister
from ._register import Room, room_within
from ._registered import decorator
from ._resources import ResourceOptions, ResourceRegister
from ._scopes import check_asked, checked_scopes, scope_rule
from ._statistics import Statistics
from ._tools import ToolOptions, ToolRegister
from ._typevars import LifespanT

if TYPE_CHECKING:
    import os
    import ssl
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Collection,
        Iterable,
        Mapping,
        Sequence,
    )
    from contextlib import AbstractAsyncContextManager

    from typing_extensions import Unpack

    from trimcp.http import ASGIApp
    from trimcp.limits import Limits
    from trimcp.protocol import Change
    from trimcp.runtime import Bus, CustomRoute, HttpRequest, NonceStore, TokenVerifier
    from trimcp.types import Annotations, Icon, ToolAnnotations

    from ._http_options import HttpOptions
    from ._middleware import Middleware
    from ._scopes import Scopes
    from ._session import Session

__all__ = ["Server"]

#: Bytes of the capabilities, without those that a user declares.
_CAPABILITIES_BYTES: Final = 256

FunctionT = TypeVar("FunctionT", bound="Callable[..., Any]")
HookT = TypeVar("HookT", bound="Callable[..., Awaitable[Any]]")
MiddlewareT = TypeVar("MiddlewareT", bound="Middleware")
RouteT = TypeVar("RouteT", bound="Callable[[HttpRequest], Awaitable[Any]]")


class Server(Generic[LifespanT]):
    """An MCP server.

    Args:
        name: The server's name, for clients to show.
        version: Its version.
        title: A name for people.
        instructions: How a model should use the server.
        website_url: Where people can read about it.
        icons: Pictures of it.
        lifespan: An async context manager function that takes the server; what it yields is
            `ctx.lifespan_context`. Entered once, whatever the number of transports.
        session_lifespan: The same for one client: takes its `Session`; what it yields is
            `ctx.session_context`. Entered once per connection or handshake session.
        limits: Bounds of everything that grows.
        bus: Carries changes between processes that run the same server; by default within this
            process.
        experimental: Capabilities outside of the specification, by name.
        extensions: Extensions of the protocol that it offers, by identifier (stateless era).
        state_keys: Secrets that seal what the client carries between the rounds of a question;
            the first one seals, all of them open. Share them between processes; to rotate them,
            list old keys after new ones. By default a random key of this process.
        nonces: Remembers what `single_use=True` allows only once; by default in this process.
        shutdown_grace: Seconds that requests in flight get at shutdown; by default 0.5 on
            stdio and 5 elsewhere.
        eof_grace: Seconds that requests in flight get after the end of standard input.
        page_size: Items on one page of a list; None for all on one.
        list_ttl_ms: How long a client may keep a list, in milliseconds (stateless era).
        list_scope: Whether it may share lists between users (stateless era).
        auth: Judges the access tokens of those who call over HTTP or WebSocket, none of whom is
            answered without one. Who is at the other end of standard streams, a Unix socket or
            a stream of yours is trusted; TCP is refused. None for no authorization.
        required_scopes: The scopes that every caller needs.
        scopes_supported: The scopes that clients are told of; by default the required ones.
        resource_url: The server's own URL, for its clients and the authorization server; the
            origin, if it has several endpoints. By default each endpoint tells the closest of the
            verifier's audiences that are URLs, or else the URL of each request.
        authorization_servers: The issuers of tokens; by default the verifier's.

    Raises:
        RegistrationError: An option cannot be used, or cannot be sent to clients; the message names
            it.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "0.0.0",
        title: str | None = None,
        instructions: str | None = None,
        website_url: str | None = None,
        icons: Sequence[Icon] | None = None,
        lifespan: Callable[[Server[Any]], AbstractAsyncContextManager[LifespanT]] | None = None,
        session_lifespan: Callable[[Session[Any]], AbstractAsyncContextManager[Any]] | None = None,
        limits: Limits | None = None,
        bus: Bus | None = None,
        experimental: Mapping[str, Any] | None = None,
        extensions: Mapping[str, Any] | None = None,
        state_keys: Sequence[bytes] = (),
        nonces: NonceStore | None = None,
        shutdown_grace: float | None = None,
        eof_grace: float = 5.0,
        page_size: int | None = None,
        list_ttl_ms: int | None = None,
        list_scope: CacheScope | None = None,
        auth: TokenVerifier | None = None,
        required_scopes: Collection[str] = frozenset(),
        scopes_supported: Collection[str] | None = None,
        resource_url: str | None = None,
        authorization_servers: Sequence[str] | None = None,
    ) -> None:
        self._application: Application | None = None
        self.limits: Limits = checked_limits(limits)
        known = (scopes_supported, resource_url, authorization_servers)
        self.authorization = authorization_of(auth, self.limits, required_scopes, *known)
        declared = self._declared(experimental, checked_extensions(extensions))
        self.experimental = declared.experimental
        self.extensions = declared.extensions
        said: dict[str, Any] = {"name": name, "version": version, "title": title}
        said |= {"website_url": website_url, "icons": icons}
        self.identity = described("server", Implementation, **said)
        self.instructions: str | None = option("server", "instructions", instructions, str)
        self._make_registers(self._room())
        self.lifespan = checked_lifespan(lifespan, "lifespan=", "the server")
        label = "session_lifespan="
        self.session_lifespan = checked_lifespan(session_lifespan, label, "the session")
        bus = LocalBus() if bus is None else bus
        self.bus: Bus = checked_instance(bus, "bus=", ("publish", "run"))
        self.state_keys = checked_keys(state_keys)
        nonces = MemoryNonceStore() if nonces is None else nonces
        self.nonces: NonceStore = checked_instance(nonces, "nonces=", ("use",))
        self.shutdown_grace: float | None = shutdown_grace
        if shutdown_grace is not None:
            checked_grace(shutdown_grace, "shutdown_grace=")
        self.eof_grace: float = checked_grace(eof_grace, "eof_grace=")
        self.page_size = checked_page_size(page_size)
        self.list_ttl_ms: int | None = option("server", "list_ttl_ms", list_ttl_ms, int)
        self.list_scope: CacheScope | None = option("server", "list_scope", list_scope, CacheScope)

    @staticmethod
    def _declared(experimental: Any, extensions: Any) -> ServerCapabilities:
        """The capabilities that a user declares. Raises RegistrationError."""
        fields = {"experimental": experimental, "extensions": extensions}
        return described("server", ServerCapabilities, **fields)

    def _room(self) -> Room:
        """The room in an answer beside the server's identity, which every answer contains.

        Raises RegistrationError if the identity and the instructions do not fit into an answer.
        """
        declared = ServerCapabilities(experimental=self.experimental, extensions=self.extensions)
        whole = InitializeResult("", declared, self.identity, self.instructions)
        room_within(self.limits, _CAPABILITIES_BYTES).needed("server", whole)
        plain = attrs.evolve(self.identity, icons=None)
        return room_within(self.limits, room_within(self.limits).needed("server", plain))

    def _make_registers(self, room: Room) -> None:
        self.tools = ToolRegister(self._announcing(ToolsListChanged()), room)
        self.resources = ResourceRegister(self._announcing(ResourcesListChanged()), room)
        self.prompts = PromptRegister(self._announcing(PromptsListChanged()), room)
        self.completions = CompletionRegister()
        self.methods = MethodRegister()
        self.middlewares: list[Middleware] = []
        self.startup_hooks: list[Callable[..., Awaitable[Any]]] = []
        self.shutdown_hooks: list[Callable[..., Awaitable[Any]]] = []
        self.background_tasks: list[Callable[..., Awaitable[Any]]] = []
        self.custom_routes: dict[str, CustomRoute] = {}
        self._claimed: set[str] = set()

    @property
    def capabilities(self) -> ServerCapabilities:
        """The declared capabilities: always tools and logging, others if there are any."""
        resources = self.resources
        return ServerCapabilities(
            logging={},
            completions={} if self.completions else None,
            experimental=self.experimental,
            extensions=self.extensions,
            prompts=PromptsCapability(list_changed=True) if self.prompts else None,
            resources=ResourcesCapability(subscribe=True, list_changed=True)
            if resources.fixed or resources.templates
            else None,
            tools=ToolsCapability(list_changed=True),
        )

    # -- tools ----------------------------------------------------------------------------

    @overload
    def tool(self, function: FunctionT, /) -> FunctionT: ...

    @overload
    def tool(
        self,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
        input_schema: Mapping[str, Any] | None = None,
        output_schema: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        replay: bool = False,
        single_use: bool = False,
        scopes: Scopes | None = None,
    ) -> Callable[[FunctionT], FunctionT]: ...

    def tool(
        self,
        function: FunctionT | None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        annotations: ToolAnnotations | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
        input_schema: Mapping[str, Any] | None = None,
        output_schema: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        replay: bool = False,
        single_use: bool = False,
        scopes: Scopes | None = None,
    ) -> Any:
        """Register a function as a tool; used as a decorator, with or without arguments.

        The parameters' annotations become the input schema and the arguments are validated
        against them; a parameter annotated with `Context` gets the request's context. A return
        annotation becomes the output schema. Synchronous functions run in worker threads.

        Args:
            function: The function, when used without parentheses.
            name: The tool's name; the function's by default.
            title: A name for people.
            description: What the tool does; the docstring's prose by default.
            annotations: Hints for the client.
            icons: Pictures of it.
            meta: The tool's `_meta`.
            input_schema: A JSON Schema (2020-12 unless it names another draft) instead of the
                one made from the parameters. It is listed as given, arguments are checked
                against it, and the function takes them all as one mapping.
            output_schema: The same for the result.
            timeout: Seconds one call may run; the time spent waiting for the client's answer to
                a question does not count. None for no bound.
            replay: Whether the tool may run again from the top, with the answers it already
                got, when the run that asked a question is gone (another process, a restart).
                What it does before a question must then be harmless to repeat.
            single_use: Whether each state that the client carries between two rounds of a
                question is accepted only once. A client that repeats a request whose answer was
                lost is then refused. Processes that share `state_keys` must share a `nonces`
                store too.
            scopes: The scopes that a caller needs beside the server's `required_scopes`; or a
                function, not async, that takes the `Principal` and the validated arguments and
                returns them. It runs in the event loop, so it must not block, and usually twice
                for one call; it may raise `Forbidden`, and whatever else it raises is the error
                -32603. Lists leave out what the caller's scopes do not suffice for; what a
                function decides is listed always, and its completions are not protected by it.

        Raises:
            RegistrationError: A parameter or the result has no JSON Schema, a given schema cannot
                be used, or the name is taken or not allowed.

        Specification: Tools.
        """
        options = ToolOptions(
            name=name,
            title=title,
            description=description,
            annotations=annotations,
            icons=icons,
            meta=meta,
            input_schema=input_schema,
            output_schema=output_schema,
            timeout=timeout,
            replay=replay,
            single_use=single_use,
            scopes=scope_rule(scopes, "a tool: scopes=", self.authorization),
        )
        register = decorator(lambda each: self.tools.register(each, options))
        return register if function is None else register(function)

    def remove_tool(self, name: str) -> None:
        """Take a tool away; calls under way go on. Raises KeyError if there is none."""
        self.tools.remove(name)

    # -- resources ------------------------------------------------------------------------

    def resource(
        self,
        uri: str,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        mime_type: str | None = None,
        annotations: Annotations | None = None,
        size: int | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
        ttl_ms: int | None = None,
        cache_scope: CacheScope | None = None,
        check_paths: bool = True,
        replay: bool = False,
        single_use: bool = False,
        scopes: Scopes | None = None,
    ) -> Callable[[FunctionT], FunctionT]:
        """Register the function that reads a resource, or all resources of a URI template.

        The function takes the template's variables as parameters, converted to their
        annotations, and optionally a `Context`. It returns text, bytes, resource contents, or
        anything pydantic can write as JSON; it raises `ResourceNotFound` where there is none.

        Args:
            uri: A URI, or a template (RFC 6570) such as `user://{id}`.
            name: The resource's name; the function's by default.
            title: A name for people.
            description: What it is; the docstring's prose by default.
            mime_type: Its MIME type; the default depends on what the function returns.
            annotations: Its audience and its importance.
            size: The size of the contents, in bytes.
            icons: Pictures of it.
            meta: The resource's `_meta`.
            ttl_ms: How long a client may keep the contents, in milliseconds (stateless era).
            cache_scope: Whether it may share them between users (stateless era).
            check_paths: Whether a URI names no resource if the value of a variable is an absolute
                path, has a segment `..`, or contains NUL.
            replay: As for tools.
            single_use: As for tools.
            scopes: As for tools.

        Raises:
            RegistrationError: The URI is taken or malformed, or does not fit the function.

        Specification: Resources; Resource Templates; Resources, Security Considerations;
            2026-07-28, Caching.
        """
        check_name(uri, "a resource", '@server.resource("notes://all")')
        options = ResourceOptions(
            name=name,
            title=title,
            description=description,
            mime_type=mime_type,
            annotations=annotations,
            size=size,
            icons=icons,
            meta=meta,
            ttl_ms=ttl_ms,
            cache_scope=cache_scope,
            check_paths=check_paths,
            replay=replay,
            single_use=single_use,
            scopes=scope_rule(scopes, "a resource: scopes=", self.authorization),
        )
        return decorator(lambda each: self.resources.register(each, uri, options))

    def add_file(
        self, uri: str, path: str | os.PathLike[str], *, mime_type: str | None = None, **named: Any
    ) -> None:
        """Register a file as a resource: text where it is UTF-8, otherwise a blob.

        If it is larger than `Limits.message_bytes`, it is refused without reading it (-31001).

        Args:
            uri: Its URI.
            path: Its path; the file is read each time.
            mime_type: Its MIME type; by default guessed from its name.
            named: `name`, `title`, `description` and so on, as for `resource`.

        Raises:
            RegistrationError: The path is no file, or the URI is taken or malformed.
        """
        read = file_reader(uri, Path(path), mime_type, lambda: self.limits.message_bytes)
        named.setdefault("name", Path(path).name)
        self.resource(uri, mime_type=mime_type, **named)(read)

    def add_directory(self, uri: str, path: str | os.PathLike[str], **named: Any) -> None:
        """Register a directory: its files are read under `uri/…`, its entries listed as JSON.

        A path that leads out of it, by `..` or through a symbolic link, names no resource, and
        neither do pipes, devices and sockets. A file of more than `Limits.message_bytes` is
        refused unread (-31001). Entries whose names are not UTF-8 are not listed.

        Args:
            uri: The URI of the directory itself.
            path: Where it is.
            named: `name`, `title`, `description` and so on, as for `resource`.

        Raises:
            RegistrationError: The path is no directory, or the URI is taken or malformed.

        Specification: Resources, Security Considerations.
        """
        directory = Directory.at(uri, Path(path))
        read, entries = directory.readers(lambda: self.limits.message_bytes)
        named.setdefault("name", directory.root.name)
        self.resource(directory.uri, **named)(entries)
        # It checks the path itself, as the system resolves it.
        self.resource(directory.uri + "/{+path}", check_paths=False, **named)(read)

    def remove_resource(self, uri: str) -> None:
        """Take a resource or a template away. Raises KeyError if there is none."""
        self.resources.remove(uri)

    # -- prompts and completions ----------------------------------------------------------

    @overload
    def prompt(self, function: FunctionT, /) -> FunctionT: ...

    @overload
    def prompt(
        self,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
        replay: bool = False,
        single_use: bool = False,
        scopes: Scopes | None = None,
    ) -> Callable[[FunctionT], FunctionT]: ...

    def prompt(
        self,
        function: FunctionT | None = None,
        /,
        *,
        name: str | None = None,
        title: str | None = None,
        description: str | None = None,
        icons: Sequence[Icon] | None = None,
        meta: Mapping[str, Any] | None = None,
        replay: bool = False,
        single_use: bool = False,
        scopes: Scopes | None = None,
    ) -> Any:
        """Register a function as a prompt; used as a decorator, with or without arguments.

        Its parameters are the prompt's arguments, which come as text and are converted to the
        annotations. It returns text, content, messages, or several of these.

        Args:
            function: The function, when used without parentheses.
            name: The prompt's name; the function's by default.
            title: A name for people.
            description: What it is for; the docstring's prose by default.
            icons: Pictures of it.
            meta: The prompt's `_meta`.
            replay: As for tools.
            single_use: As for tools.
            scopes: As for tools.

        Raises:
            RegistrationError: A parameter cannot be converted, or the name is taken.

        Specification: Prompts.
        """
        options = PromptOptions(
            name=name,
            title=title,
            description=description,
            icons=icons,
            meta=meta,
            replay=replay,
            single_use=single_use,
            scopes=scope_rule(scopes, "a prompt: scopes=", self.authorization),
        )
        register = decorator(lambda each: self.prompts.register(each, options))
        return register if function is None else register(function)

    def remove_prompt(self, name: str) -> None:
        """Take a prompt away. Raises KeyError if there is none."""
        self.prompts.remove(name)

    def completion(
        self, argument: str, /, *, prompt: str | None = None, resource: str | None = None
    ) -> Callable[[FunctionT], FunctionT]:
        """Register the function that suggests values for an argument.

        It takes the text so far, and optionally a mapping of the arguments given already, and
        returns suggestions, best first. The protocol carries 100 of them; more are counted.

        Args:
            argument: The argument of a prompt, or the variable of a resource template.
            prompt: The prompt's name.
            resource: The template.

        Raises:
            RegistrationError: It is not exactly one of `prompt` and `resource`, the function
                takes something else, or there is one already.

        Specification: Completion.
        """
        check_name(argument, "a completion", '@server.completion("name", prompt="greet")')
        key = completion_key(argument, prompt, resource)
        return decorator(lambda each: self.completions.add(key, each))

    # -- extensions -----------------------------------------------------------------------

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
        return decorator(lambda each: self.methods.add_method(name, each))

    def notification(self, name: str, /) -> Callable[[FunctionT], FunctionT]:
        """Register the function that handles notifications of an extension.

        It takes the params as one parameter, and optionally a `Session`. Notifications have no
        answer, so errors are only logged: a malformed notification, too many at the same time, an
        exception of the function.

        Args:
            name: Such as `notifications/com.example/moved`; also
                `notifications/roots/list_changed` (handshake era).

        Raises:
            RegistrationError: As for `method`.
        """
        check_name(name, "a notification", '@server.notification("notifications/x")')
        return decorator(lambda each: self.methods.add_notification(name, each))

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
        its result (a payload of `trimcp.types`, or a mapping for your own methods) and raises
        what its handler raised; what the middleware returns or raises replaces it. It sees every
        round of a question by itself: a round that asks has an `InputRequiredResult`. It runs for
        the protocol's own methods and for unknown ones too, but only for requests, and it cannot
        ask the client itself.

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
        check_hook(hook, "on_startup hook")
        self.startup_hooks.append(hook)
        return hook

    def on_shutdown(self, hook: HookT) -> HookT:
        """Run an async function after serving has ended; the last one registered runs first.

        An exception is logged and does not keep the others from running.
        """
        check_hook(hook, "on_shutdown hook")
        self.shutdown_hooks.append(hook)
        return hook

    def background_task(self, task: HookT) -> HookT:
        """Run an async function while the server serves.

        The application's nursery owns it: it is cancelled at the end, and if it crashes, the
        server ends with its exception.
        """
        check_hook(task, "background task")
        self.background_tasks.append(task)
        return task

    # -- while serving --------------------------------------------------------------------

    @property
    def request_context(self) -> Context[LifespanT]:
        """The context of the request being handled, in its task and in tasks that it started.

        Raises:
            LookupError: No request is being handled here.
        """
        return current_context()

    def shutdown(self, *, grace: float | None = None) -> None:
        """Stop serving: accept nothing more, let requests in flight finish, then cancel them.

        Returns at once and may be called by a handler, and more than once. Outside of an
        application it does nothing.

        Args:
            grace: Seconds for requests in flight; by default `shutdown_grace`. When it is over
                the body of `application()` is cancelled too.
        """
        if self._application is not None:
            self._application.shutdown(grace)

    @property
    def running(self) -> Application | None:
        """The open application while the server serves; for transports."""
        return self._application

    def statistics(self) -> Statistics:
        """Numbers of this moment; all zero when the server does not serve."""
        return Statistics() if self._application is None else self._application.statistics()

    @asynccontextmanager
    async def application(self, *, signals: bool = True) -> AsyncIterator[Server[LifespanT]]:
        """Open what all transports of the server share: lifespan, background tasks, hooks.

        `serve_*` and `open_client(server)` inside it join it; each alone opens its own.

        Args:
            signals: Whether SIGINT and SIGTERM shut the server down (main thread only).

        Raises:
            NotServing: It is already open.
        """
        async with self._opened(explicit=True, signals=signals):
            yield self

    @asynccontextmanager
    async def _opened(
        self, *, explicit: bool, signals: bool, at_missed: Callable[[], None] | None = None
    ) -> AsyncIterator[Application]:
        if self._application is not None:
            raise NotServing(
                "the server already serves; to use several transports at once, start them "
                "inside `async with server.application():`"
            )
        application = Application(self, explicit=explicit)
        self._application = application
        try:
            async with application.open(signals=signals, at_missed=at_missed):
                yield application
        finally:
            self._application = None

    @asynccontextmanager
    async def joined(
        self, at_missed: Callable[[], None] | None = None, *, signals: bool = True
    ) -> AsyncIterator[Application]:
        """The application the user opened, or else one of its own for the duration.

        For transports; users call `application()`.

        Args:
            at_missed: Called if a signal came before the server had started. The body then runs to
                its first checkpoint.
            signals: Whether SIGINT and SIGTERM shut the server down (main thread only).
        """
        application = self._application
        if application is not None and application.explicit:
            yield application
        else:
            opened = self._opened(explicit=False, signals=signals, at_missed=at_missed)
            async with opened as application:
                yield application

    # -- changes --------------------------------------------------------------------------

    async def notify_resource_updated(self, uri: str) -> None:
        """Tell the clients that asked about a resource that it has changed.

        Returns at once; a client that reads slowly is told once, however often this is called
        meanwhile. Like the others it may be called from any task, and does nothing while the
        server does not serve.

        Args:
            uri: The resource, or a registered template for all of its instances.

        Specification: 2026-07-28, Subscriptions; to 2025-11-25, Resources (Subscriptions).
        """
        await self._notify(ResourceUpdated(uri))

    async def notify_resources_changed(self) -> None:
        """Tell clients that the list of resources has changed.

        Registering and removing resources tells them by itself. Specification: Resources, List
        Changed Notification.
        """
        await self._notify(ResourcesListChanged())

    async def notify_tools_changed(self) -> None:
        """Tell clients that the list of tools has changed.

        Registering and removing tools tells them by itself. Specification: Tools, List Changed
        Notification.
        """
        await self._notify(ToolsListChanged())

    async def notify_prompts_changed(self) -> None:
        """Tell clients that the list of prompts has changed.

        Registering and removing prompts tells them by itself. Specification: Prompts, List
        Changed Notification.
        """
        await self._notify(PromptsListChanged())

    async def _notify(self, change: Change) -> None:
        if self._application is None:
            await trio.lowlevel.checkpoint()
        else:
            await self.bus.publish(change)

    def _announcing(self, change: Change) -> Callable[[], None]:
        """A function that a register calls, in any thread, when it has changed."""

        def announce() -> None:
            if self._application is not None:
                self._application.notifier.announce(change)

        return announce

    # -- doors ----------------------------------------------------------------------------

    def run(
        self,
        transport: Literal["stdio", "http"] = "stdio",
        *,
        host: str | None = None,
        port: int | None = None,
        **options: Unpack[HttpOptions],
    ) -> None:
        """Start Trio and serve: the last statement of a program without async code of its own.

        Returns when serving has ended, also after Ctrl-C; see `serve_stdio` and `serve_http`, which
        have more options. With `http`, standard error gets a line with the URL.

        Args:
            transport: `stdio` for standard input and output, or `http`.
            host: With `http`: where to listen, by default `127.0.0.1`.
            port: With `http`: by default 8000; 0 lets the system choose.
            options: With `http`: see `HttpOptions`.

        Raises:
            ValueError: The transport is unknown, or an option does not belong to it.
            RuntimeError: Trio or asyncio already runs in this thread.
            OSError: The address cannot be bound.
        """
        run(self, transport, host, port, options)

    async def serve_stdio(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve the process that launched this one, over standard input and output.

        Returns after the end of input (requests in flight get `eof_grace`), after `shutdown`,
        SIGINT or SIGTERM (they get `shutdown_grace`), or when the parent process is gone. While
        serving, descriptors 0 and 1 are replaced by harmless ones. Raises SystemExit, with one
        sentence, where standard input or output is closed.

        Specification: Transports, stdio.
        """
        await serve_stdio(self, task_status)

    async def serve_tcp(
        self,
        host: str,
        port: int,
        *,
        task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve newline-delimited messages over TCP until cancelled or shut down.

        There is no authentication: listen on a loopback address. A server with `auth=` is not
        served so, since lines carry no token.

        Args:
            host: Where to listen.
            port: 0 lets the system choose.
            task_status: `nursery.start` returns the `(host, port)` pairs listened on; none where
                a signal came first.

        Raises:
            OSError: The address cannot be bound.
            ValueError: The server has `auth=`, and lines over TCP carry no token.

        Specification: 2026-07-28, Custom Transports.
        """
        await serve_tcp(self, host, port, task_status)

    async def serve_unix(
        self,
        path: str | os.PathLike[str],
        *,
        task_status: trio.TaskStatus[str | os.PathLike[str]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve newline-delimited messages over a Unix socket until cancelled or shut down.

        Only this user may connect, and is trusted where the server has `auth=`. A socket file
        left behind by a dead process is replaced, and ours is removed at the end.

        Args:
            path: Where the socket is made.
            task_status: `nursery.start` returns the path.

        Raises:
            OSError: The path is in use or cannot be bound.

        Specification: 2026-07-28, Custom Transports.
        """
        await serve_unix(self, path, task_status)

    async def serve_websocket(
        self,
        host: str,
        port: int,
        *,
        path: str = "/ws",
        ssl_context: ssl.SSLContext | None = None,
        allowed_hosts: Iterable[str] | None = None,
        allowed_origins: Iterable[str] | None = None,
        task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve WebSocket connections until cancelled or shut down.

        Each text frame is one message; the subprotocol is `mcp`. Without `Server(auth=…)` there is
        no authentication: listen on a loopback address. With it a handshake brings the token, in
        its `Authorization` header or, from a browser, as the subprotocol `bearer.TOKEN` beside
        `mcp`; the connection ends when it expires. Only handshakes are answered here: the metadata
        of the protected resource must come from another door, such as `serve_http`. Web pages are
        kept out by their `Origin`, and by the name under which their browser has found the server.

        Args:
            host: Where to listen.
            port: 0 lets the system choose.
            path: The path of the server's URL.
            ssl_context: Encrypts (`wss://`), if given.
            allowed_hosts: The names that clients may call the server by, `name` or `name:port`,
                or `*` for all; by default `localhost`, the loopback addresses and what it
                listens on.
            allowed_origins: The origins, such as `https://example.com`, of web pages that may
                connect, or `*` for all; by default pages from the allowed hosts, on any port.
                Programs other than browsers send no origin, and need none.
            task_status: `nursery.start` returns the `(host, port)` pairs listened on; none where
                a signal came first.

        Raises:
            OSError: The address cannot be bound.

        Specification: 2026-07-28, Custom Transports.
        """
        await serve_websocket(
            self, host, port, path, ssl_context, allowed_hosts, allowed_origins, task_status
        )

    def websocket_app(
        self,
        *,
        path: str = "/ws",
        allowed_hosts: Iterable[str] | None = None,
        allowed_origins: Iterable[str] | None = None,
    ) -> ASGIApp:
        """An ASGI application that serves WebSocket connections, for hypercorn's trio worker.

        It needs the lifespan events of the ASGI server, which also owns the signals. Heartbeats
        and the largest message are the ASGI server's settings.

        Args:
            path: The path of the server's URL.
            allowed_hosts: See `serve_websocket`. By default the loopback names and the address
                at which a connection has arrived: behind a proxy, name the public host.
            allowed_origins: See `serve_websocket`.
        """
        from trimcp.http import WebSocketApp

        callers = None
        if allowed_hosts is not None or allowed_origins is not None:
            callers = callers_of([], allowed_hosts, allowed_origins)
        return WebSocketApp(self, path, callers)

    async def serve_stream(
        self,
        stream: trio.abc.Stream,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve one peer over any Trio stream, and close it at the end.

        The end of input means that the peer is gone and cancels its requests.
        """
        await serve_stream(self, stream, task_status)

    # -- ASGI -----------------------------------------------------------------------------

    def http_app(self, path: str = "/mcp", **options: Unpack[HttpOptions]) -> ASGIApp:
        """An ASGI application that speaks Streamable HTTP of every revision at one path.

        It needs a server that runs on Trio, such as `hypercorn -k trio module:app`, and opens
        the server's application in the lifespan events. Where there are none, enter
        `asgi_lifespan` or `application()` around it: until then every request gets 503.
        `/healthz` and custom routes are part of it. With `Server(auth=…)` each request needs an
        access token, and the metadata of the protected resource are part of it too.

        Args:
            path: The MCP endpoint.
            options: See `HttpOptions`.

        Raises:
            ValueError: The path does not begin with a slash, or an option is out of range.
            RegistrationError: The server has `auth=`, and a custom route the path of an endpoint.

        Specification: Streamable HTTP.
        """
        from trimcp.http import make_http_app

        return make_http_app(self, path, options)

    def sse_app(self, **options: Unpack[HttpOptions]) -> ASGIApp:
        """An ASGI application for clients that speak only HTTP+SSE, at `/sse`.

        Messages are posted to `/messages`. Everything else is as for `http_app`.

        Args:
            options: See `HttpOptions`.

        Specification: 2024-11-05, Transports (deprecated since 2025-03-26).
        """
        from trimcp.http import make_sse_app

        return make_sse_app(self, options)

    def asgi_app(self, **options: Unpack[HttpOptions]) -> ASGIApp:
        """An ASGI application with all HTTP transports.

        Streamable HTTP is at `/mcp`, HTTP+SSE at `/sse` and `/messages`, WebSocket at `/ws`, and
        `/healthz` says whether the server serves. Everything else is as for `http_app`.

        Args:
            options: See `HttpOptions`.
        """
        from trimcp.http import make_asgi_app

        return make_asgi_app(self, options)

    def custom_route(
        self,
        path: str,
        methods: Sequence[str] = ("GET",),
        *,
        scopes: Collection[str] | None = None,
    ) -> Callable[[RouteT], RouteT]:
        """Register an endpoint of your own, in every ASGI application of the server.

        The function takes an `HttpRequest`, its body read within `Limits.message_bytes`, and
        returns an `HttpResponse`, text, bytes, or anything that is JSON. It is cancelled when the
        client goes away; what it raises is logged and answered with 500. Host and Origin are
        checked as for the MCP endpoint.

        Args:
            path: The exact path.
            methods: The HTTP methods it is for.
            scopes: The scopes that a caller needs beside the server's `required_scopes`; an
                empty set for these alone, None for an endpoint that is open to all.

        Raises:
            RegistrationError: The path does not begin with a slash or is taken, or the function
                is not async.
        """
        check_name(path, "a custom route", '@server.custom_route("/status")')
        check_free([path], self._claimed)
        needed = None
        if scopes is not None:
            check_asked(self.authorization, f"custom route {path!r}: scopes=")
            needed = checked_scopes(scopes, f"custom route {path!r}: scopes=")
        return decorator(lambda each: add_route(self.custom_routes, path, methods, each, needed))

    def claim(self, paths: Collection[str]) -> None:
        """Keep the paths of endpoints that ask for tokens; for applications that have them.

        A custom route there would answer in place of the endpoint, and may ask for nothing.

        Raises:
            RegistrationError: A custom route has one of them.
        """
        check_free(self.custom_routes, paths)
        self._claimed.update(paths)

    @asynccontextmanager
    async def asgi_lifespan(self, app: Any = None) -> AsyncIterator[None]:
        """Keep the application open: the `lifespan` of a framework that mounts an app of ours.

        Args:
            app: The framework's application; not used.
        """
        async with self.application(signals=False):
            yield

    async def serve_http(
        self,
        host: str = "127.0.0.1",
        port: int = 8000,
        *,
        unix_path: str | os.PathLike[str] | None = None,
        app: ASGIApp | None = None,
        certfile: str | os.PathLike[str] | None = None,
        keyfile: str | os.PathLike[str] | None = None,
        tls: ssl.SSLContext | None = None,
        http2: bool = True,
        workers: int = 1,
        root_path: str = "",
        task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
        **options: Unpack[HttpOptions],
    ) -> None:
        """Serve HTTP until cancelled or shut down.

        At shutdown no more connections are accepted, open subscriptions end with their result,
        and requests in flight get `shutdown_grace` (5 seconds by default).

        Args:
            host: Where to listen. Without `Server(auth=…)` there is no authentication: keep to a
                loopback address, or stay behind a proxy that checks who calls.
            port: 0 lets the system choose.
            unix_path: Listen on a Unix socket instead; only this user may connect.
            app: The ASGI application to serve, by default `asgi_app(**options)`. One of a
                framework with ours mounted in it works too; it gets no lifespan events.
            certfile: A certificate chain in PEM, for TLS.
            keyfile: Its private key, where that is in another file.
            tls: The whole configuration of TLS, instead of a certificate.
            http2: Whether HTTP/2 is offered over TLS.
            workers: How many processes serve. With more than one, this process only watches over
                them: each is this program, started again with the same command line, and comes
                to this same call. A worker that crashes is started again; when one shuts down in
                good order, all do. One that does not end within `shutdown_grace` is killed.
                Limits are for each of them, `sessions` and HTTP+SSE are off, `single_use=True`
                needs `Server(nonces=…)`, and changes are told within a worker only, unless the
                server's `bus` carries them further. Not on Windows.
            root_path: The prefix under which clients see the server, such as `/tools`, where a
                proxy strips it from the path. It stands in the URL that HTTP+SSE tells its
                clients, and in the ASGI scope.
            task_status: `nursery.start` returns the URLs listened on; none where a signal came
                first.
            options: See `HttpOptions`.

        Raises:
            OSError: The address cannot be bound.
            ValueError: An option is out of range, or excludes another one; or there are workers,
                and an option needs memory that all of them share.
            NotServing: There are workers, and the application is already open.
            ChildProcessError: A worker ended before it served for the first time.

        Specification: Streamable HTTP.
        """
        from trimcp.http import Hosting, serve_http

        hosting = Hosting(
            host=host,
            port=port,
            unix_path=unix_path,
            certfile=certfile,
            keyfile=keyfile,
            tls=tls,
            http2=http2,
            workers=workers,
            root_path=root_path,
        )
        await serve_http(self, hosting, app, options, task_status=task_status)
