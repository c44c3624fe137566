"""Comments that keep silent answers alive, sent by one task for all of them.

A task that waits for the end of its client anyway sends them itself (`Visit.wait_gone`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from trimcp.runtime import Serving

    from ._visits import Visit

__all__ = ["watch_sleep"]


class _Keeper:
    """Sends comments for the requests that have the same keepalive time.

    Args:
        application: The application.
        seconds: The keepalive time.
    """

    def __init__(self, application: Serving, seconds: float) -> None:
        self._application = application
        self._seconds = seconds
        application.start_soon(self._run)

    async def _run(self) -> None:
        """Check twice in each keepalive time, so that it is not exceeded."""
        while True:
            await trio.sleep(self._seconds / 2)
            horizon = trio.current_time() - self._seconds / 2
            for guest in list(self._application.guests):
                if getattr(guest, "keeper", None) is self:
                    self._wake(guest, horizon)

    def _wake(self, visit: Visit, horizon: float) -> None:
        response = visit.response
        if response.last_sent > horizon or response.is_sending or response.has_ended:
            return
        if visit.at_silence is not None:
            visit.at_silence()
        elif not self._application.is_closing:
            self._application.start_soon(response.comment)


def watch_sleep(
    visit: Visit, keepalive: float, at_silence: Callable[[], None] | None = None
) -> None:
    """Send a comment in the answer to a visit after each so many seconds of silence.

    Args:
        visit: The request.
        keepalive: The seconds.
        at_silence: Called instead, where the task that answers does it.
    """
    application = visit.application
    state = application.state
    keeper = state.get((_Keeper, keepalive))
    if keeper is None and not application.is_closing:
        keeper = state[_Keeper, keepalive] = _Keeper(application, keepalive)
    visit.keeper = keeper
    visit.at_silence = at_silence
