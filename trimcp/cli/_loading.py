"""Finding the server in a user's Python file."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from trimcp._similar import did_you_mean
from trimcp.server import Server, loading

from ._errors import CommandError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["load_server", "split_object"]


def split_object(text: str) -> tuple[str, str | None]:
    """Split `FILE:OBJECT`; the object may be a dotted name, or missing."""
    file, separator, name = text.rpartition(":")
    if not separator or not name.replace(".", "_").isidentifier() or os.path.exists(text):
        return text, None
    return file, name


def load_server(text: str) -> Server[Any]:
    """The server that `FILE` or `FILE:OBJECT` names.

    Raises:
        CommandError: There is no such file, it cannot be loaded, or it is not clear which server
            is meant.
    """
    file, name = split_object(text)
    if not os.path.isfile(file):
        raise CommandError(f"no such file: {file}")
    module = _load(file)
    return _only_server(module, file) if name is None else _named_server(module, file, name)


def _load(file: str) -> ModuleType:
    """Run the file as a module with its own name, with its directory first in `sys.path`."""
    path = os.path.abspath(file)
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:
        # A file called trio.py must not replace trio.
        name = f"_served_{name}"
    loader = SourceFileLoader(name, path)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, os.path.dirname(path))
    sys.argv = [file]
    try:
        with loading():
            loader.exec_module(module)
    except Exception as error:
        raise CommandError(f"cannot load {_where(error, path, file)}: {_what(error)}") from error
    return module


def _where(error: Exception, path: str, file: str) -> str:
    """The file, with its line in the exception's traceback."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    return f"{file}, line {lines[-1]}" if lines else file


def _what(error: Exception) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    hint = ""
    if isinstance(error, ModuleNotFoundError):
        hint = f" (correct the name, or install its package for {sys.executable})"
    return f"{type(error).__name__}: {text}{hint}"


def _named_server(module: ModuleType, file: str, name: str) -> Server[Any]:
    try:
        found = attrgetter(name)(module)
    except AttributeError:
        meant = did_you_mean(name, _servers(module))
        raise CommandError(f"{file} has no {name!r}{meant}; {_candidates(module)}") from None
    if not isinstance(found, Server):
        raise CommandError(f"{name!r} in {file} is no Server; {_candidates(module)}")
    return found


def _only_server(module: ModuleType, file: str) -> Server[Any]:
    servers = _servers(module)
    if not servers:
        raise CommandError(f"{file} has no Server among its global names")
    if len(servers) > 1:
        raise CommandError(f"which Server of {file}? {_candidates(module)}")
    return next(iter(servers.values()))


def _candidates(module: ModuleType) -> str:
    servers = _servers(module)
    return f"write FILE:{' or FILE:'.join(servers)}" if servers else "it has no Server at all"


def _servers(module: ModuleType) -> dict[str, Server[Any]]:
    """The module's servers by name; a server with two names counts once."""
    found: dict[str, Server[Any]] = {}
    for name, value in vars(module).items():
        if isinstance(value, Server) and all(value is not known for known in found.values()):
            found[name] = value
    return found
