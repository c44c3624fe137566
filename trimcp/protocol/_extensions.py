"""The identifiers of extensions.

Specification: 2026-07-28, Lifecycle, `extensions`; Overview, `_meta` (the form of keys).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["check_extensions"]

_LABEL: Final = r"[A-Za-z](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
#: Keys of `_meta` may have an empty name. An extension needs one: its maker may have several.
_NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_IDENTIFIER: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*/{_NAME}")


def check_extensions(extensions: Mapping[str, Any] | None) -> None:
    """Check the extensions that are to be declared.

    Args:
        extensions: Settings by identifier, or None for none.

    Raises:
        ValueError: A key is not an identifier, or its settings are not an object.
    """
    if extensions is None:
        return
    if not isinstance(extensions, Mapping):
        raise ValueError("extensions= is a mapping of identifiers to settings")
    for identifier, settings in extensions.items():
        if not isinstance(identifier, str) or _IDENTIFIER.fullmatch(identifier) is None:
            raise ValueError(
                f"extensions=: {identifier!r} is no identifier; it has a prefix of its maker and "
                "a name, as in 'com.example/action'"
            )
        if not isinstance(settings, Mapping):
            raise ValueError(f"extensions=: the settings of {identifier!r} are an object, as {{}}")
