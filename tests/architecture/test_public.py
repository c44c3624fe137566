"""What users write against: every public name with its signature, compared with a stored list.

A change of the list is a change for users. Make it anew, and read the difference, with
`python tests/architecture/test_public.py > tests/architecture/public.txt`.
"""

from __future__ import annotations

import enum
import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

STORED = Path(__file__).with_name("public.txt")

#: The modules that the documentation tells users to import from.
PUBLIC = ("trimcp", "trimcp.auth", "trimcp.types", "trimcp.transports", "trimcp.testing")

#: Made by trimcp alone, so that what its constructor takes may change.
MADE_BY_US = {"trimcp.Client", "trimcp.Context", "trimcp.Session"}

ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def public() -> list[str]:
    """A line for each public name, and for each public member of a public class."""
    return [line for module in PUBLIC for line in lines(import_module(module))]


def lines(module: Any) -> Iterator[str]:
    for name in sorted(names(module)):
        shown, full = getattr(module, name), f"{module.__name__}.{name}"
        if inspect.isclass(shown):
            yield full + (signature(shown.__init__) if is_made_by_users(full, shown) else "")
            yield from members(full, shown)
        else:
            yield full + signature(shown)


def names(module: Any) -> list[str]:
    """What it says that it shows, or all that it defines."""
    shown = getattr(module, "__all__", None)
    return shown or [
        name
        for name, each in vars(module).items()
        if not name.startswith("_") and getattr(each, "__module__", "") == module.__name__
    ]


def is_made_by_users(full: str, shown: type) -> bool:
    return full not in MADE_BY_US and not issubclass(shown, enum.Enum)


def members(full: str, shown: type) -> Iterator[str]:
    """What the class has of its own or inherits from a class of ours."""
    for name in sorted(dir(shown)):
        if name.startswith("_"):
            continue
        member = inspect.getattr_static(shown, name)
        if isinstance(member, property):
            yield f"{full}.{name}: {member.fget.__annotations__.get('return')}"  # type: ignore[union-attr]
        elif is_ours(shown, name):
            yield f"{full}.{name}{signature(getattr(shown, name))}"


def is_ours(shown: type, name: str) -> bool:
    owner = next(each for each in shown.__mro__ if name in vars(each))
    return owner.__module__.partition(".")[0] == "trimcp"


def signature(shown: Any) -> str:
    """As Python prints it, without addresses; empty for what is no function of ours."""
    if not inspect.isroutine(shown) or not getattr(shown, "__module__", "").startswith("trimcp"):
        return ""
    return ADDRESS.sub("", str(inspect.signature(shown)))


def test_public_names_and_signatures() -> None:
    assert public() == STORED.read_text().splitlines()


def test_a_changed_signature_is_noticed() -> None:
    def call(name: str, *, timeout: float | None = None) -> None: ...

    call.__module__ = "trimcp.example"
    before = signature(call)
    call.__kwdefaults__ = {"timeout": 1.0}
    assert signature(call) != before
    assert before == "(name: 'str', *, timeout: 'float | None' = None) -> 'None'"


if __name__ == "__main__":
    print("\n".join(public()))
