"""Asking the server's questions at the terminal.

Specification: Elicitation; Sampling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import RequestError

from ._fields import CONSENT, NOTHING, fields_of
from ._results import describe, speech
from ._screen import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimcp.types import (
        CreateMessageRequestParams,
        ElicitRequestFormParams,
        ElicitRequestURLParams,
    )

    from ._fields import Field
    from ._terminal import Terminal

__all__ = ["Questioner"]

#: The code of a request that the user has refused (Sampling, Error Handling).
_REFUSED: Final = -1


class Questioner:
    """Lets the user answer, one question after another."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._turn = trio.Lock()

    # -- forms ----------------------------------------------------------------------------

    async def fill_in(self, form: ElicitRequestFormParams) -> dict[str, Any] | None:
        """The form, field by field; None if the user declined."""
        async with self._turn:
            self._terminal.say(f"The server asks (Ctrl-D declines): {printable(form.message)}")
            try:
                return await self._fill_in(form.requested_schema)
            except EOFError:
                return None

    async def _fill_in(self, form: Mapping[str, Any]) -> dict[str, Any] | None:
        fields = fields_of(form)
        if not fields:
            # A form without fields only asks for consent.
            return {} if await self._ask_until_right(CONSENT) else None
        answers = {field.name: await self._ask_until_right(field) for field in fields}
        return {name: value for name, value in answers.items() if value is not NOTHING}

    async def _ask_until_right(self, field: Field) -> Any:
        while True:
            text = await self._terminal.ask(field.prompt)
            try:
                return field.read(text) if text else field.left_out()
            except ValueError as error:
                self._terminal.say(f"    {printable(str(error))}")

    # -- URLs -----------------------------------------------------------------------------

    async def agree(self, question: ElicitRequestURLParams) -> bool:
        """Whether the user agrees to visit a URL, which they open themselves."""
        async with self._turn:
            self._terminal.say(f"The server asks (Ctrl-D declines): {printable(question.message)}")
            self._terminal.say(f"  Please visit {printable(question.url)}")
            try:
                return bool(await self._ask_until_right(CONSENT))
            except EOFError:
                return False

    # -- sampling -------------------------------------------------------------------------

    async def sample(self, asked: CreateMessageRequestParams) -> str:
        """The user's answer in place of a model's. Raises RequestError if they refuse."""
        async with self._turn:
            self._terminal.say("The server asks a model, and you answer (Ctrl-D refuses):")
            if asked.system_prompt:
                self._show("system", asked.system_prompt)
            for message in asked.messages:
                self._show(message.role, "\n".join(map(describe, message.content)))
            try:
                return await self._terminal.ask("  assistant: ")
            except EOFError:
                raise RequestError(_REFUSED, "the user refused to answer for a model") from None

    def _show(self, role: str, text: str) -> None:
        for line in speech(role, text).splitlines():
            self._terminal.say(f"  {printable(line)}")
