"""Checks of what a user passes to a server and to its decorators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import RegistrationError
from trimcp.functions import check_opened
from trimcp.limits import Limits
from trimcp.protocol import check_extensions

from ._scopes import OFFLINE, checked_scopes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimcp.runtime import Authorization

__all__ = [
    "authorization_of",
    "check_name",
    "checked_extensions",
    "checked_grace",
    "checked_instance",
    "checked_keys",
    "checked_lifespan",
    "checked_limits",
    "checked_page_size",
    "checked_seconds",
]

_KEY_BYTES: Final = 16


def check_name(name: Any, label: str, example: str) -> None:
    """Check the text that is a decorator's first argument. Raises RegistrationError.

    If the parentheses after the decorator are missing, the argument is the decorated function.
    """
    if not isinstance(name, str):
        raise RegistrationError(f"{label} is registered with a text first: {example}")


def checked_page_size(size: Any) -> int | None:
    """Check a number of items. Raises RegistrationError."""
    if size is None or (type(size) is int and size > 0):
        return size
    raise RegistrationError(f"page_size= is at least 1, or None for all on one page; not {size!r}")


def checked_seconds(seconds: Any, label: str) -> Any:
    """Check the time that a call may take. Raises RegistrationError."""
    if seconds is None or (type(seconds) in (int, float) and seconds > 0):
        return seconds
    raise RegistrationError(f"{label} is a number of seconds above 0, or None; not {seconds!r}")


def checked_grace(seconds: Any, label: str) -> Any:
    """Check a time to wait for something. Raises RegistrationError."""
    if type(seconds) in (int, float) and seconds >= 0:
        return seconds
    raise RegistrationError(f"{label} is a number of seconds, at least 0; not {seconds!r}")


def checked_instance(value: Any, label: str, methods: tuple[str, ...]) -> Any:
    """Check that an object has the methods that are called on it. Raises RegistrationError."""
    if isinstance(value, type) or not all(callable(getattr(value, each, None)) for each in methods):
        raise RegistrationError(f"{label} has the methods {', '.join(methods)}; not {value!r}")
    return value


def checked_limits(limits: Any) -> Limits:
    """The default bounds for None. Raises RegistrationError for anything but `Limits`."""
    if limits is None:
        return Limits()
    if isinstance(limits, Limits):
        return limits
    raise RegistrationError(f"limits= is a Limits; not {limits!r}")


def checked_keys(keys: Any) -> tuple[bytes, ...]:
    """Check that they are a list of secrets of enough bytes. Raises RegistrationError."""
    if not isinstance(keys, (list, tuple)) or not all(isinstance(key, bytes) for key in keys):
        raise RegistrationError("state_keys= is a list of bytes, as in [os.urandom(32)]")
    if any(len(key) < _KEY_BYTES for key in keys):
        raise RegistrationError(f"state_keys=: a key needs at least {_KEY_BYTES} bytes of secret")
    return tuple(keys)


def checked_extensions(extensions: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Check that extensions are named as the specification requires. Raises RegistrationError."""
    try:
        check_extensions(extensions)
    except ValueError as error:
        raise RegistrationError(str(error)) from None
    return extensions


def checked_lifespan(lifespan: Any, label: str, given: str) -> Any:
    """Check that it is a function that returns an async context manager."""
    if lifespan is not None:
        check_opened(lifespan, label, given)
    return lifespan


def authorization_of(
    auth: Any,
    limits: Limits,
    required_scopes: Any,
    scopes_supported: Any,
    resource_url: Any,
    authorization_servers: Any,
) -> Authorization | None:
    """What a server asks of those who call it over HTTP; see `Server`. Raises RegistrationError."""
    others = (required_scopes, scopes_supported, resource_url, authorization_servers)
    if auth is None:
        if any(others):
            raise RegistrationError(
                "required_scopes=, scopes_supported=, resource_url= and authorization_servers= "
                "belong to a verifier: Server(auth=...)"
            )
        return None
    from ._resource_server import ResourceServer

    supported = None
    if scopes_supported is not None:
        supported = checked_scopes(scopes_supported, "scopes_supported=")
    if isinstance(authorization_servers, str):
        raise RegistrationError("authorization_servers= is a list of URLs")
    return ResourceServer(
        checked_instance(auth, "auth=", ("verify",)),
        limits,
        required=_required(required_scopes),
        supported=supported,
        resource=resource_url,
        issuers=authorization_servers,
    )


def _required(scopes: Any) -> frozenset[str]:
    required = checked_scopes(scopes, "required_scopes=")
    if OFFLINE in required:
        raise RegistrationError(
            f"required_scopes=: {OFFLINE!r} asks for a refresh token, which is no business of a "
            "resource: no client would be told of it"
        )
    return required
