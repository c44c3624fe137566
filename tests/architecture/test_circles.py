"""No circles of imports, those that only type checkers see included; and no long functions."""

from __future__ import annotations

import ast
import graphlib
from typing import TYPE_CHECKING

from .test_architecture import Module, functions, modules, names_of_modules, own, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Lines that a function may have, its docstring not counted.
MOST_LINES_OF_A_FUNCTION = 60

#: Arrows that a public signature forces to point up, with the signature.
FORCED: dict[tuple[str, str], str] = {
    ("server._session", "server._server"): "Session.server -> Server",
}


def arrows(found: Iterable[Module]) -> dict[str, set[str]]:
    """What each module imports of our own."""
    known = names_of_modules()
    return {
        module.name: {
            name
            for name in own(module)
            if name in known and name != module.name and (module.name, name) not in FORCED
        }
        for module in found
    }


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of the graph, or nothing."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_imports_make_no_circle() -> None:
    assert circle(arrows(modules())) == []


def test_forced_arrows_are_there() -> None:
    for source, target in FORCED:
        (module,) = (each for each in modules() if each.name == source)
        assert target in set(own(module))


def test_a_circle_is_noticed() -> None:
    code = "if TYPE_CHECKING:\n  from trimcp.protocol._codec import Codec"
    there = parse(code, "protocol._names")
    back = parse("from ._names import META", "protocol._codec")
    assert circle(arrows([there])) == []
    assert set(circle(arrows([there, back]))) == {"protocol._names", "protocol._codec"}


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Its lines, without decorators and docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return lines - ((first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0)


def long_functions(module: Module) -> list[str]:
    return [
        name
        for name, node in functions(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and length(node) > MOST_LINES_OF_A_FUNCTION
    ]


def test_no_function_is_too_long() -> None:
    assert [name for module in modules() for name in long_functions(module)] == []


def test_a_long_function_is_noticed() -> None:
    docstring = '  """' + "x\n" * 70 + '  """\n'
    assert long_functions(parse(f"def f():\n{docstring}" + "  pass\n" * 60)) == []
    assert long_functions(parse("def f():\n" + "  pass\n" * 61)) == ["protocol._example.f"]
