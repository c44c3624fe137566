"""HTTP/1.1 is read by httptools, or by h11: `parser` runs a test with each."""

from __future__ import annotations

import pytest

from trimcp.http._http1._h11 import H11Parser
from trimcp.http._http1._llhttp import LlhttpParser


@pytest.fixture(params=[LlhttpParser, H11Parser], ids=["httptools", "h11"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type:
    """Lets whatever is served in the test use this parser."""
    monkeypatch.setattr("trimcp.http._hosting.fastest_parser", lambda: request.param)
    chosen: type = request.param
    return chosen
