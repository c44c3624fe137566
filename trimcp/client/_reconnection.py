"""When to request a stream again that has ended: one policy for all streams over HTTP.

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

#: Seconds before a stream is requested again, unless the server gives a time.
_USUAL_SECONDS: Final = 1.0

#: The minimum number of seconds, whatever the server says.
_FEWEST_SECONDS: Final = 0.1

#: The maximum of the seconds that are added after attempts without an event; they are doubled each
#: time.
_MOST_SECONDS: Final = 60.0

#: A stream that was open for so many seconds counts as a success, even without an event.
_LIVED_SECONDS: Final = 5.0

#: After so many failed attempts in a row, the stream counts as lost.
_MOST_ATTEMPTS: Final = 5

#: The maximum length of an event id that is sent back, in characters.
_LONGEST_ID: Final = 4096

#: Statuses below 500 that mean a temporary refusal.
_NOT_NOW: Final = frozenset({408, 425, 429})

#: Statuses from 500 on that mean a permanent refusal.
_NEVER: Final = frozenset({501, 505})


@attrs.define
class Reconnection:
    """The position in an event stream, and when and how to resume it.

    Attributes:
        last_id: The event id to resume from; empty if the server gave none.
        retry: Seconds that the server asks to wait; None if it gave none.
        barren: Attempts in a row without an event; the delay grows with them.
        failures: Attempts in a row without even an id; too many of them end the attempts.
        jitter: Returns a random number from 0 to 1, so that clients do not reconnect at the same
            time.
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
        """Note that an event has arrived."""
        self.barren = self.failures = 0

    def ended(self, answer: HTTPAnswer | None = None) -> None:
        """Note that the stream has ended, and record its last event id."""
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
        """Whether too many attempts have failed, or the server asks to wait too long."""
        return self.is_exhausted or self._deferred > _MOST_SECONDS

    def may_follow(self, failure: MCPError) -> bool:
        """Whether another attempt may follow this failure.

        It may if the connection was lost, or if the server refuses temporarily; then the time that
        the server gives is recorded. The number of failures is not checked here: see `is_hopeless`.
        """
        if isinstance(failure, HTTPStatusError):
            self._deferred = retry_after(failure.headers, time.time())
            return is_temporary(failure.status)
        return isinstance(failure, ConnectionLost)

    async def wait(self) -> None:
        """Wait before the next attempt; longer after more attempts without an event."""
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
        """The header that asks the server to resume after `last_id`, if the id can be sent."""
        last = self.last_id
        # Some ids cannot be in a header.
        usable = last.isprintable() and last == last.strip() and len(last) <= _LONGEST_ID
        return {LAST_EVENT_ID: last} if last and usable else {}


def is_temporary(status: int) -> bool:
    """Whether a server that answers with this HTTP status may be asked again later."""
    return status in _NOT_NOW or (status >= 500 and status not in _NEVER)


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds that a refusal asks to wait; 0 if it gives none.

    Args:
        headers: The answer's headers, by their names in lower case.
        now: Seconds since the epoch, since the server may name a date.
    """
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - now)
    except (ValueError, OverflowError, OSError):
        return 0.0
