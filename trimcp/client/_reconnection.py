"""When a stream that has ended is asked for again: the one policy for all streams over HTTP.

Specification: 2025-11-25, Streamable HTTP (`retry` must be respected); RFC 9110, 10.2.3
(`Retry-After`).
"""

from __future__ import annotations

import math
import random
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.errors import ConnectionLost, HTTPStatusError
from trimcp.protocol.http import LAST_EVENT_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trimcp.errors import MCPError
    from trimcp.transports import HTTPAnswer

__all__ = ["Reconnection"]

#: Seconds before a stream is asked for again, unless the server says how many.
_USUAL_SECONDS: Final = 1.0

#: The fewest, whatever the server says and however much it had to tell.
_FEWEST_SECONDS: Final = 0.1

#: Up to here the seconds are doubled that attempts which bring nothing add.
_MOST_SECONDS: Final = 60.0

#: A stream that has lived for so many seconds was no failure, though it brought nothing.
_LIVED_SECONDS: Final = 5.0

#: Attempts in a row without a sign that the stream goes on, after which it counts as lost.
_MOST_ATTEMPTS: Final = 5

#: Characters of an id that is sent back.
_LONGEST_ID: Final = 4096

#: Statuses, besides those from 500 on, that say: not now.
_NOT_NOW: Final = frozenset({408, 425, 429})

#: Statuses from 500 on that say: never.
_NEVER: Final = frozenset({501, 505})


@attrs.define
class Reconnection:
    """Where a stream of events has been read to, and how to go on.

    Attributes:
        last_id: The id to go on from; empty if the server gave none.
        retry: Seconds that the server wants to be waited; None if it did not say.
        barren: Attempts in a row that brought no event: what the delay grows with.
        failures: Attempts in a row that did not even bring an id: what counts for giving up.
        jitter: A number from 0 to 1, other each time, so that clients do not come back together.
    """

    last_id: str = ""
    retry: float | None = None
    barren: int = 0
    failures: int = 0
    jitter: Callable[[], float] = random.random
    _opened: float = attrs.field(default=math.inf, init=False)
    _deferred: float = attrs.field(default=0.0, init=False)

    def opened(self) -> None:
        """Note that the server has begun a stream."""
        self._opened = trio.current_time()

    def brought(self) -> None:
        """Note that the stream has brought an event."""
        self.barren = self.failures = 0

    def ended(self, answer: HTTPAnswer | None = None) -> None:
        """Note that the stream has ended, and remember how far it has been read."""
        if trio.current_time() - self._opened >= _LIVED_SECONDS:
            self.brought()
        self._opened = math.inf
        if answer is None:
            return
        if answer.events.last_id and answer.events.last_id != self.last_id:
            self.last_id = answer.events.last_id
            self.failures = 0
        if answer.events.retry is not None:
            self.retry = answer.events.retry / 1000

    @property
    def is_exhausted(self) -> bool:
        """Whether too many attempts have failed."""
        return self.failures >= _MOST_ATTEMPTS

    @property
    def is_hopeless(self) -> bool:
        """Whether too many attempts have failed, or the server asked for too long a wait."""
        return self.is_exhausted or self._deferred > _MOST_SECONDS

    def may_follow(self, failure: MCPError) -> bool:
        """Whether another attempt may follow one that failed like this.

        It may where the connection is lost, or where the server refuses for now; then what it
        says about how long is remembered. Whether too many have failed already is another
        question: see `is_hopeless`.
        """
        if isinstance(failure, HTTPStatusError):
            self._deferred = retry_after(failure.headers, time.time())
            return is_temporary(failure.status)
        return isinstance(failure, ConnectionLost)

    async def wait(self) -> None:
        """Wait before asking again; longer, the more attempts have brought nothing."""
        usual = self._spread(_USUAL_SECONDS) if self.retry is None else self.retry
        more = self._spread(min(2.0 ** min(self.barren - 1, 10), _MOST_SECONDS))
        least = max(usual, self._deferred, _FEWEST_SECONDS)
        self._deferred = 0.0
        await trio.sleep(least + (more if self.barren else 0.0))
        self.barren += 1
        self.failures += 1

    def _spread(self, seconds: float) -> float:
        return seconds * (1 + self.jitter() / 2)

    @property
    def headers(self) -> dict[str, str]:
        """The header that asks the server to go on after `last_id`, if that can be sent."""
        last = self.last_id
        # Not every id can stand in a header.
        usable = last.isprintable() and last == last.strip() and len(last) <= _LONGEST_ID
        return {LAST_EVENT_ID: last} if last and usable else {}


def is_temporary(status: int) -> bool:
    """Whether a server that answers with this HTTP status may be asked again later."""
    return status in _NOT_NOW or (status >= 500 and status not in _NEVER)


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds that a refusal asks to be waited; 0 if it does not say.

    Args:
        headers: The answer's, by their names in lower case.
        now: Seconds since the epoch, since the server may name a date.
    """
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return 0.0
