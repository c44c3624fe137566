"""Resources and resource templates: their registration and how one is read.

Specification: Resources.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.errors import RegistrationError
from trimcp.functions import (
    BadArguments,
    Function,
    InputRequired,
    InvalidTemplate,
    UriTemplate,
    compile_function,
    compile_template,
    leads_away,
    read_result,
)
from trimcp.types import CacheScope, Resource, ResourceTemplate

from ._context import Context
from ._described import described, option
from ._register import Register, Room
from ._registered import Options, Registered
from ._running import call_function, run
from ._scopes import needed_under

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from trimcp.runtime import Principal
    from trimcp.types import Annotations

__all__ = ["Reading", "ResourceOptions", "ResourceRegister"]

logger = logging.getLogger("trimcp.server")

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S*")


@attrs.frozen(kw_only=True)
class ResourceOptions(Options):
    """What a user says of a resource, or of a template."""

    mime_type: str | None = None
    annotations: Annotations | None = None
    size: int | None = None
    ttl_ms: int | None = None
    cache_scope: CacheScope | None = None
    check_paths: bool = True


@attrs.frozen(eq=False, kw_only=True)
class Reading(Registered):
    """How a resource, or any resource of a template, is read.

    Attributes:
        description: What the lists say.
        template: The template, or None for a single resource.
        ttl_ms: How long a client may keep the contents, in milliseconds.
        cache_scope: Who may share them.
        check_paths: Whether values that lead out of a directory are refused.
    """

    description: Resource | ResourceTemplate
    template: UriTemplate | None
    ttl_ms: int | None
    cache_scope: CacheScope | None
    check_paths: bool

    def needed(self, principal: Principal, given: Mapping[str, Any]) -> frozenset[str]:
        """The scopes that one use needs. Raises whatever a `scopes=` function raises."""
        return needed_under(self.scopes, principal, lambda: dict(given))

    def bind(self, uri: str) -> dict[str, Any] | None:
        """The function's arguments for a URI; None if the URI does not belong to it."""
        if self.template is None:
            return {}
        values = self.template.match(uri)
        if values is None:
            return None
        if self.check_paths and (name := leads_away(values)) is not None:
            logger.info("a URI names no resource: the value of %r leads away (check_paths=)", name)
            return None
        try:
            return self.function.bind_text(values)
        except BadArguments:
            # With an invalid value, such as an id that is not a number, the URI names no resource.
            return None

    def read(self, context: Context[Any], uri: str, arguments: dict[str, Any]) -> Awaitable[Any]:
        """Run the function.

        Returns:
            A `ReadResourceResult`, or an `InputRequiredResult` if the function asks.

        Raises:
            Exception: Whatever the function raises.
        """
        return run(context, self, (uri, arguments))

    async def work(self, context: Context[Any], given: tuple[str, dict[str, Any]]) -> Any:
        """Run the function once, for a URI with arguments.

        Returns a `ReadResourceResult`, or an `InputRequired` if it asks questions that way.
        """
        uri, arguments = given
        # A copy, since the function may run more than once.
        value = await call_function(context, self.function, dict(arguments))
        if isinstance(value, InputRequired):
            return value
        try:
            result = read_result(value, uri, self.description.mime_type)
        except (TypeError, ValueError) as error:
            error.add_note(self.function.advice(value))
            raise
        return attrs.evolve(
            result,
            ttl_ms=self.ttl_ms if result.ttl_ms is None else result.ttl_ms,
            cache_scope=result.cache_scope or self.cache_scope
            if self.scopes is None
            else "private",
        )


class ResourceRegister:
    """The resources and templates of one server.

    Args:
        changed: Called when one was added or removed.
        room: What fits on one page of a list.

    Attributes:
        fixed: Resources with one URI each, by URI.
        templates: Templates, by their text.
    """

    def __init__(self, changed: Callable[[], None], room: Room) -> None:
        self.fixed: Register[Reading] = Register("resource", "after resource:", changed, room)
        self.templates: Register[Reading] = Register(
            "resource template", "after template:", changed, room
        )

    def register(self, function: Callable[..., Any], uri: str, options: ResourceOptions) -> None:
        """Register a function under a URI or a template.

        Raises:
            RegistrationError: The URI, the template or the function's parameters cannot be used.
        """
        is_template = "{" in uri
        kind = "resource template" if is_template else "resource"
        label = f"{kind} {uri!r}"
        compiled = compile_function(function, Context, name=options.name, kind=kind)
        fields = {
            **options.listed(compiled),
            "mime_type": options.mime_type,
            "annotations": options.annotations,
        }
        template: UriTemplate | None = None
        listed: Resource | ResourceTemplate
        if is_template:
            template = _template(uri, compiled)
            listed = described(label, ResourceTemplate, uri_template=uri, **fields)
        else:
            _check_fixed(uri, compiled)
            listed = described(label, Resource, uri=uri, size=options.size, **fields)
        reading = Reading(
            description=listed,
            function=compiled,
            template=template,
            ttl_ms=option(label, "ttl_ms", options.ttl_ms, int),
            cache_scope=option(label, "cache_scope", options.cache_scope, CacheScope),
            check_paths=option(label, "check_paths", options.check_paths, bool),
            **options.kept(label),
        )
        (self.templates if is_template else self.fixed).add(uri, reading)

    def remove(self, uri: str) -> None:
        """Raises KeyError if there is no such resource or template."""
        (self.templates if "{" in uri else self.fixed).remove(uri)

    def entry(self, uri: str) -> Reading | None:
        """The resource or template that is registered under exactly this text."""
        return (self.templates if "{" in uri else self.fixed).find(uri)

    def instances(self, template: str, uris: Iterable[str]) -> list[str] | None:
        """The URIs that belong to a template; None if the template is not registered."""
        reading = self.templates.find(template)
        if reading is None:
            return None
        return [uri for uri in uris if reading.bind(uri) is not None]

    def find(self, uri: str) -> tuple[Reading, dict[str, Any]] | None:
        """The resource for a URI and its arguments. Resources with a fixed URI come first."""
        fixed = self.fixed.find(uri)
        if fixed is not None:
            return fixed, {}
        for reading in self.templates:
            arguments = reading.bind(uri)
            if arguments is not None:
                return reading, arguments
        return None


def _template(uri: str, function: Function) -> UriTemplate:
    try:
        template = compile_template(uri)
    except InvalidTemplate as error:
        raise RegistrationError(f"resource template: {error}") from error
    if set(template.names) != set(function.parameters):
        raise RegistrationError(
            f"resource template {uri!r} has the variables {_list(template.names)}, but the "
            f"function takes {_list(function.parameters)}"
        )
    return template


def _check_fixed(uri: str, function: Function) -> None:
    if not _URI.fullmatch(uri):
        raise RegistrationError(f"resource {uri!r}: a URI begins with a scheme, such as 'notes:'")
    if function.parameters:
        raise RegistrationError(
            f"resource {uri!r}: its function takes {_list(function.parameters)}, but the URI has "
            "no variables"
        )


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(sorted(names)) or "nothing"
