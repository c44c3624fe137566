"""Changing one member of a YAML document; comments, quotes and the order of others stay."""

from __future__ import annotations

import io
import re
from typing import Any, Final

from ._errors import CommandError
from ._jsonc import Malformed

__all__ = ["parse", "with_member", "without"]

#: Lines are not folded at any width that occurs.
_WIDTH: Final = 1_000_000

#: A mapping at the top with the blanks before its first member.
_MAPPING: Final = re.compile(
    r"^[^\s#][^\n]*:[ \t]*\r?\n(?:[ \t]*#[^\n]*\n)*( +)[^\s#-]", re.MULTILINE
)

#: The blanks before a name and before the dashes of the sequence that it has.
_SEQUENCE: Final = re.compile(r"^( *)[^\s#-][^\n]*:[ \t]*\r?\n( *)- ", re.MULTILINE)


def parse(text: str) -> Any:
    """The value of a document. Raises Malformed."""
    return _plain(_load(text))


def with_member(text: str, section: str, name: str, value: dict[str, Any]) -> str:
    """The document with a member added to, or replaced in, a mapping at the top."""
    data = _load(text)
    if data is None:
        # Comments alone are no document: they stay above the new one.
        head = f"{text.rstrip()}\n" if text.strip() else ""
        return head + _dumped(text, {section: {name: value}})
    data.setdefault(section, {})[name] = value
    return _dumped(text, data)


def without(text: str, section: str, name: str) -> str:
    """The document without a member of a mapping at the top, which has to be there."""
    data = _load(text)
    del data[section][name]
    return _dumped(text, data)


def _yaml() -> Any:
    try:
        from ruamel.yaml import YAML
    except ModuleNotFoundError:
        raise CommandError(
            "Goose's settings are YAML, which needs one more package: pip install 'trimcp[goose]'"
        ) from None
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    return yaml


def _load(text: str) -> Any:
    yaml = _yaml()
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = mark.index if mark is not None else 0
        raise Malformed(str(error.problem or error.context), place) from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise Malformed(str(error).partition("\n")[0], 0) from None


def _dumped(text: str, data: Any) -> str:
    """The text of a document, laid out as the text from which it came."""
    yaml = _yaml()
    found = _MAPPING.search(text)
    yaml.map_indent = len(found[1]) if found else 2
    found = _SEQUENCE.search(text)
    if found and len(found[2]) > len(found[1]):
        yaml.sequence_indent = len(found[2]) - len(found[1]) + 2
        yaml.sequence_dash_offset = len(found[2]) - len(found[1])
    stream = io.StringIO()
    yaml.dump(data, stream)
    made = stream.getvalue()
    return made.replace("\n", "\r\n") if "\r\n" in text else made


def _plain(data: Any) -> Any:
    """The same in Python's own types."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return data
