"""JSON Schemas that somebody else wrote: checked, bounded, and never fetched.

A schema without `$schema` is 2020-12; drafts 4 to 2019-09 are understood when it names them.

Specification: 2026-07-28, Overview, JSON Schema Usage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InvalidSchema", "SchemaChecker"]

#: A larger schema is refused: its composition could cost more than it can be worth.
MAX_SCHEMA_BYTES: Final = 256 * 1024

#: Flaws named in one message.
_MAX_FLAWS: Final = 10


class InvalidSchema(ValueError):
    """The schema cannot be used; the message says why."""


class SchemaChecker:
    """A compiled schema.

    A reference to a network address is an error, since following it would let whoever wrote the
    schema choose what this process fetches.

    Args:
        schema: The schema.

    Raises:
        InvalidSchema: It is too large, not valid, of an unknown dialect, or refers elsewhere.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # Loaded here, since most programs never check a foreign schema.
        import jsonschema_rs

        try:
            size = len(msgspec.json.encode(schema))
            if size > MAX_SCHEMA_BYTES:
                raise InvalidSchema(f"a schema of {size} bytes is too large to check")
            self._validator = jsonschema_rs.validator_for(dict(schema), retriever=_deny)
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
            raise InvalidSchema(_first_line(error)) from None
        except (TypeError, RecursionError) as error:
            raise InvalidSchema(str(error)) from None

    def flaws(self, value: Any) -> str | None:
        """What is wrong with a value, one line a flaw with its JSON path; None if nothing."""
        if self._validator.is_valid(value):
            return None
        lines = []
        for flaw in self._validator.iter_errors(value):
            path = "$" + "".join(
                f"[{step}]" if isinstance(step, int) else f".{step}" for step in flaw.instance_path
            )
            lines.append(f"{path}: {flaw.message}")
            if len(lines) == _MAX_FLAWS:
                break
        return "\n".join(lines)


def _deny(uri: str) -> Any:
    raise ValueError(f"{uri} is not fetched")


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0]
