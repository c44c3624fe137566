"""What is left of a test that was stopped by its time limit is killed after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .harness import guardian

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    yield
    guardian.kill_all()
