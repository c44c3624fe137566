"""The bounds of a value in a JSON Schema, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._schemas import kinds, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["bounds"]

#: Larger numbers are not shown: no user types them, and Python refuses to write very long ones.
_LARGEST: Final = 1e15

_STEP: Final = "multipleOf"

#: What is counted, by the ends of the keywords' names, and what one of it is called.
_COUNTED: Final = {"Length": ("character", "characters"), "Items": ("value", "values")}


def bounds(schema: Any, root: Mapping[str, Any]) -> str:
    """What a value must fulfil, for people: `1 to 10`, `at least 3 characters`, `email`.

    Empty if there is nothing. Patterns are left out: few people can read them.
    """
    schema = resolve(schema, root)
    allowed = kinds(schema, root)
    return ", ".join(_words(schema, allowed))


def _words(schema: Mapping[str, Any], allowed: set[str]) -> Iterator[str]:
    if allowed & {"integer", "number"}:
        yield from _of_number(schema)
    for end, kind in (("Length", "string"), ("Items", "array")):
        if kind in allowed:
            yield from _of_count(schema, end)
    form = schema.get("format")
    if "string" in allowed and isinstance(form, str):
        yield form


def _of_number(schema: Mapping[str, Any]) -> Iterator[str]:
    least, most = (_number(schema.get(name)) for name in ("minimum", "maximum"))
    above, below = (_number(schema.get(f"exclusive{name}")) for name in ("Minimum", "Maximum"))
    yield from _between(least, most, "", "")
    if above:
        yield f"more than {above}"
    if below:
        yield f"less than {below}"
    if step := _number(schema.get(_STEP)):
        yield f"a multiple of {step}"


def _of_count(schema: Mapping[str, Any], end: str) -> Iterator[str]:
    least, most = (_number(schema.get(f"{begin}{end}")) for begin in ("min", "max"))
    one, many = _COUNTED[end]
    yield from _between("" if least == "0" else least, most, f" {one}", f" {many}")


def _between(least: str, most: str, one: str, many: str) -> Iterator[str]:
    if least and least == most:
        yield f"exactly {least}{one if least == '1' else many}"
    elif least and most:
        yield f"{least} to {most}{many}"
    elif least:
        yield f"at least {least}{one if least == '1' else many}"
    elif most:
        yield f"at most {most}{one if most == '1' else many}"


def _number(value: Any) -> str:
    """A number as people write it; empty for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.15g}" if is_number and abs(value) < _LARGEST else ""
