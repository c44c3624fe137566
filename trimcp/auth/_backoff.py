"""Not doing again at once what has just failed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import attrs
import trio

from trimcp.errors import AuthorizationFailed

from ._grants import GrantRefused

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["Backoff", "reason_of"]

#: Seconds after the first failure, doubled with each further one.
_FIRST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 60.0

#: Failures that are remembered, the newest.
_MOST_FAILURES: Final = 32


def reason_of(error: Exception) -> str:
    """Why there are no tokens, for people."""
    if isinstance(error, AuthorizationFailed | GrantRefused):
        return str(error)
    return f"no access token: {type(error).__name__}: {error}"


@attrs.frozen
class _Failure:
    """How something went wrong.

    Attributes:
        reason: Why.
        when: The time, by Trio's clock.
        seconds: How long it is not tried again.
    """

    reason: str
    when: float
    seconds: float


class Backoff:
    """Lets what has failed rest, longer after each failure."""

    def __init__(self) -> None:
        self._failures: dict[Hashable, _Failure] = {}

    @contextmanager
    def trying(self, key: Hashable) -> Iterator[None]:
        """Try something while the block runs.

        Args:
            key: What is tried.

        Raises:
            AuthorizationFailed: It has just failed, for the same reason.
        """
        last = self._failures.get(key)
        now = trio.current_time()
        # Another run of Trio has another clock, so there may be failures of the future.
        if last is not None and 0 <= now - last.when < last.seconds:
            raise AuthorizationFailed(
                f"{last.reason} (it is not tried again for {last.seconds:g} seconds)"
            )
        try:
            yield
        except Exception as error:
            seconds = _FIRST_SECONDS if last is None else min(last.seconds * 2, _MOST_SECONDS)
            self._failures.pop(key, None)
            self._failures[key] = _Failure(reason_of(error), trio.current_time(), seconds)
            if len(self._failures) > _MOST_FAILURES:
                del self._failures[next(iter(self._failures))]
            raise
        self._failures.pop(key, None)
