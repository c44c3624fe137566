"""Print the lowest versions of the run-time dependencies that pyproject.toml allows, as pins.

Those of the extras are among them.
"""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def pin(requirement: str) -> str:
    """`attrs>=25.4` as `attrs==25.4`; a condition after `;` stays a matter of pyproject.toml."""
    found = re.fullmatch(r"([\w.-]+)\s*>=\s*([\w.]+)(?:,[^;]*)?(?:;.*)?", requirement)
    if found is None:
        sys.exit(f"{requirement!r} has no floor of the form NAME>=VERSION")
    return f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"].values()
    requirements = sum(extras, start=project["dependencies"])
    print("\n".join(map(pin, requirements)))
