"""The changes of code are those that are described, and take effect where the code is used."""

from __future__ import annotations

import ast
import importlib
import sys
from typing import TYPE_CHECKING

import attrs
import pytest

from tests.seeded import mutation

if TYPE_CHECKING:
    from pathlib import Path

MODULE = '''
import functools

@functools.lru_cache
def is_in(value: int, least: int = 1) -> bool:
    """Whether it is."""
    if not value:
        return False
    return least <= value < 10

def known() -> list[int]:
    return [value for value in range(-20, 20) if is_in(value)]
'''


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("x < 1", ["x <= 1", "x < 2"]),
        ("x and not y", ["x or not y", "x and y"]),
        ("f(x, y, key=z)", ["f(y, x, key=z)", "f(x, y)", "pass"]),
        ("x += y", ["pass", "x -= y"]),
        ("x = y", []),
        ("x.y = y", ["pass"]),
        ("raise x", ["pass"]),
        ("return x", ["return None"]),
        ("return None", []),
        ("if x: y", ["if not x: y"]),
        ("await x()", ["pass"]),
        ("logger.debug(x)", []),
        ("try: x\nexcept (A, B): y", ["try: x\nexcept (A,): y"]),
        ("try: x\nexcept A: y", ["try: x\nexcept ZeroDivisionError: y"]),
    ],
)
def test_what_is_changed(code: str, changes: list[str]) -> None:
    """Nothing else is, and nothing twice."""

    def parsed(body: str) -> str:
        lines = "".join(f"    {line}\n" for line in body.splitlines())
        return ast.unparse(ast.parse(f"async def f():\n{lines}"))

    tree = parsed(code)
    count = len(mutation.changes_of("f.py", tree))
    made = [ast.unparse(mutation.changed_tree("f.py", tree, index)) for index in range(count)]
    assert sorted(made) == sorted(map(parsed, changes))


def test_what_is_outside_of_functions_stays() -> None:
    assert mutation.changes_of("f.py", "x: int = 1 + 2\ndef f(y=3): ...") == []


def test_what_runs_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what others hold already, and what was computed before."""
    (tmp_path / "trimcp_changed.py").write_text(MODULE)
    monkeypatch.setattr(mutation, "ROOT", tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = importlib.import_module("trimcp_changed")
    monkeypatch.delitem(sys.modules, "trimcp_changed")
    known = module.known
    found = {}
    for mutant in mutation.mutants_of(tmp_path / "trimcp_changed.py"):
        assert known() == list(range(1, 10))
        mutation.install(mutant)
        found[str(mutant).removeprefix("trimcp_changed.py:")] = known()
        mutation.install(attrs.evolve(mutant, index=-1))  # changes nothing
    assert found["9: LtE is Lt: return least <= value < 10"] == list(range(2, 10))
    assert found["9: Lt is LtE: return least <= value < 10"] == list(range(1, 11))
    assert found["9: 10 is 11: return least <= value < 10"] == list(range(1, 11))
    assert found["9: returns None: return least <= value < 10"] == []
