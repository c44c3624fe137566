"""The guarantees of trimcp, tried with the official Python SDK and with FastMCP too.

The same experiments, from outside, with real processes and connections, in the handshake era; the
result is a table in Markdown. See README.md.
"""

from __future__ import annotations

import argparse
import functools
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.experiments import clients, streams, web
from benchmarks.experiments.running import EXPERIMENTS, PEERS, Experiment, Outcome, Peer

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = (streams, clients, web)

Results = dict[tuple[str, str], Outcome | str]


def note(text: str) -> None:
    """Tell how far the run is; the results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


async def carry_out(each: Experiment, peer: Peer) -> Outcome | str:
    """The outcome, or a text that says why there is none."""
    try:
        with trio.fail_after(each.seconds):
            return await each.run(peer)
    except Exception as error:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        return f"not carried out: {type(error).__name__}: {error}"


def cell(result: Outcome | str) -> str:
    """What stands in the table."""
    if isinstance(result, str):
        text = result
    elif result.is_kept is None:
        text = result.text
    else:
        text = f"{'**kept**' if result.is_kept else '**not kept**'}: {result.text}"
    return " ".join(text.split()).replace("|", "\\|")


def table(chosen: Sequence[Experiment], peers: Sequence[Peer], results: Results) -> str:
    """Everything as Markdown."""
    head = [
        "",
        "promise",
        "what is done and measured (bound)",
        *(f"{p.name} {p.version}" for p in peers),
    ]
    rows = [head, ["---" for _ in head]]
    for each in chosen:
        cells = [cell(results[each.measured, peer.name]) for peer in peers]
        rows.append([str(each.number), each.promise, each.measured, *cells])
    counts = []
    for peer in peers:
        found = [results[each.measured, peer.name] for each in chosen]
        judged = [one for one in found if isinstance(one, Outcome) and one.is_kept is not None]
        counts.append(f"{sum(bool(one.is_kept) for one in judged)} of {len(judged)}")
    rows.append(["", "kept", "of the experiments that apply", *counts])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


async def run(chosen: Sequence[Experiment], peers: Sequence[Peer]) -> Results:
    """One after another, so that none of them disturbs another one's times."""
    results: Results = {}
    for each in chosen:
        for peer in peers:
            began = trio.current_time()
            result = await carry_out(each, peer)
            results[each.measured, peer.name] = result
            took = trio.current_time() - began
            note(f"{each.number:2} {each.promise}: {peer.name}: {cell(result)} [{took:.1f} s]")
    return results


def numbers(text: str) -> set[int]:
    """Numbers of guarantees, separated by commas."""
    return {int(each) for each in text.split(",")}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--only", type=numbers, metavar="1,5", help="guarantees to try")
    names = ",".join(peer.name for peer in PEERS)
    parser.add_argument("--peers", default=names, metavar="A,B", help=f"default: {names}")
    parser.add_argument("--quick", action="store_true", help="only what takes a few seconds")
    options = parser.parse_args()
    known = {peer.name: peer for peer in PEERS}
    if unknown := [name for name in options.peers.split(",") if name not in known]:
        parser.error(f"unknown peer {unknown[0]!r}; there are {names}")
    options.peers = [known[name] for name in options.peers.split(",")]
    return options


def main() -> int:
    """Carry out the experiments and print what came out."""
    options = parse_arguments()
    chosen = sorted(EXPERIMENTS, key=lambda each: each.number)
    if options.only:
        chosen = [each for each in chosen if each.number in options.only]
    if options.quick:
        chosen = [each for each in chosen if each.is_quick]
    results = trio.run(functools.partial(run, chosen, options.peers))
    print(table(chosen, options.peers, results))
    print(f"\nPython {platform.python_version()}, {platform.system()} {platform.machine()}.")
    return 2 if any(isinstance(each, str) for each in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
