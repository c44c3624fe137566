"""Fixtures for pytest: `mcp_client`, `raw_peer` and `golden`.

The first two are asynchronous fixtures for pytest-trio, in its Trio mode or on tests marked with
`@pytest.mark.trio`. Without pytest-trio they cannot be used; everything else works.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator

    from ._fixtures import GoldenCheck, Keeper, OpenMcpClient, OpenRawPeer
    from ._transcript import Transcript


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--trimcp-update-golden`."""
    parser.getgroup("trimcp").addoption(
        "--trimcp-update-golden",
        action="store_true",
        help="rewrite golden transcripts whose wire differs, instead of failing",
    )


@pytest.fixture
async def _trimcp_keeper() -> AsyncIterator[Keeper]:
    from ._fixtures import open_keeper

    async with open_keeper() as keeper:
        yield keeper


@pytest.fixture
def mcp_client(_trimcp_keeper: Keeper) -> OpenMcpClient:
    """Connect to a server in memory: `client = await mcp_client(server, **options)`.

    The options are those of `open_client`. Each client is closed after the test, the last first;
    all that are opened on one server share its application.
    """
    return _trimcp_keeper.client


@pytest.fixture
def raw_peer(_trimcp_keeper: Keeper) -> OpenRawPeer:
    """Connect to a server in memory without a client: `peer = await raw_peer(server)`."""
    return _trimcp_keeper.raw_peer


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> GoldenCheck:
    """Compare a transcript with a file: `golden(transcript, "golden/listing.txt")`.

    A relative path starts at the test file's directory. By default the file has the name of the
    test and is in `golden/` there. `--trimcp-update-golden` writes it.
    """
    from ._transcript import assert_transcript

    directory = request.path.parent
    default = Path("golden", f"{request.path.stem}.{_file_name(request.node.name)}.txt")
    update = bool(request.config.getoption("--trimcp-update-golden"))

    def check(transcript: Transcript, path: str | os.PathLike[str] = default) -> None:
        __tracebackhide__ = True
        assert_transcript(directory / path, transcript, update=update)

    return check


def _file_name(name: str) -> str:
    """A test's name, with its parameters, as part of a file's name."""
    return "".join(each if each.isalnum() or each in "._-" else "_" for each in name).strip("_")
