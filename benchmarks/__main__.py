"""All workloads, side by side with other servers and clients: `python -m benchmarks`.

The report is Markdown on standard output, or in a file. See README.md.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import os
import shlex
import sys
from pathlib import Path

from .comparison import peers
from .comparison.plots import draw
from .comparison.processes import BenchmarkError, raise_limits
from .comparison.report import About, as_json, report
from .comparison.running import Plan, run
from .comparison.workloads import WORKLOADS


def names(text: str) -> list[str]:
    """Names of workloads, separated by commas. Raises ArgumentTypeError."""
    known = [each.name for each in WORKLOADS]
    wanted = text.split(",")
    if unknown := [name for name in wanted if name not in known]:
        raise argparse.ArgumentTypeError(f"no workload {unknown[0]!r}; there are {','.join(known)}")
    return wanted


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, allow_abbrev=False
    )
    known = ",".join(each.name for each in WORKLOADS)
    parser.add_argument("--only", type=names, metavar="A,B", help=f"workloads (default: {known})")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement (default: 5)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, help="length of one measurement (default: 1)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="does everything work? The figures mean nothing"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw SVG files there")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the report there (default: print it)"
    )
    options = parser.parse_args()
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    if options.plots and importlib.util.find_spec("matplotlib") is None:
        parser.error("--plots needs matplotlib: pip install --group benchmarks")
    return options


def plots_of_page(plots: Path, page: Path | None) -> str:
    """Where the drawings are, seen from the pages in docs, or from a report elsewhere."""
    docs = Path(__file__).resolve().parents[1] / "docs"
    target = plots.resolve()
    if target.is_relative_to(docs):
        return target.relative_to(docs).as_posix()
    start = page.resolve().parent if page else Path.cwd()
    return Path(os.path.relpath(target, start)).as_posix()


def main() -> int:
    """Measure and tell."""
    options = parse_arguments()
    workloads = [each for each in WORKLOADS if not options.only or each.name in options.only]
    plan = Plan(1, 0.1, is_quick=True) if options.quick else Plan(options.rounds, options.seconds)
    missing = {each.name: how for each in peers.ALL if (how := each.missing()) is not None}
    installed = {each.name: each for each in peers.ALL if each.name not in missing}
    for name, how in missing.items():
        print(f"{name} is left out: {how}", file=sys.stderr)
    about = About(
        shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        datetime.datetime.now(datetime.UTC).date(),
        plan,
        {name: peer.version() for name, peer in installed.items()},
        missing,
    )
    raise_limits()
    try:
        results = run(workloads, plan, installed)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2
    plots = plots_of_page(options.plots, options.markdown) if options.plots else None
    text = report(about, workloads, results, plots)
    if options.plots:
        for each in workloads:
            draw(each, results, options.plots)
    if options.json:
        options.json.write_text(as_json(about, results))
    if options.markdown:
        options.markdown.write_text(text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
