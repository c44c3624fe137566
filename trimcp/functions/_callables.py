"""Functions that users pass to be called: the one place where they are inspected and checked.

Functions, bound and static methods, `functools.partial`, callable objects, and wrappers around all
of these are accepted. A function that would fail at every call is refused here.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import typing
from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import RegistrationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "check_async",
    "check_by_name",
    "check_named",
    "check_opened",
    "inner_of",
    "is_async",
    "is_async_generator",
    "is_generator",
    "signature_of",
    "takes",
]

_LAMBDA: Final = (lambda: None).__name__

#: Names of a method's first parameter, and of a context that lacks its annotation.
_OWNERS: Final = ("self", "cls")
_CONTEXTS: Final = ("ctx", "context")


# -- which kind of function -------------------------------------------------------------------


def inner_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function whose code runs when this is called; it may be a wrapper."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, staticmethod):
            function = function.__func__
        elif inspect.isroutine(function) or isinstance(function, _LruCache):
            return function
        else:
            return type(function).__call__  # a callable object


_LruCache: Final = type(functools.lru_cache(lambda: None))


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it returns a coroutine, as far as that can be known before the call."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inner_of(function))


def is_generator(function: Callable[..., Any]) -> bool:
    """Whether calling it returns a generator, asynchronous or not."""
    inner = inner_of(function)
    return inspect.isasyncgenfunction(inner) or inspect.isgeneratorfunction(inner)


def is_async_generator(function: Callable[..., Any]) -> bool:
    """Whether calling it returns an asynchronous generator."""
    return inspect.isasyncgenfunction(inner_of(function))


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The innermost function inside all wrappers that `functools.wraps` made."""
    inner = inner_of(function)
    while hasattr(inner, "__wrapped__"):
        inner = inner_of(inner.__wrapped__)
    return inner


# -- what is refused --------------------------------------------------------------------------


def signature_of(
    function: Callable[..., Any], label: str, *, needs_types: bool = True
) -> tuple[inspect.Signature, dict[str, Any]]:
    """Its signature and resolved annotations.

    Args:
        function: The function.
        label: Its name in messages.
        needs_types: Whether all annotations must be readable. Otherwise annotations are left out if
            they name something that only type checkers import.

    Raises:
        RegistrationError: It is not a function, cannot be called as it is, or its annotations
            cannot be read.
    """
    _check_callable(function, label)
    try:
        signature = inspect.signature(function)
        hints = typing.get_type_hints(inner_of(function), include_extras=True)
    except NameError as error:
        if needs_types:
            raise RegistrationError(f"{label}: its annotations cannot be read: {error}") from error
        hints = {}
    except (TypeError, ValueError, AttributeError) as error:
        raise RegistrationError(f"{label}: its annotations cannot be read: {error}") from error
    for parameter in list(signature.parameters.values())[:1]:
        if parameter.name in _OWNERS and parameter.annotation is parameter.empty:
            reason = _unfit(function) or (
                f"{parameter.name!r} would be an argument; register the method of an "
                "instance, as in server.tool(instance.method)"
            )
            raise RegistrationError(f"{label}: {reason}")
    return signature, hints


def _check_callable(function: Any, label: str) -> None:
    _check_wrappers(function, label)
    if isinstance(function, classmethod):
        raise RegistrationError(
            f"{label}: a class method is registered after its class, as in server.tool(Class.name)"
        )
    if isinstance(function, str):
        raise RegistrationError(f"{label}: {function!r} is no function; give a name as name=")
    if isinstance(function, type) or not callable(function):
        raise RegistrationError(f"{label}: {function!r} is no function or callable object")
    seen: Any = function
    while seen is not None:
        seen = inner_of(seen)
        if isinstance(seen, _LruCache) and (
            is_async(_wrapped(seen)) or is_generator(_wrapped(seen))
        ):
            raise RegistrationError(
                f"{label}: lru_cache keeps the coroutine or generator, which runs only once; "
                "keep what it gives instead"
            )
        seen = getattr(seen, "__wrapped__", None)


_MANAGER: Final = "it gives a context manager; register a function that enters it"


def _nothing(*_: Any) -> Any:
    """An example of a decorated function."""


_DISPATCH: Final = (
    "singledispatch chooses by an argument's position; register a function that calls it"
)

#: What decorators make that cannot be called by name, by its code, and what to write instead.
_UNFIT: Final[dict[Any, str]] = {
    inner_of(functools.singledispatch(_nothing)).__code__: _DISPATCH,
    functools.singledispatchmethod(_nothing).__get__(None, object).__code__: _DISPATCH,
    contextlib.contextmanager(_nothing).__code__: _MANAGER,
    contextlib.asynccontextmanager(_nothing).__code__: _MANAGER,
}


def _unfit(function: Any) -> str | None:
    return _UNFIT.get(getattr(inner_of(function), "__code__", None))


def check_by_name(function: Callable[..., Any], signature: inspect.Signature, label: str) -> None:
    """Check that a decorated function accepts the parameters of its signature by name.

    `functools.wraps` gives a wrapper the signature of the wrapped function, even if the wrapper
    itself takes other arguments.

    Raises:
        RegistrationError: It would fail at every call.
    """
    unfit = _unfit(function)
    if unfit is not None:
        raise RegistrationError(f"{label}: {unfit}")
    try:
        own = inspect.signature(function, follow_wrapped=False)
    except ValueError:
        return  # such as lru_cache, which passes all arguments on
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    if own == signature or any(each.kind not in named for each in signature.parameters.values()):
        return  # `check_named` refuses the other kinds
    try:
        own.bind(**dict.fromkeys(signature.parameters))
    except TypeError as error:
        raise RegistrationError(
            f"{label}: its wrapper cannot be called as the function that it wraps: {error}; "
            "take *args and **kwargs there, or leave out functools.wraps"
        ) from error


def _check_wrappers(function: Any, label: str) -> None:
    """Check that the innermost function inside all wrappers can be found."""
    seen: set[int] = set()
    while hasattr(function, "__wrapped__"):
        if id(function) in seen or len(seen) > sys.getrecursionlimit():
            raise RegistrationError(f"{label}: its __wrapped__ leads back to itself")
        seen.add(id(function))
        function = function.__wrapped__


def check_named(parameter: inspect.Parameter, label: str) -> None:
    """Check that a parameter can be passed by name and has a meaning. Raises RegistrationError."""
    where = f"{label}, parameter {parameter.name!r}"
    if parameter.name in _CONTEXTS and parameter.annotation is parameter.empty:
        raise RegistrationError(
            f"{where}: it has no annotation; write '{parameter.name}: Context' for the request's "
            "context, or the type of an argument"
        )
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise RegistrationError(f"{where}: *args and **kwargs have no JSON Schema")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise RegistrationError(f"{where}: arguments are passed by name, so drop the '/'")


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether it can be called with this number of positional arguments."""
    try:
        inspect.signature(function).bind(*[None] * count)
    except (TypeError, ValueError):
        return False
    return True


def check_async(function: Any, label: str, counts: tuple[int, ...], given: str) -> None:
    """Check a function that is awaited: a hook, middleware and the like.

    Args:
        function: The function.
        label: Its name in messages.
        counts: The possible numbers of its arguments.
        given: What the arguments are, for messages.

    Raises:
        RegistrationError: It is not asynchronous, or takes something else.
    """
    _check_callable(function, label)
    inner = inner_of(function)
    is_lambda = getattr(inner, "__name__", "") == _LAMBDA  # may return an awaitable
    if is_generator(function) or not (is_async(function) or is_async(_wrapped(inner)) or is_lambda):
        raise RegistrationError(f"{label}: {function!r} is no async function; write 'async def'")
    if not any(takes(function, count) for count in counts):
        raise RegistrationError(f"{label}: {function!r} takes {given}")


def check_opened(function: Any, label: str, given: str) -> None:
    """Check a function whose result is entered with `async with`: a lifespan.

    Raises:
        RegistrationError: It certainly returns no async context manager, or takes something else.
    """
    if isinstance(function, type):
        is_manager = hasattr(function, "__aenter__") and hasattr(function, "__aexit__")
    else:
        _check_callable(function, label)
        # A context manager that was passed itself, instead of its function, is refused too.
        is_manager = not (
            is_generator(function) or is_async(function) or hasattr(function, "__aenter__")
        )
        # `contextlib.contextmanager` makes a manager that is not asynchronous.
        is_manager = is_manager and not inspect.isgeneratorfunction(_wrapped(function))
    if not is_manager:
        raise RegistrationError(
            f"{label}: {function!r} returns no async context manager; write an async generator "
            "function under @contextlib.asynccontextmanager"
        )
    if not takes(function, 1):
        raise RegistrationError(f"{label}: {function!r} takes {given}")
