"""Converting a TARGET to what a client accepts."""

from __future__ import annotations

import ast
import os
import sys
from typing import TYPE_CHECKING, Final

from ._errors import CommandError, UsageError
from ._loading import split_object

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["reachable"]

#: The method with which a file serves the client that has started it.
_SERVING: Final = "serve_stdio"


def reachable(target: str | list[str]) -> str | list[str]:
    """The target in a form that the client accepts.

    Raises:
        UsageError: The target is invalid.
        CommandError: There is no such file.
    """
    if isinstance(target, list) or "://" in target or target.startswith("unix:"):
        return target
    file, name = split_object(target)
    if not os.path.isfile(file):
        raise _not_there(file)
    if name is None and _serves_itself(file):
        return [sys.executable, file]
    return [sys.executable, "-m", "trimcp", "run", target]


def _not_there(target: str) -> Exception:
    if target.endswith(".py"):
        return CommandError(f"no such file: {target}")
    return UsageError(
        f"cannot tell how to reach {target!r}: give FILE.py, FILE.py:OBJECT, http://HOST/PATH, "
        "ws://HOST:PORT/PATH, tcp://HOST:PORT or unix:PATH, or the server's command after --"
    )


def _serves_itself(file: str) -> bool:
    """Whether a file is a program that serves by itself; if not, its server object is served.

    A program that does not import trimcp counts as a server by itself. So does a file that cannot
    be read or parsed: running it shows the error.
    """
    try:
        with open(file, "rb") as source:
            tree = ast.parse(source.read(), file)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    if not any(_imports_us(node) for node in ast.walk(tree)):
        return True
    serves = any(_serves_stdio(node) for node in ast.walk(tree))
    return serves and any(_runs(statement) for statement in tree.body)


def _imports_us(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level == 0 and _is_ours(node.module or "")
    return isinstance(node, ast.Import) and any(_is_ours(each.name) for each in node.names)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == "trimcp"


def _serves_stdio(node: ast.AST) -> bool:
    """Whether a node names `serve_stdio`, or is a call like `server.run()`."""
    if _SERVING in _names(node):
        return True
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    # Any other `run`, such as Trio's, is given what to run.
    given = [*node.args, *(word.value for word in node.keywords if word.arg == "transport")]
    texts = [each.value for each in given if isinstance(each, ast.Constant)]
    return node.func.attr == "run" and (not given or texts == ["stdio"])


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Name):
        yield node.id


def _runs(statement: ast.stmt) -> bool:
    """Whether a module's statement may start the server, such as `trio.run(main)`."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    if isinstance(statement, ast.If):
        return "__main__" in ast.dump(statement.test) or any(map(_runs, statement.body))
    names = {name for node in ast.walk(statement) for name in _names(node)}
    return bool(names & {_SERVING, "run"})
