"""A Trio run that goes on only while somebody asks something of it.

A state machine of hypothesis is a series of ordinary calls. Between two of them a server, its
clients and everything that they have under way have to stay as they are. So Trio runs as the guest
of a loop that is turned by hand, in guest mode: `TrioHost.call` turns it until everything has come
to rest again.

The time is virtual, and stands still unless `TrioHost.pass_time` lets it pass.
"""

from __future__ import annotations

import math
import queue
import time
from typing import TYPE_CHECKING, Any, Final

import outcome
import trio
import trio.testing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["TrioHost", "names_of"]

#: Real seconds in which a call has to come to rest.
_PATIENCE: Final = 60.0


class TrioHost:
    """A run of Trio in guest mode, on a virtual clock.

    Attributes:
        clock: Its clock.
        nursery: Where tasks are started that live on between calls. An exception in one of them is
            raised by the call in which it happens, and ends the run.
        root: Trio's root task.
    """

    nursery: trio.Nursery
    root: trio.lowlevel.Task

    def __init__(self) -> None:
        self.clock = trio.testing.MockClock()
        self._turns: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._ended: outcome.Outcome[None] | None = None
        self._is_reported = False
        self._request: Callable[[], Awaitable[None]] | None = None
        self._is_open = False
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._turns.put,
            done_callback=self._on_done,
            host_uses_signal_set_wakeup_fd=True,
            clock=self.clock,
        )
        self._turn_until(lambda: self._is_open)

    def _on_done(self, ended: outcome.Outcome[None]) -> None:
        self._ended = ended

    async def _main(self) -> None:
        root = trio.lowlevel.current_root_task()
        assert root is not None
        self.root = root
        async with trio.open_nursery() as self.nursery:
            self._is_open = True
            while self._is_open:
                request, self._request = self._request, None
                if request is not None:
                    await request()
                # Nobody turns the loop until the next call. To wait for it would be dear: Trio
                # would wait for events of the system in a thread.
                await trio.lowlevel.checkpoint()
            # What cleans up may need time for it.
            self.clock.autojump_threshold = 0
            self.nursery.cancel_scope.cancel(reason="the host is closed")

    def _turn_until(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            if self._ended is not None:
                self._report()
                raise RuntimeError("the run is over")
            self._turns.get(timeout=_PATIENCE)()

    def _report(self) -> None:
        """Raise what ended the run, once."""
        if self._ended is not None and not self._is_reported:
            self._is_reported = True
            self._ended.unwrap()

    # -- for the machine ------------------------------------------------------------------------

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function inside the run, await what it returns, and wait for everything to rest.

        Args:
            function: The function, async or not.
            args: Its arguments.

        Returns:
            What it returned.

        Raises:
            BaseException: What it raised; or the error that ended the run.
        """
        results: list[outcome.Outcome[Any]] = []

        async def whole() -> Any:
            value = function(*args)
            if hasattr(value, "__await__"):
                value = await value
            await trio.testing.wait_all_tasks_blocked()
            return value

        async def request() -> None:
            results.append(await outcome.acapture(whole))

        if not self._is_open or self._ended is not None:
            raise RuntimeError("the run is over")
        self._request = request
        self._turn_until(lambda: bool(results))
        if isinstance(getattr(results[0], "error", None), trio.Cancelled):
            # A task has failed; its error says why.
            self._turn_until(lambda: False)
        return results[0].unwrap()

    def wait_for(self, is_done: Callable[[], bool]) -> None:
        """Go on until a thread has brought something about, and everything rests again."""
        until = time.monotonic() + _PATIENCE
        self._turn_until(lambda: is_done() or time.monotonic() > until)
        assert is_done(), "nothing comes of a thread"
        self.call(lambda: None)

    def pass_time(self, seconds: float) -> None:
        """Let virtual time pass, one deadline after another; between them everything rests."""
        self.call(self._pass_time, seconds)

    async def _pass_time(self, seconds: float) -> None:
        end = trio.current_time() + seconds
        while (left := end - trio.current_time()) > 0:
            to_next = trio.lowlevel.current_statistics().seconds_to_next_deadline
            self.clock.jump(left if to_next == math.inf else min(left, max(to_next, 0)))
            await trio.testing.wait_all_tasks_blocked()

    @property
    def now(self) -> float:
        """The virtual time."""
        return self.clock.current_time()

    def close(self) -> None:
        """Cancel what still runs, and wait for the end. Raises what ended the run, if unknown."""
        self._is_open = False
        while self._ended is None:
            self._turns.get(timeout=_PATIENCE)()
        self._report()


def names_of(tasks: list[trio.lowlevel.Task]) -> list[str]:
    """Their names, sorted."""
    return sorted(task.name for task in tasks)
