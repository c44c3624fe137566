"""Two transition tables: the life of an exchange, and the life of a handshake session.

An *exchange* is one request, the notifications about it, and its one answer. Who asked and who
answers plays no part here, so the same table serves both roles::

    OPEN ──ANSWER──▶ ANSWERED
      ├───CANCEL───▶ CANCELLED ──ANSWER──▶ CANCELLED   (the answer is not sent)
      └────DROP────▶ DROPPED   ──ANSWER──▶ DROPPED     (nobody is left to send it to)

An event for which a state has no row is an error in the program. Everything that two concurrent
sides may legitimately do has a row: a cancellation that crosses the answer on the wire is not an
error.

A *session* exists only in the handshake era and carries the terms that `initialize` set::

    NEW ──INITIALIZE──▶ INITIALIZING ──INITIALIZED──▶ READY

A further `initialize` ends the session and begins another, so it leads back to INITIALIZING.

Specification: Cancellation, Timing Considerations (all revisions); Lifecycle (to 2025-11-25).
"""

from __future__ import annotations

import enum
from typing import Final


class ExchangeState(enum.IntEnum):
    """Where an exchange is in its life."""

    OPEN = 0
    ANSWERED = 1
    CANCELLED = 2
    DROPPED = 3


class ExchangeEvent(enum.IntEnum):
    """What can happen to an exchange."""

    ANSWER = 0
    CANCEL = 1
    DROP = 2


class SessionState(enum.IntEnum):
    """Where a handshake session is in its life."""

    NEW = 0
    INITIALIZING = 1
    READY = 2


class SessionEvent(enum.IntEnum):
    """What can happen to a handshake session."""

    INITIALIZE = 0
    INITIALIZED = 1


EXCHANGE: Final[dict[ExchangeState, dict[ExchangeEvent, ExchangeState]]] = {
    ExchangeState.OPEN: {
        ExchangeEvent.ANSWER: ExchangeState.ANSWERED,
        ExchangeEvent.CANCEL: ExchangeState.CANCELLED,
        ExchangeEvent.DROP: ExchangeState.DROPPED,
    },
    ExchangeState.ANSWERED: {
        ExchangeEvent.CANCEL: ExchangeState.ANSWERED,
        ExchangeEvent.DROP: ExchangeState.ANSWERED,
    },
    ExchangeState.CANCELLED: {
        ExchangeEvent.ANSWER: ExchangeState.CANCELLED,
        ExchangeEvent.CANCEL: ExchangeState.CANCELLED,
        ExchangeEvent.DROP: ExchangeState.CANCELLED,
    },
    ExchangeState.DROPPED: {
        ExchangeEvent.ANSWER: ExchangeState.DROPPED,
        ExchangeEvent.CANCEL: ExchangeState.DROPPED,
        ExchangeEvent.DROP: ExchangeState.DROPPED,
    },
}

SESSION: Final[dict[SessionState, dict[SessionEvent, SessionState]]] = {
    SessionState.NEW: {SessionEvent.INITIALIZE: SessionState.INITIALIZING},
    SessionState.INITIALIZING: {
        SessionEvent.INITIALIZE: SessionState.INITIALIZING,
        SessionEvent.INITIALIZED: SessionState.READY,
    },
    # A second `notifications/initialized` is harmless.
    SessionState.READY: {
        SessionEvent.INITIALIZE: SessionState.INITIALIZING,
        SessionEvent.INITIALIZED: SessionState.READY,
    },
}


class IllegalTransition(Exception):
    """The program applied an event that the state of an exchange or a session does not allow."""


def next_exchange_state(state: ExchangeState, event: ExchangeEvent) -> ExchangeState:
    """The next state, from the table. Raises IllegalTransition."""
    try:
        return EXCHANGE[state][event]
    except KeyError:
        raise IllegalTransition(f"{event.name} in state {state.name}") from None


def next_session_state(state: SessionState, event: SessionEvent) -> SessionState:
    """The next state, from the table. Raises IllegalTransition."""
    try:
        return SESSION[state][event]
    except KeyError:
        raise IllegalTransition(f"{event.name} in state {state.name}") from None
