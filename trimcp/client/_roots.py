"""The client's roots, and what a user may give for them.

Specification: Roots, User Interaction Model and Security Considerations.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from trimcp.errors import OptionError
from trimcp.protocol import LATEST, URI_CHARACTERS, EncodeError, codec_for
from trimcp.types import Root

__all__ = ["Roots", "roots_of"]

#: The roots, or a function that returns them: paths, URIs or `Root`s.
_RootList: TypeAlias = Sequence[str | os.PathLike[str] | Root]
Roots: TypeAlias = _RootList | Callable[[], Awaitable[_RootList] | _RootList]

_FILE_URI: Final = re.compile(f"file://[{URI_CHARACTERS}]*")


def roots_of(given: Any, label: str = "roots=") -> list[Root]:
    """The roots from what a user has given, or the user's function has returned.

    Args:
        given: A list of paths, URIs and `Root`s.
        label: Its name in errors.

    Raises:
        OptionError: It is something else. A single text is refused too, since each of its letters
            would be a root, and most paths begin with `/`, the root of the file system.
    """
    if isinstance(given, str | bytes | os.PathLike):
        raise OptionError(f"{label} is a list of paths: write roots=[{given!r}]")
    if not isinstance(given, Sequence | frozenset | set):
        raise OptionError(f"{label} is a list of paths, not {given!r:.100}")
    return [_root(each, label) for each in given]


def _root(value: Any, label: str) -> Root:
    root = value if isinstance(value, Root) else _root_at(value, label)
    try:
        codec_for(LATEST).encode(root)
    except EncodeError as error:
        raise OptionError(f"{label}: {value!r:.100} is no root: {error}") from None
    if _FILE_URI.fullmatch(root.uri) is None:
        raise OptionError(
            f"{label}: a root is a path, or a file:// URI without spaces and similar characters, "
            f"not {root.uri!r:.100}"
        )
    return root


def _root_at(value: Any, label: str) -> Root:
    """The root at a path or a URI."""
    try:
        text = os.fspath(value)
    except TypeError:
        text = None
    if not isinstance(text, str):
        raise OptionError(
            f"{label} is a list of paths as texts, URIs and Roots; not {value!r:.100}"
        )
    if "://" in text or text.lower().startswith("file:"):
        return Root(text)
    path = Path(text).absolute()
    try:
        return Root(path.as_uri(), os.fsencode(path.name).decode(errors="replace"))
    except UnicodeEncodeError:
        raise OptionError(f"{label}: {text!r:.100} is no path of a file") from None
