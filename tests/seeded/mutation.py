"""The changes that `mutants.py` makes: what they are, and how they are put into running code."""

from __future__ import annotations

import ast
import copy
import functools
import gc
import random
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import CodeType

ROOT: Final = Path(__file__).resolve().parents[2]

#: What replaces an operator or a keyword.
_OTHER: Final[dict[type[ast.AST], type[ast.AST]]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult},
    **{ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr},
    **{ast.Break: ast.Continue, ast.Continue: ast.Break},
}


@attrs.frozen
class Mutant:
    """One change.

    Attributes:
        path: The file, from the root of the project.
        index: Which change of the file it is.
        function: The first line of its function, decorators included.
        line: Where it is.
        change: What it is.
    """

    path: str
    index: int
    function: int
    line: int
    change: str

    def __str__(self) -> str:
        source = (ROOT / self.path).read_text(encoding="utf-8").splitlines()[self.line - 1]
        return f"{self.path}:{self.line}: {self.change}: {source.strip()}"


def _changed(node: ast.AST, **fields: Any) -> ast.AST:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def alternatives(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """What may replace a node, each with a description."""
    if other := _OTHER.get(type(node)):
        yield other(), f"{type(node).__name__} is {other.__name__}"
    match node:
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand, "without not"
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value), f"{node.value} is {not node.value}"
        case ast.Constant(value=int() | float()):
            yield ast.Constant(node.value + 1), f"{node.value} is {node.value + 1}"
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            # The others have mutants of their own.
            if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
                yield _changed(node, test=ast.UnaryOp(ast.Not(), test)), "condition negated"
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) not in {"None", "False"}:
            yield ast.Return(ast.Constant(None)), "returns None"
        case (
            ast.Expr(value=ast.Call() | ast.Await())
            | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
            | ast.AugAssign()
            | ast.Delete()
            | ast.Raise()
        ):
            # What is logged only for debugging is not promised.
            if not ast.unparse(node).startswith("logger.debug("):
                yield ast.Pass(), "statement removed"
        case ast.Call(args=args, keywords=keywords):
            if len(args) > 1 and not any(isinstance(each, ast.Starred) for each in args):
                yield _changed(node, args=[*args[:-2], args[-1], args[-2]]), "arguments swapped"
            for each in keywords:
                if each.arg:
                    others = [other for other in keywords if other is not each]
                    yield _changed(node, keywords=others), f"without {each.arg}="
        case ast.ExceptHandler(type=ast.Tuple(elts=[*elements, last])):
            kept = ast.Tuple(elements, ast.Load())
            yield _changed(node, type=kept), f"except without {ast.unparse(last)}"
        case ast.ExceptHandler(type=ast.expr() as caught):
            never = ast.Name("ZeroDivisionError", ast.Load())
            yield _changed(node, type=never), f"except without {ast.unparse(caught)}"


class _Mutator(ast.NodeTransformer):
    """Finds the mutants of a file, and makes one of them if it is told which."""

    def __init__(self, path: str, wanted: int | None = None) -> None:
        self.mutants: list[Mutant] = []
        self._path = path
        self._wanted = wanted
        self._functions: list[int] = []
        self._line = 0

    def visit(self, node: ast.AST) -> Any:
        self._line = getattr(node, "lineno", self._line)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._functions.append(min(each.lineno for each in (node, *node.decorator_list)))
            node.body = [self.visit(each) for each in node.body]
            self._functions.pop()
            return node
        if isinstance(node, ast.AnnAssign):
            node.value = node.value and self.visit(node.value)
            return node
        for other, change in alternatives(node) if self._functions else ():
            index = len(self.mutants)
            where = self._functions[-1], self._line
            self.mutants.append(Mutant(self._path, index, *where, change))
            if index == self._wanted:
                return ast.copy_location(other, node)
        return self.generic_visit(node)


def changes_of(path: str, source: str) -> list[Mutant]:
    """All mutants of a file's source."""
    mutator = _Mutator(path)
    mutator.visit(ast.parse(source))
    return mutator.mutants


def changed_tree(path: str, source: str, index: int) -> ast.Module:
    """The source with one of its changes."""
    tree: ast.Module = _Mutator(path, index).visit(ast.parse(source))
    return ast.fix_missing_locations(tree)


def mutants_of(path: Path) -> list[Mutant]:
    """All mutants of a file."""
    return changes_of(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


def sampled(paths: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """Some of the mutants of files and directories; each is as probable as any other."""
    files: list[Path] = []
    for path in map(ROOT.joinpath, paths):
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    known = [mutant for file in files for mutant in mutants_of(file)]
    chosen = random.Random(seed).sample(range(len(known)), min(count, len(known)))
    print(f"{len(chosen)} of {len(known)} mutants of {len(files)} files", flush=True)
    # In no order: what was tried when it is interrupted is a sample too.
    return [known[index] for index in chosen]


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, type(code)):
            yield from _codes(each)


def install(mutant: Mutant) -> None:
    """Replace the code of the functions of a file that is imported already."""
    path = ROOT / mutant.path
    tree = changed_tree(mutant.path, path.read_text(encoding="utf-8"), mutant.index)
    made = compile(tree, str(path), "exec", dont_inherit=True)
    codes = {(code.co_qualname, code.co_firstlineno): code for code in _codes(made)}
    for each in gc.get_objects():
        if type(each) is FunctionType and each.__code__.co_filename == str(path):
            old = each.__code__
            each.__code__ = codes.get((old.co_qualname, old.co_firstlineno), old)
    for cache in caches():
        cache.cache_clear()


def caches() -> list[Any]:
    """The cached functions of the project, which remember what the code before has computed."""
    kind: Any = functools._lru_cache_wrapper
    found = [each for each in gc.get_objects() if type(each) is kind]
    return [each for each in found if str(each.__module__).startswith("trimcp")]
