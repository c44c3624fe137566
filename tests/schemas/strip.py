"""Take over the specification's published JSON Schemas, without their prose.

    python tests/schemas/strip.py DIRECTORY

DIRECTORY holds `<revision>/schema.json`, as `schema/` of the specification's repository does. What
stays is structure alone: one line for each definition, so that two versions can be compared.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

PROSE = ("description", "title", "$comment", "examples")
#: Members whose own members are names, and no keywords.
NAMING = ("properties", "definitions", "$defs")


def stripped(value: Any, *, names: bool = False) -> Any:
    """A schema without what is only for people."""
    if isinstance(value, dict):
        return {
            key: stripped(each, names=key in NAMING and not names)
            for key, each in value.items()
            if names or key not in PROSE
        }
    if isinstance(value, list):
        return [stripped(each) for each in value]
    return value


def text_of(schema: dict[str, Any]) -> str:
    """The schema, a line for each definition."""
    [key] = set(schema) - {"$schema"}
    lines = [
        f"{json.dumps(name)}:{json.dumps(each, separators=(',', ':'))}"
        for name, each in schema[key].items()
    ]
    head = f'{{"$schema":{json.dumps(schema["$schema"])},{json.dumps(key)}:{{'
    return head + "\n" + ",\n".join(lines) + "\n}}\n"


def main(directory: Path) -> None:
    for path in sorted(directory.glob("*/schema.json")):
        schema = stripped(json.loads(path.read_text("utf-8")))
        (HERE / f"{path.parent.name}.json").write_text(text_of(schema), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
