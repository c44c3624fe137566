"""Answering the server's questions: by options, by the user at the terminal, or not at all.

Specification: Elicitation; Sampling; Roots.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.errors import RequestError
from trimcp.protocol import Era, find_revision

from ._connecting import connected
from ._errors import CommandError, explain
from ._fields import CONSENT, NOTHING, fields_of
from ._overheard import Overheard
from ._questions import Questioner
from ._screen import printable
from ._values import read_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from trimcp.client import Client, ClientOptions
    from trimcp.types import CreateMessageRequestParams, ElicitRequestFormParams

    from ._fields import Field
    from ._options import Answering, Argument
    from ._terminal import Terminal

__all__ = ["connected_to_answer"]


@asynccontextmanager
async def connected_to_answer(options: Answering, terminal: Terminal) -> AsyncIterator[Client]:
    """Connect, and answer questions with the options and at the terminal.

    At the end the terminal shows why a handler failed unexpectedly, if the server's process was
    started by the command and its log says so. Raises what `connected` does.
    """
    prepared = Prepared(options, terminal)
    # Questions that cannot be answered have no callback, so the client does not declare them.
    answers: ClientOptions = {}
    if terminal.can_ask:
        people = Questioner(terminal)
        answers["elicitation"] = people.fill_in
        answers["url_elicitation"] = people.agree
        answers["sampling"] = people.sample
    if options.answers:
        answers["elicitation"] = prepared.fill_in
    if options.sample is not None:
        answers["sampling"] = prepared.sample
    roots = GivenRoots(options.roots)
    if options.roots:
        answers["roots"] = roots.tell
    overheard = Overheard(options)
    try:
        async with connected(options, answers, overheard.take) as client:
            if options.roots and _asks_by_itself(client):
                await roots.wait_taken()
            yield client
            prepared.name_unused()
    except RequestError as error:
        if not (failure := overheard.failure):
            raise
        raise CommandError(explain(error), beneath=failure) from error
    if failure := overheard.failure:
        terminal.say(failure)


def _asks_by_itself(client: Client) -> bool:
    """Whether the server may ask at any time; in the stateless era it asks only during a call."""
    revision = find_revision(client.revision)
    return revision is not None and revision.era is Era.HANDSHAKE


#: Seconds to wait for the server to ask for the roots, before it is called without them.
_UNTIL_ASKED: Final = 1.0

#: Seconds for a server to handle the roots; there is no message when it has done that.
_UNTIL_TAKEN: Final = 0.2


class GivenRoots:
    """The roots of the command line, and whether the server knows them.

    Many servers ask for the roots some time after the handshake, and until then refuse what is only
    allowed below a root. Without waiting, a command would be over before that.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = roots
        self._asked = trio.Event()

    async def tell(self) -> Sequence[str]:
        """Answer the server."""
        await trio.lowlevel.checkpoint()
        self._asked.set()
        return self._roots

    async def wait_taken(self) -> None:
        """Wait until the server has asked and has had time for the answer, or does not ask."""
        with trio.move_on_after(_UNTIL_ASKED):
            await self._asked.wait()
        if self._asked.is_set():
            await trio.sleep(_UNTIL_TAKEN)


class Prepared:
    """Answers from the options, which were given before any question."""

    def __init__(self, options: Answering, terminal: Terminal) -> None:
        self._given = {each.key: each for each in options.answers}
        self._sample = options.sample
        self._terminal = terminal
        self._asked: set[str] | None = None

    async def fill_in(self, form: ElicitRequestFormParams) -> dict[str, Any] | None:
        """The form, filled in with the given answers and its defaults; None if they do not fit."""
        await trio.lowlevel.checkpoint()
        fields = fields_of(form.requested_schema)
        answers, flaws = self._read(fields or [CONSENT])
        if flaws:
            self._say(f"declined: {form.message} ({'; '.join(flaws)})")
            return None
        if fields:
            return answers
        return {} if answers[CONSENT.name] else None

    async def sample(self, asked: CreateMessageRequestParams) -> str:
        """The given answer of the model, for any question."""
        await trio.lowlevel.checkpoint()
        return self._sample or ""

    def name_unused(self) -> None:
        """Report answers for which there was no question, since their names may be wrong."""
        if self._asked is None:
            return
        for key in self._given:
            if key not in self._asked:
                self._say(f"--answer {key}: no question has this field")

    def _read(self, fields: Sequence[Field]) -> tuple[dict[str, Any], list[str]]:
        """The values by name, and the errors."""
        self._asked = (self._asked or set()) | {field.name for field in fields}
        answers: dict[str, Any] = {}
        flaws: list[str] = []
        for field in fields:
            try:
                value = _value(field, self._given.get(field.name))
            except ValueError as error:
                flaws.append(f"{field.name}: {error}")
            else:
                if value is not NOTHING:
                    answers[field.name] = value
        return answers, flaws

    def _say(self, text: str) -> None:
        self._terminal.say(f"trimcp: {printable(text)}")


def _value(field: Field, given: Argument | None) -> Any:
    if given is None:
        return field.left_out()
    return field.check(read_json(given.text)) if given.is_json else field.read(given.text)
