"""JSON Schemas from users and peers: their checks are bounded, and nothing is fetched.

A schema without `$schema` is 2020-12; drafts 4 to 2019-09 are understood when it names them.

While the library checks a value, no other thread can run, so a worker thread would not help: the
work is bounded instead.

Specification: 2026-07-28, Overview, JSON Schema Usage.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ._schema_cost import STEP, Meter, estimate, metered

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InvalidSchema", "SchemaChecker"]

#: A larger schema is refused.
MAX_SCHEMA_BYTES: Final = 256 * 1024

#: How many flaws one message names, and how many characters of each and of its path.
_MAX_FLAWS: Final = 10
_MAX_TEXT: Final = 1000

#: How many schemas one schema may combine if it has a keyword for which the library evaluates all
#: of them again.
MAX_UNFOLDED: Final = 10_000
_UNFOLDED: Final = b'"unevaluated'

#: The most schemas that are applied to places of a value in one check, if the number can be
#: estimated. The library applies about ten million in a second, and nothing else runs meanwhile.
MAX_WORK: Final = 10_000_000

#: The same if they are counted one by one, which takes ten times as long.
MAX_STEPS: Final = 50_000

#: The same for a check that collects all flaws: a flaw costs a hundred times as much.
_WORK_FOR_ALL: Final = 5000

#: A value is assumed to have one place for this many bytes.
_BYTES_OF_A_PLACE: Final = 8

#: Backtracking steps of one match of a pattern, and bytes of a compiled pattern.
_MOST_BACKTRACKS: Final = 10_000
_PATTERN_BYTES: Final = 1024 * 1024


class InvalidSchema(ValueError):
    """The schema cannot be used; the message says why."""


class SchemaChecker:
    """A compiled schema, whose checks are bounded in their work.

    A reference to a network address is an error, since otherwise the author of the schema could
    choose what this process fetches.

    Args:
        schema: The schema.

    Raises:
        InvalidSchema: It is too large, not valid, of an unknown dialect, or refers elsewhere.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            text = msgspec.json.encode(schema)
        except (TypeError, RecursionError) as error:
            raise InvalidSchema(str(error)) from None
        if len(text) > MAX_SCHEMA_BYTES:
            raise InvalidSchema(f"a schema of {len(text)} bytes is too large to check")
        self._schema = dict(schema)
        foreseen = estimate(self._schema)
        if _UNFOLDED in text and foreseen.together > MAX_UNFOLDED:
            raise InvalidSchema(
                "a schema with unevaluatedProperties or unevaluatedItems combines too many others"
            )
        self._work = foreseen.anywhere
        self._validator = _compile(self._schema)
        self._meter = Meter()
        self._metered: Any = None

    def flaws(self, value: Any) -> str | None:
        """What is wrong with a value, one line for each flaw, with its JSON path; None if nothing.

        A check that would take too much work counts as a flaw too.
        """
        try:
            size = 1 + len(msgspec.json.encode(value)) / _BYTES_OF_A_PLACE
        except (TypeError, ValueError, RecursionError):
            size = math.inf
        work = self._work * size
        try:
            if work > MAX_WORK:
                return self._flaws_metered(value)
            return None if self._validator.is_valid(value) else self._found(value, work)
        except (ValueError, RecursionError) as error:
            return f"$: it cannot be checked: {_first_line(error)}"

    def _flaws_metered(self, value: Any) -> str | None:
        """The flaws, where the work is counted during the check."""
        if self._metered is None:
            self._metered = _compile(metered(self._schema), {STEP: self._meter.keyword})
        self._meter.left = MAX_STEPS
        is_valid = self._metered.is_valid(value)
        if self._meter.left < 0:
            return (
                f"$: it cannot be checked in {MAX_STEPS} steps: the schema combines too many others"
            )
        return None if is_valid else "$: it does not fit"

    def _found(self, value: Any, work: float) -> str:
        """The flaws; only one, or none by name, if finding all of them is too much work."""
        if work <= _WORK_FOR_ALL:
            found = itertools.islice(self._validator.iter_errors(value), _MAX_FLAWS)
            return "\n".join(map(_described, found))
        if self._work > _WORK_FOR_ALL:
            return "$: it does not fit"
        import jsonschema_rs

        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as flaw:
            return _described(flaw)
        return "$: it does not fit"


def _compile(schema: dict[str, Any], keywords: dict[str, type] | None = None) -> Any:
    """Compile a schema. Raises InvalidSchema."""
    # Loaded here, since most programs never need it.
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(
            schema,
            retriever=_deny,
            keywords=keywords,
            pattern_options=jsonschema_rs.FancyRegexOptions(
                backtrack_limit=_MOST_BACKTRACKS, size_limit=_PATTERN_BYTES
            ),
        )
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        raise InvalidSchema(_first_line(error)) from None
    except (TypeError, RecursionError) as error:
        raise InvalidSchema(str(error)) from None


def _described(flaw: Any) -> str:
    path = "$" + "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in flaw.instance_path
    )
    return f"{_shortened(path)}: {_shortened(flaw.message)}"


def _shortened(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return text
    return f"{text[: _MAX_TEXT // 2]} … {text[-_MAX_TEXT // 2 :]}"


def _deny(uri: str) -> Any:
    raise ValueError(f"{uri} is not fetched")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
