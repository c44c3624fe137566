"""Tasks that answer one request after another.

A task and a cancel scope of its own cost each request more than a small tool does. So a task that
has answered a request waits for another one, in the scope that it has entered already. It is used
again only if nothing is left of the request in it: if the handler raised nothing, was not
cancelled, and left no lock and no scope behind. Otherwise the task ends, as it would have ended
anyway.
"""

from __future__ import annotations

import collections
import contextvars
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from ._boundary import Failed, captured

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._round import Responder, Round

try:
    from trio._core._parking_lot import GLOBAL_PARKING_LOT_BREAKER as _HOLDERS
except ImportError:
    _HOLDERS = None  # type: ignore[assignment]

__all__ = ["MOST_IDLE", "Workers", "is_innermost"]

#: How many tasks of one nursery may wait for a request.
MOST_IDLE: Final = 64

#: How many tasks may wait in all nurseries of a run of Trio: some kilobytes each.
MOST_IDLE_IN_ALL: Final = 1000


#: All tasks of a run of Trio that wait for a request, those that wait longest first.
_Bench: TypeAlias = "collections.OrderedDict[_Worker, None]"

_BENCH: Final[trio.lowlevel.RunVar[_Bench | None]] = trio.lowlevel.RunVar(
    "trimcp: tasks that wait for a request", None
)


def _bench() -> _Bench:
    """The one of this run of Trio."""
    bench = _BENCH.get()
    if bench is None:
        bench = collections.OrderedDict()
        _BENCH.set(bench)
    return bench


class Workers:
    """The tasks that answer requests in one nursery.

    Args:
        responder: The role.
        start: Starts a task in the nursery.
    """

    def __init__(self, responder: Responder, start: Callable[..., object]) -> None:
        self.responder = responder
        self._start = start
        self._idle: collections.deque[_Worker] = collections.deque()
        self._bench: _Bench | None = None
        self._is_over = False

    def attend(self, round_: Round) -> None:
        """Answer a request in a task that waits, or else in a new one."""
        # A round that has a scope was cancelled before.
        if self._idle and round_.scope is None:
            worker = self._idle[-1]
            self.leave(worker)
            worker.give(round_)
        else:
            self._start(_Worker(self, round_).run)

    def dismiss(self) -> frozenset[trio.lowlevel.Task]:
        """End the tasks that wait; the others end when they have answered.

        Returns:
            Those that waited. They have not ended yet, but do nothing more.
        """
        self._is_over = True
        waiting = frozenset(worker.task for worker in self._idle)
        while self._idle:
            self._idle[-1].dismiss()
        return waiting

    def join(self, worker: _Worker) -> bool:
        """Let a task wait for a request. Returns False if it is not needed any more."""
        if self._is_over or len(self._idle) >= MOST_IDLE:
            return False
        if self._bench is None:
            self._bench = _bench()
        self._idle.append(worker)
        self._bench[worker] = None
        if len(self._bench) > MOST_IDLE_IN_ALL:
            # The one that waits longest ends.
            next(iter(self._bench)).dismiss()
        return True

    def leave(self, worker: _Worker) -> None:
        """A task waits no more."""
        if self._idle[-1] is worker:
            self._idle.pop()
        else:
            self._idle.remove(worker)
        if self._bench is not None:
            del self._bench[worker]


class _Worker:
    """One task.

    Args:
        workers: Where it waits.
        round_: Its first request.

    Attributes:
        task: The task, once it runs.
    """

    __slots__ = ("_round", "_scope", "_workers", "task")

    task: trio.lowlevel.Task

    def __init__(self, workers: Workers, round_: Round) -> None:
        self._workers = workers
        self._scope = round_.scope = round_.scope or trio.CancelScope()
        self._round: Round | None = round_

    def give(self, round_: Round) -> None:
        """Give a request to the task, which waits, with the context variables of the caller."""
        self._round = round_
        # From now on, not from when the task runs again: a cancellation may come before.
        round_.scope = self._scope
        self.task.context = contextvars.copy_context()
        trio.lowlevel.reschedule(self.task)

    def dismiss(self) -> None:
        """End the task, which waits."""
        self._workers.leave(self)
        trio.lowlevel.reschedule(self.task)

    async def run(self) -> None:
        """Answer requests. Raises nothing but Cancelled and KeyboardInterrupt."""
        outcome: Any = None
        passing: BaseException | None = None
        self.task = trio.lowlevel.current_task()
        try:
            outcome, passing = await captured(self._scope, self._answer_each)
            if self._round is not None:
                await self._round.conclude(outcome, passing)
            elif passing is not None:
                raise passing
            elif isinstance(outcome, Failed):
                # No handler raised it.
                raise outcome.error
        finally:
            if self._round is not None:
                self._round.end()
            outcome = passing = None

    async def _answer_each(self) -> Any:
        """Answer requests until there are no more, or one leaves something behind.

        Returns:
            The outcome of the last one, if it is not answered yet.

        Raises:
            BaseException: What the handler of the last one raised.
        """
        while (round_ := self._round) is not None:
            if round_.is_over:
                break
            outcome = await self._workers.responder.handle(round_)
            if round_.is_cancelled or not (is_innermost(self._scope) and _holds_nothing()):
                return outcome
            # Nobody can cancel the task any more on account of this request.
            round_.scope = None
            try:
                await round_.conclude(outcome, None)
            finally:
                self._round = None
                round_.end()
            # Nothing of the request is kept while the task waits.
            del round_, outcome
            await self._wait()
        return None

    async def _wait(self) -> None:
        """Wait for a request, or for the end, where there is no request."""
        if self._workers.join(self):
            # Of the context variables nothing is kept either.
            self.task.context = contextvars.Context()
            await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._workers.leave(self)
        return trio.lowlevel.Abort.SUCCEEDED


def is_innermost(scope: trio.CancelScope) -> bool:
    """Whether the current task is in this scope, and in no other one inside it.

    Trio's public interface does not tell. If its internals change, the answer is no, and neither a
    task nor a scope is used twice: that is slower, and nothing else.
    """
    try:
        return trio.lowlevel.current_task()._cancel_status is scope._cancel_status
    except AttributeError:
        return False


def _holds_nothing() -> bool:
    """Whether the current task holds no lock; no, if Trio's internals do not tell."""
    return _HOLDERS is not None and trio.lowlevel.current_task() not in _HOLDERS
