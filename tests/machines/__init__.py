"""State machines: a server and its clients, whatever happens to them, in any order.

A failure is printed as a program of steps, such as::

    state = InMemory()
    state.begin(revisions=['2026-07-28'], schedule=0)
    state.check()
    state.leave(label='call1')
    state.check()
    state.teardown()

All arguments are words and numbers, so that it can be pasted into a test as it stands, with the
import of the machine above it. Trio's own choices depend on `schedule`.
"""

import pytest

# So that a failed assertion there shows its values.
pytest.register_assert_rewrite("tests.machines.base", "tests.machines.model")
