"""Cancelling a scenario at each of its checkpoints in turn.

Every time a task of any kind comes to a checkpoint may be the moment at which somebody gives up.
So a scenario is run as often as it has such moments, and each run is cancelled at another one.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator  # noqa: TC003
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs
import trio
import trio.testing

from trimcp import Context  # noqa: TC001

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from trimcp import Server

__all__ = ["Ledger", "Moment", "add_waiting", "at_each_checkpoint"]

#: Virtual seconds after which a scenario counts as stuck.
_STUCK: Final = 100_000.0

#: Checkpoints of a scenario beyond which something goes on for ever.
_MOST: Final = 5_000


class Moment(trio.abc.Instrument):
    """Cancels a part of a scenario after a number of checkpoints of all tasks, or breaks it off.

    Args:
        number: After how many, from 1 on.

    Attributes:
        has_come: Whether the part was still running then.
    """

    def __init__(self, number: int) -> None:
        self.has_come = False
        self._left = number
        self._end: Callable[[], object] | None = None

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """See `trio.abc.Instrument`."""
        if self._end is not None:
            self._left -= 1
            if self._left == 0:
                self.has_come = True
                self._end()

    @contextmanager
    def inside(self, end: Callable[[], object] | None = None) -> Iterator[None]:
        """The part that is ended; once in a scenario.

        Args:
            end: Ends it; by default it is cancelled.
        """
        trio.lowlevel.add_instrument(self)
        try:
            with trio.CancelScope() as scope:
                self._end = end or scope.cancel
                yield
        finally:
            self._end = None
            trio.lowlevel.remove_instrument(self)


@attrs.define
class Ledger:
    """Which pieces of a user's code have been entered and not left."""

    open: list[str] = attrs.field(factory=list)
    count: int = 0

    @contextmanager
    def entered(self, name: str) -> Iterator[None]:
        self.count += 1
        self.open.append(name)
        try:
            yield
        finally:
            self.open.remove(name)


def add_waiting(server: Server[None], ledger: Ledger) -> None:
    """Register tools that wait and tell the ledger where they are, and a resource."""

    @server.tool
    async def work(ctx: Context) -> str:
        with ledger.entered("work"):
            await ctx.report_progress(1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 1)
            return "done"

    @server.tool
    async def count() -> AsyncIterator[int]:
        with ledger.entered("count"):
            for number in range(3):
                yield number
                await trio.sleep(1)

    @server.resource("test://data")
    async def data() -> str:
        return "data"


def at_each_checkpoint(scenario: Callable[[Moment], Awaitable[None]], *, stride: int = 1) -> int:
    """Run a scenario once for each checkpoint of its part that is cancelled.

    After each run nothing may be left of it: no task, and no error in a log.

    Args:
        scenario: Opens the part with `Moment.inside`, and asserts afterwards what must hold.
        stride: 1 for every checkpoint, 3 for every third.

    Returns:
        How many checkpoints there were.
    """
    for number in itertools.count(1, stride):
        assert number < _MOST, "the scenario does not come to an end"
        moment = Moment(number)
        try:
            with _quiet():
                trio.run(
                    _once, scenario, moment, clock=trio.testing.MockClock(autojump_threshold=0)
                )
        except BaseException as error:
            error.add_note(f"cancelled at checkpoint {number}")
            raise
        if not moment.has_come:
            return number - 1
    raise AssertionError


async def _once(scenario: Callable[[Moment], Awaitable[None]], moment: Moment) -> None:
    # Trio shuffles the tasks that are ready; so a failure can be repeated.
    trio._core._run._r.seed(0)
    before = _tasks()
    with trio.fail_after(_STUCK):
        await scenario(moment)
    await trio.testing.wait_all_tasks_blocked()
    assert _tasks() == before


def _tasks() -> list[str]:
    """The names of all tasks there are."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    found, waiting = [], [root]
    while waiting:
        task = waiting.pop()
        found.append(task.name)
        waiting += (child for nursery in task.child_nurseries for child in nursery.child_tasks)
    return sorted(found)


class _Loud(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record.getMessage())


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing in the block may be logged as an error."""
    loud = _Loud()
    root = logging.getLogger()
    root.addHandler(loud)
    try:
        yield
    finally:
        root.removeHandler(loud)
    assert loud.records == []
