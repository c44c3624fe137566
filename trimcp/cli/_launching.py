"""The command with which a host starts the server in a file."""

from __future__ import annotations

import os
import re
import shutil
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ._errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["launch_command"]

#: A directory in which uv keeps environments that it may remove at any time.
_TEMPORARY: Final = re.compile(r"[\\/](?:archive|builds|environments)-v\d+[\\/]")

#: The line with which a program tells uv what it needs (PEP 723).
_SCRIPT: Final = re.compile(r"^# /// script[ \t]*\r?$", re.MULTILINE)


def launch_command(
    file: str, name: str | None, packages: Sequence[str], python: str | None
) -> list[str]:
    """The program with its arguments, with absolute paths, since a host has its own `PATH`.

    Args:
        file: The server's file.
        name: The server's name in it, or None.
        packages: Further packages that it needs.
        python: The version or path of the Python that shall run it; None for this one.

    Raises:
        CommandError: uv is needed and missing, or this Python has no path.
    """
    path = os.path.abspath(file)
    run = ["run", "--stdio", path if name is None else f"{path}:{name}"]
    here = sys.executable
    if not here:
        raise CommandError("this Python does not know its own path")
    uv = _find_uv()
    # Without uv, this Python has to have what the block names.
    needs_script = uv is not None and _has_script_block(path)
    if not (packages or python is not None or needs_script or is_temporary(here)):
        return [here, "-m", "trimcp", *run]
    if uv is None:
        asked = bool(packages) or python is not None
        what = "--with and --python need" if asked else f"{here} may be removed at any time without"
        raise CommandError(
            f"{what} uv, which is not here: see https://docs.astral.sh/uv/, or `pip install uv`"
        )
    if python is None:
        # Where uv made the environment, only the Python below it stays.
        python = getattr(sys, "_base_executable", here) if is_temporary(here) else here
    elif os.path.isfile(python):
        python = os.path.abspath(python)
    words = [
        uv,
        "run",
        "--no-project",
        "--python",
        python,
        "--with",
        f"trimcp=={import_module('trimcp').__version__}",
    ]
    for package in packages:
        words += ["--with", _absolute(package)]
    if needs_script:
        words += ["--with-requirements", path]
    return [*words, "trimcp", *run]


def is_temporary(python: str) -> bool:
    """Whether a Python stands in an environment that uv may remove."""
    return _TEMPORARY.search(python) is not None


def _absolute(package: str) -> str:
    """A package that is a file or directory, by its absolute path."""
    is_path = package.startswith((".", os.sep)) or os.sep in package
    return os.path.abspath(package) if is_path and os.path.exists(package) else package


def _has_script_block(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return _SCRIPT.search(file.read()) is not None
    except OSError:
        return False


def _find_uv() -> str | None:
    """The path of uv: the one that has started this, the one on the PATH, or one beside Python."""
    beside = os.path.join(os.path.dirname(sys.executable), "uv")
    for candidate in (os.environ.get("UV", ""), "uv", beside):
        found = shutil.which(candidate) if candidate else None
        # Hosts on Windows do not start batch files.
        if found and not found.lower().endswith((".cmd", ".bat")):
            return os.path.abspath(found)
    return None
