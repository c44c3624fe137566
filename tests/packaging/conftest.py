"""The distributions, built once for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .building import ROOT, build

if TYPE_CHECKING:
    from .building import Distributions


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    return build(ROOT, tmp_path_factory.mktemp("built"))
