"""Both transition tables, each state with each event, written out once more."""

from __future__ import annotations

import itertools

import pytest

from trimcp.protocol._states import (
    EXCHANGE,
    SESSION,
    ExchangeEvent,
    ExchangeState,
    IllegalTransition,
    SessionEvent,
    SessionState,
    next_exchange_state,
    next_session_state,
)

OPEN, ANSWERED, CANCELLED, DROPPED = ExchangeState
ANSWER, CANCEL, DROP = ExchangeEvent
NEW, INITIALIZING, READY = SessionState
INITIALIZE, INITIALIZED = SessionEvent

#: State, event, next state; None where the event is a mistake in the program.
EXCHANGE_LIFE = [
    (OPEN, ANSWER, ANSWERED),
    (OPEN, CANCEL, CANCELLED),
    (OPEN, DROP, DROPPED),
    (ANSWERED, ANSWER, None),
    (ANSWERED, CANCEL, ANSWERED),
    (ANSWERED, DROP, ANSWERED),
    (CANCELLED, ANSWER, CANCELLED),
    (CANCELLED, CANCEL, CANCELLED),
    (CANCELLED, DROP, CANCELLED),
    (DROPPED, ANSWER, DROPPED),
    (DROPPED, CANCEL, DROPPED),
    (DROPPED, DROP, DROPPED),
]
SESSION_LIFE = [
    (NEW, INITIALIZE, INITIALIZING),
    (NEW, INITIALIZED, None),
    (INITIALIZING, INITIALIZE, INITIALIZING),
    (INITIALIZING, INITIALIZED, READY),
    (READY, INITIALIZE, INITIALIZING),
    (READY, INITIALIZED, READY),
]


def test_every_case_is_stated() -> None:
    exchange = [(state, event) for state, event, _ in EXCHANGE_LIFE]
    assert exchange == list(itertools.product(ExchangeState, ExchangeEvent))
    session = [(state, event) for state, event, _ in SESSION_LIFE]
    assert session == list(itertools.product(SessionState, SessionEvent))


@pytest.mark.parametrize(("state", "event", "expected"), EXCHANGE_LIFE)
def test_exchange(
    state: ExchangeState, event: ExchangeEvent, expected: ExchangeState | None
) -> None:
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{event.name} in state {state.name}"):
            next_exchange_state(state, event)
    else:
        assert next_exchange_state(state, event) is expected


@pytest.mark.parametrize(("state", "event", "expected"), SESSION_LIFE)
def test_session(state: SessionState, event: SessionEvent, expected: SessionState | None) -> None:
    if expected is None:
        with pytest.raises(IllegalTransition, match=f"{event.name} in state {state.name}"):
            next_session_state(state, event)
    else:
        assert next_session_state(state, event) is expected


def test_nothing_reopens() -> None:
    """Once an exchange is over it stays over, whatever happens."""
    for state, row in EXCHANGE.items():
        assert OPEN not in row.values()
        if state is not OPEN:
            assert set(row.values()) == {state}
    assert NEW not in {after for row in SESSION.values() for after in row.values()}
