"""Form questions of the server, asked at the terminal.

Specification: Elicitation, Form Mode.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from ._terminal import printable
from ._values import choices, describe, kinds, read_value, resolve

if TYPE_CHECKING:
    from trimcp.types import ElicitRequestFormParams

    from ._terminal import Terminal

__all__ = ["Ask", "Questioner"]

Ask: TypeAlias = Callable[["ElicitRequestFormParams"], Awaitable[Mapping[str, Any] | None]]

#: Stands for a field that is left out.
_NOTHING: Final = object()


class Questioner:
    """Fills in forms with what people type, one form and one field after the other."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._turn = trio.Lock()

    async def answer(self, form: ElicitRequestFormParams) -> dict[str, Any] | None:
        """The filled-in form; None if the user declined."""
        async with self._turn:
            self._terminal.say(f"The server asks (Ctrl-D declines): {printable(form.message)}")
            try:
                return await self._fill(form.requested_schema)
            except EOFError:
                return None

    async def _fill(self, form: Mapping[str, Any]) -> dict[str, Any] | None:
        fields: Mapping[str, Any] = form.get("properties", {})
        if not fields:
            return await self._agree()
        required = form.get("required", ())
        answers = {
            name: await self._ask_until_right(Field(name, schema, form, name in required))
            for name, schema in fields.items()
        }
        return {name: value for name, value in answers.items() if value is not _NOTHING}

    async def _agree(self) -> dict[str, Any] | None:
        """A question without fields asks for nothing but consent."""
        field = Field("agreed", {"type": "boolean"}, {}, True)
        return {} if await self._ask_until_right(field) else None

    async def _ask_until_right(self, field: Field) -> Any:
        while True:
            try:
                return field.read(await self._terminal.ask(field.prompt))
            except ValueError as error:
                self._terminal.say(f"    {error}")


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
        self._name = name
        self._schema = resolve(schema, form)
        self._form = form
        self._is_required = is_required
        self._is_list = kinds(schema, form) == {"array"}

    @property
    def prompt(self) -> str:
        """What is asked: name, explanation, what fits, and what stands there already."""
        about = [self._schema.get("description"), self._fitting()]
        notes = "; ".join(str(each) for each in about if each)
        return printable(
            f"  {self._schema.get('title') or self._name} ({notes}){self._default()}: "
        )

    def read(self, text: str) -> Any:
        """The value typed; for an empty line the default, or nothing if it may be left out.

        Raises:
            ValueError: It does not fit, or is missing.
        """
        if text:
            return self._read_list(text) if self._is_list else self._read(text, self._schema)
        if "default" in self._schema:
            return self._schema["default"]
        if self._is_required:
            raise ValueError("a value is needed")
        return _NOTHING

    def _read(self, text: str, schema: Any) -> Any:
        return read_value(text, schema, self._form)

    def _read_list(self, text: str) -> list[Any]:
        items = self._schema.get("items", {})
        return [self._read(each.strip(), items) for each in text.split(",") if each.strip()]

    def _fitting(self) -> str:
        if self._is_list:
            return f"some of {self._named_choices(self._schema.get('items', {}))}, with commas"
        if kinds(self._schema, self._form) == {"boolean"}:
            return "yes or no"
        return self._named_choices(self._schema)

    def _named_choices(self, schema: Any) -> str:
        named = choices(schema, self._form)
        listed = " | ".join(f"{value} = {title}" if title else str(value) for value, title in named)
        return listed or describe(schema, self._form)

    def _default(self) -> str:
        default = self._schema.get("default")
        if default is None:
            return "" if self._is_required else " [nothing]"
        if isinstance(default, bool):
            return " [yes]" if default else " [no]"
        return f" [{', '.join(map(str, default)) if isinstance(default, list) else default}]"
