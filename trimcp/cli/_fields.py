"""The fields of a form: how they are asked for, and how an answer is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ._bounds import bounds
from ._schemas import choices, describe, kinds, properties, resolve
from ._screen import printable
from ._values import read_value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONSENT", "NOTHING", "Field", "fields_of"]

#: The value of a field that is left out.
NOTHING: Final = object()


class Field:
    """One field of a form.

    Args:
        name: The property.
        schema: Its schema.
        form: The form's schema.
        is_required: Whether it must be filled in.
    """

    def __init__(
        self, name: str, schema: Mapping[str, Any], form: Mapping[str, Any], is_required: bool
    ) -> None:
        self.name = name
        self._schema = resolve(schema, form)
        self._form = form
        self._is_required = is_required
        self._is_list = kinds(schema, form) == {"array"}

    @property
    def prompt(self) -> str:
        """The prompt: name, explanation, allowed values, and the default."""
        about = [self._schema.get("description"), self._fitting()]
        notes = "; ".join(str(each) for each in about if each)
        return printable(f"  {self._schema.get('title') or self.name} ({notes}){self._default()}: ")

    def read(self, text: str) -> Any:
        """Convert a text to the field's value. Raises ValueError if it does not fit."""
        return self.check(
            self._read_list(text) if self._is_list else self._read(text, self._schema)
        )

    def check(self, value: Any) -> Any:
        """Check a value and return it unchanged. Raises ValueError if it does not fit."""
        from trimcp.functions import InvalidSchema, SchemaChecker

        try:
            flaws = SchemaChecker(dict(self._schema)).flaws(value)
        except InvalidSchema:
            # The whole form is checked again later, where a flaw in it is the server's error.
            return value
        if flaws is not None:
            raise ValueError("; ".join(each.removeprefix("$: ") for each in flaws.splitlines()))
        return value

    def left_out(self) -> Any:
        """The default, or `NOTHING` for an optional field. Raises ValueError for a required one."""
        if "default" in self._schema:
            return self._schema["default"]
        if self._is_required:
            raise ValueError("a value is needed")
        return NOTHING

    def _read(self, text: str, schema: Any) -> Any:
        return read_value(text, schema, self._form)

    def _read_list(self, text: str) -> list[Any]:
        items = self._schema.get("items", {})
        return [self._read(each.strip(), items) for each in text.split(",") if each.strip()]

    def _fitting(self) -> str:
        if self._is_list:
            some = f"some of {self._named_choices(self._schema.get('items', {}))}, with commas"
            return ", ".join(filter(None, (some, bounds(self._schema, self._form))))
        if kinds(self._schema, self._form) == {"boolean"}:
            return "yes or no"
        return self._named_choices(self._schema)

    def _named_choices(self, schema: Any) -> str:
        named = choices(schema, self._form)
        listed = " | ".join(f"{value} = {title}" if title else str(value) for value, title in named)
        return listed or ", ".join(
            filter(None, (describe(schema, self._form), bounds(schema, self._form)))
        )

    def _default(self) -> str:
        default = self._schema.get("default")
        if default is None:
            return "" if self._is_required else " [nothing]"
        if isinstance(default, bool):
            return " [yes]" if default else " [no]"
        return f" [{', '.join(map(str, default)) if isinstance(default, list) else default}]"


#: The field for a form without fields, which only asks for consent.
CONSENT: Final = Field("agreed", {"type": "boolean"}, {}, True)


def fields_of(form: Mapping[str, Any]) -> list[Field]:
    """The fields of a form's schema."""
    return [
        Field(name, schema, form, is_required) for name, schema, is_required in properties(form)
    ]
