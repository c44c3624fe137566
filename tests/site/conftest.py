"""The site, built once for all of its tests."""

from __future__ import annotations

import pytest

from .building import Built, build, copy


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The site of this repository."""
    return build(copy(tmp_path_factory.mktemp("site")))
