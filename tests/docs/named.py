"""Which of the names in a table do not exist, in the Python that runs this.

Usage: `python named.py < {"roots": {"Client": "mcp:Client"}, "names": ["Client.call_tool(name=)"]}`

A name begins with one of the roots, or with a module. In brackets may stand words of which those
that end with `=` are parameters. Only the standard library is used: other environments run this.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from typing import Any

FORM = re.compile(r"@?([A-Za-z_][\w.]*)(?:\((.*)\))?")


def look_up(name: str, roots: dict[str, str]) -> Any:
    """What a dotted name means. Raises ImportError or AttributeError."""
    first, *rest = name.split(".")
    if first in roots:
        module, _, attribute = roots[first].partition(":")
        return follow(importlib.import_module(module), [attribute, *rest])
    for split in range(len(rest), -1, -1):
        try:
            module_found = importlib.import_module(".".join([first, *rest[:split]]))
        except ModuleNotFoundError:
            continue
        return follow(module_found, rest[split:])
    raise ModuleNotFoundError(name)


def follow(thing: Any, path: list[str]) -> Any:
    """An attribute of an attribute."""
    for each in path:
        thing = getattr(thing, each)
    return thing


def exists(named: str, roots: dict[str, str]) -> bool:
    """Whether there is such a thing, with such parameters."""
    match = FORM.fullmatch(named)
    if match is None:
        return False
    name, words = match.groups()
    try:
        found = look_up(name, roots)
    except (ImportError, AttributeError):
        return False
    wanted = re.findall(r"(\w+)=", words or "")
    return not wanted or set(wanted) <= parameters(found, roots)


def parameters(function: Any, roots: dict[str, str]) -> set[str]:
    """The names of the parameters, with those of a TypedDict that is a root too."""
    found: set[str] = set()
    for each in inspect.signature(function, eval_str=False).parameters.values():
        if each.kind is each.VAR_KEYWORD:
            unpacked = re.fullmatch(r"Unpack\[(\w+)\]", str(each.annotation))
            if unpacked:
                found |= set(look_up(unpacked[1], roots).__annotations__)
        else:
            found.add(each.name)
    return found


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump([each for each in asked["names"] if not exists(each, asked["roots"])], sys.stdout)
