"""What a user registers on a server: tools, resources, prompts and completions."""

from __future__ import annotations

import functools
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from trimcp.errors import RegistrationError, ResourceNotFound
from trimcp.protocol import PromptsListChanged, ResourcesListChanged, ToolsListChanged
from trimcp.types import (
    PromptsCapability,
    ResourcesCapability,
    ServerCapabilities,
    ToolsCapability,
)

from ._completion import CompletionRegister
from ._extending import Extending
from ._files import Directory, is_file, read_file
from ._options import check_name
from ._prompts import RegisteredPrompt, make_prompt
from ._register import Register
from ._resources import ResourceRegister
from ._tools import RegisteredTool, make_tool

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from trimcp.limits import Limits
    from trimcp.protocol import Change
    from trimcp.types import Annotations, CacheScope, Icon, ToolAnnotations

__all__ = ["Registration"]

FunctionT = TypeVar("FunctionT", bound="Callable[..., Any]")


class Registration(Extending):
    """The register of a `Server`. Everything may be added and removed while it serves."""

    limits: Limits

    def __init__(
        self,
        experimental: Mapping[str, Any] | None,
        extensions: Mapping[str, Any] | None,
    ) -> None:
        self.experimental = experimental
        self.extensions = extensions
        super().__init__()
        changed = functools.partial
        self.tools: Register[RegisteredTool] = Register(
            "tool", changed(self._announce, ToolsListChanged())
        )
        self.resources = ResourceRegister(changed(self._announce, ResourcesListChanged()))
        self.prompts: Register[RegisteredPrompt] = Register(
            "prompt", changed(self._announce, PromptsListChanged())
        )
        self.completions = CompletionRegister()

    @property
    def capabilities(self) -> ServerCapabilities:
        """What the server declares: tools and logging always, the rest when there is any."""
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

    @abstractmethod
    def _announce(self, change: Change) -> None:
        """The register has changed. May be called in any thread."""

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

        Raises:
            RegistrationError: A parameter or the result has no JSON Schema, a given schema cannot
                be used, or the name is taken or not allowed.

        Specification: Tools.
        """

        def register(function: FunctionT) -> FunctionT:
            tool = make_tool(
                function,
                name=name,
                title=title,
                description=description,
                annotations=annotations,
                icons=None if icons is None else tuple(icons),
                meta=None if meta is None else dict(meta),
                input_schema=input_schema,
                output_schema=output_schema,
                timeout=timeout,
                replay=replay,
                single_use=single_use,
            )
            self.tools.add(tool.description.name, tool)
            return function

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
        replay: bool = False,
        single_use: bool = False,
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
            mime_type: What it contains; by default by what the function returns.
            annotations: For whom it is, and how important.
            size: Of the contents, in bytes.
            icons: Pictures of it.
            meta: The resource's `_meta`.
            ttl_ms: How long a client may keep the contents, in milliseconds (stateless era).
            cache_scope: Whether it may share them between users (stateless era).
            replay: As for tools.
            single_use: As for tools.

        Raises:
            RegistrationError: The URI is taken or malformed, or does not fit the function.

        Specification: Resources; Resource Templates; 2026-07-28, Caching.
        """

        check_name(uri, "a resource", '@server.resource("notes://all")')

        def register(function: FunctionT) -> FunctionT:
            self.resources.add(
                function,
                uri,
                name=name,
                title=title,
                description=description,
                mime_type=mime_type,
                annotations=annotations,
                size=size,
                icons=None if icons is None else tuple(icons),
                meta=None if meta is None else dict(meta),
                ttl_ms=ttl_ms,
                cache_scope=cache_scope,
                replay=replay,
                single_use=single_use,
            )
            return function

        return register

    def add_file(
        self, uri: str, path: str | os.PathLike[str], *, mime_type: str | None = None, **named: Any
    ) -> None:
        """Register a file as a resource: text where it is UTF-8, otherwise a blob.

        If it is of more than `Limits.message_bytes`, it is refused unread (-31001).

        Args:
            uri: Its URI.
            path: Where it is; read anew every time.
            mime_type: By default guessed from its name.
            named: `name`, `title`, `description` and so on, as for `resource`.

        Raises:
            RegistrationError: The path is no file, or the URI is taken or malformed.
        """
        file = Path(path)
        if not is_file(file):
            raise RegistrationError(f"resource {uri!r}: {file} is no file")

        def read() -> Any:
            found = read_file(file, uri, mime_type, self.limits.message_bytes)
            if found is None:
                raise ResourceNotFound(uri)
            return found

        named.setdefault("name", file.name)
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
        named.setdefault("name", directory.root.name)

        def read(path: str) -> Any:
            found = directory.read(path, self.limits.message_bytes)
            if found is None:
                raise ResourceNotFound(f"{directory.uri}/{path}")
            return found

        def entries() -> Any:
            found = directory.read("", self.limits.message_bytes)
            if found is None:
                raise ResourceNotFound(directory.uri)
            return found

        self.resource(directory.uri, **named)(entries)
        self.resource(directory.uri + "/{+path}", **named)(read)

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

        Raises:
            RegistrationError: A parameter cannot be converted, or the name is taken.

        Specification: Prompts.
        """

        def register(function: FunctionT) -> FunctionT:
            prompt = make_prompt(
                function,
                name=name,
                title=title,
                description=description,
                icons=None if icons is None else tuple(icons),
                meta=None if meta is None else dict(meta),
                replay=replay,
                single_use=single_use,
            )
            self.prompts.add(prompt.description.name, prompt)
            return function

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
        if (prompt is None) == (resource is None):
            raise RegistrationError("a completion is for a prompt= or for a resource= template")
        key = ("prompt", prompt, argument) if prompt else ("resource", resource or "", argument)

        def register(function: FunctionT) -> FunctionT:
            self.completions.add(key, function)
            return function

        return register
