"""`python -m benchmarks` measures all that it says, and draws it. Nothing here is about time."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from benchmarks.comparison import fanout, lines, peers, plots, stdio, streams, web
from benchmarks.comparison.lines import Lines
from benchmarks.comparison.marks import MARKS, Mark
from benchmarks.comparison.processes import BenchmarkError, started
from benchmarks.comparison.report import About, report, table
from benchmarks.comparison.results import Results
from benchmarks.comparison.running import Bench, Plan, Progress, Step, Workload, run
from benchmarks.comparison.workloads import WORKLOADS
from tests.interop.environments import HERE, install_node_modules, programs_of

from .pages import DOCS, ROOT, commands

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds for the quick run, on a busy machine.
PATIENCE = 600

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a quick run has left: report.md, values.json and the drawings."""
    programs_of("python-sdk")
    programs_of("fastmcp")
    install_node_modules(HERE)
    place = tmp_path_factory.mktemp("benchmarks")
    files = [
        "--markdown",
        place / "report.md",
        "--json",
        place / "values.json",
        "--plots",
        place / "drawings",
    ]
    command = [sys.executable, "-m", "benchmarks", "--quick", *map(str, files)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stderr
    return place


@pytest.mark.timeout(PATIENCE + 60)
def test_each_table_has_everyone(quick: Path) -> None:
    text = (quick / "report.md").read_text()
    values = json.loads((quick / "values.json").read_text())["values"]
    for workload in WORKLOADS:
        assert f"\n### {workload.title}\n\n{workload.text}\n" in text
        for case in workload.cases:
            (rows,) = re.findall(rf"^\| {re.escape(case.title)} \|.*\n((?:\|.*\n)+)", text, re.M)
            names = re.findall(r"^\| ([^|]*[a-z][^|]*) \|", rows, re.M)
            assert set(names) == set(values[case.key])
            assert " - |" not in rows
    assert set(values) == {case.key for workload in WORKLOADS for case in workload.cases}


@pytest.mark.timeout(PATIENCE + 60)
def test_everyone_takes_part(quick: Path) -> None:
    told = json.loads((quick / "values.json").read_text())
    everyone = {each.name for each in peers.ALL}
    assert set(told["versions"]) == everyone
    assert told["missing"] == {}
    values = told["values"]
    for key in ("stdio-64", "stdio-1", "http-stateless", "start"):
        assert set(values[key]) == everyone
    assert set(values["client-stdio-32"]) == everyone - {"bare"}
    assert set(values["client-memory-1"]) == everyone - {"bare", "typescript-sdk"}
    assert set(values["http-session"]) == {"trimcp", "python-sdk", "fastmcp"}
    assert set(values["idle-listen"]) == {"trimcp", "python-sdk", "typescript-sdk"}
    assert set(values["update"]) == set(values["idle-listen"]) | {"bare", fanout.ON_TRIO}
    assert set(values["large"]) == everyone - {"bare"} | {streams.TCP}


@pytest.mark.timeout(PATIENCE + 60)
def test_each_mark_is_judged(quick: Path) -> None:
    text = (quick / "report.md").read_text()
    for each in MARKS:
        (verdict,) = re.findall(rf"^\| {re.escape(each.text)} \| .* \| (.*) \|$", text, re.M)
        assert verdict in ("met", "**missed**")


@pytest.mark.timeout(PATIENCE + 60)
def test_each_workload_is_drawn(quick: Path) -> None:
    text = (quick / "report.md").read_text()
    for workload in WORKLOADS:
        assert f"(drawings/{workload.name}.svg)" in text
        drawing = ElementTree.parse(quick / "drawings" / f"{workload.name}.svg")
        said = {each.text for each in drawing.iter(f"{SVG}text")}
        assert "trimcp" in said
        for case in workload.cases:
            assert workload.lines or any(
                words and words.startswith(case.title.replace("`", "")) for words in said
            )


def luminance(colour: str) -> float:
    """The relative luminance of a colour, as WCAG defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("colour", "least"),
    [(plots.TONE, 4.5), *((colour, 3.0) for colour in plots.COLOURS.values())],
)
def test_a_drawing_is_readable_on_white_and_on_black(colour: str, least: float) -> None:
    light = luminance(colour)
    assert 1.05 / (light + 0.05) >= least
    assert (light + 0.05) / 0.05 >= least


def answering(text: str) -> list[str]:
    """A server that always says this."""
    program = f"import sys\nfor line in sys.stdin: print({text!r}, flush=True)"
    return [sys.executable, "-c", program]


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"6"}]}}',
        '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"\\"text\\":\\"5\\""}}',
        '{"text":"5"}\n{"text":"5"}',
    ],
    ids=["wrong", "error", "one too many"],
)
def test_a_wrong_answer_over_stdio_ends_the_run(text: str) -> None:
    with started(answering(text)) as program, pytest.raises(BenchmarkError):
        Lines(program).load(1, 0.05)


def test_a_server_that_ends_is_quoted() -> None:
    command = [sys.executable, "-c", "input(); raise SystemExit('out of luck')"]
    with started(command) as program, pytest.raises(BenchmarkError, match="out of luck"):
        Lines(program).load(1, 0.05)


@pytest.mark.parametrize("status", [b"200 OK", b"500 Oops"])
@pytest.mark.parametrize("text", [b'"text":"5"', b'"text": "6"'])
def test_a_wrong_answer_over_http_ends_the_run(status: bytes, text: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\ncontent-length: 12\r\n\r\n" + text
    if status == b"200 OK" and text == b'"text":"5"':
        web.check(answer)
    else:
        with pytest.raises(BenchmarkError):
            web.check(answer)


@pytest.mark.parametrize(
    ("data", "complete"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 202 Accepted\r\n\r\n", True),
    ],
)
def test_where_an_http_answer_ends(data: bytes, complete: bool) -> None:
    assert web.is_complete(data) is complete


def a_workload(done: list[str], fails: bool = False) -> Workload:
    """One whose steps note that they were done."""

    def act(name: str) -> None:
        done.append(name)
        if fails:
            lines.check(b'{"text":"6"}\n')

    def steps(bench: Bench) -> list[Step]:
        return [
            Step(name, lambda name=name: act(name))  # type: ignore[misc]
            for _, name in bench.rounds(["a", "b", "c"])
        ]

    return Workload("small", "Small", "", (), steps)


def test_peers_take_turns() -> None:
    done: list[str] = []
    run([a_workload(done)], Plan(3, 0), {})
    assert "".join(done) == "abcbcacab"


def test_the_first_failure_ends_the_run_and_is_named() -> None:
    done: list[str] = []
    with pytest.raises(BenchmarkError, match="small, a: a wrong answer"):
        run([a_workload(done, fails=True)], Plan(3, 0), {})
    assert done == ["a"]


class Terminal:
    """A terminal that keeps what is written to it."""

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_a_terminal_shows_a_bar() -> None:
    terminal: Any = Terminal()
    progress = Progress(4, terminal)
    for label in ("one", "two", "three"):
        progress.begin("stdio", label)
    assert "[" + "#" * 12 + "." * 12 + "]  50%" in terminal.text
    assert terminal.text.endswith("stdio: three")


def results_of(values: dict[str, list[float]]) -> Results:
    """Rates of a case."""
    results = Results()
    for peer, rates in values.items():
        for rate in rates:
            results.add(stdio.MANY, peer, rate, 1.0)
    return results


def test_a_table_has_median_range_and_ratios() -> None:
    results = results_of({"bare": [1000, 4000, 2000], "trimcp": [1000, 500, 9000]})
    assert table(results, stdio.MANY).splitlines()[2:] == [
        "| trimcp | 1,000 (500 to 9,000) | 0.50 | 1.0 (1.0 to 1.0) |",
        "| bare | 2,000 (1,000 to 4,000) | 1.00 | 1.0 (1.0 to 1.0) |",
    ]


@pytest.mark.parametrize(
    ("bound", "at_least", "met"),
    [(0.5, True, True), (0.6, True, False), (0.5, False, True), (0.4, False, False)],
)
def test_a_mark_is_met_or_missed(bound: float, at_least: bool, met: bool) -> None:
    results = results_of({"trimcp": [1000.0], "bare": [2000.0]})
    (mark,) = (each for each in MARKS if each.text == "stdio, 64 in flight: rate against bare")
    assert Mark(mark.text, mark.value, bound, at_least).is_met(results) is met


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert {each.is_met(Results()) for each in MARKS} == {None}


def test_who_is_missing_is_named() -> None:
    about = About("python -m benchmarks", datetime.date(2026, 1, 2), Plan(1, 1), {}, {"x": "do y"})
    text = report(about, [], Results(), None)
    assert "2 January 2026" in text
    assert "Left out: x. To install it, do y." in text


@pytest.fixture
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No environment of a peer, and no packages of Node."""
    monkeypatch.setattr(peers.environments, "MADE", tmp_path)
    monkeypatch.setattr(peers, "NODE_MODULES", tmp_path)


@pytest.mark.usefixtures("nothing_installed")
def test_what_is_not_installed_says_how() -> None:
    (node,) = (each for each in peers.ALL if each.name == "typescript-sdk")
    assert node.missing() == "run python tests/interop/environments.py"
    remedy = peers.needs_environment("fastmcp")()
    assert remedy == "run python tests/interop/environments.py"
    assert peers.needs("no_such_module", "run this")() == "run this"


def test_the_page_says_the_commands() -> None:
    """CI does the first with `dev`, which has the group in it, and the second as it is."""
    page = (DOCS / "benchmarks.md").read_text()
    said = [command for command, _ in commands(page)]
    assert said[:2] == [
        "pip install -e . --group benchmarks",
        "python tests/interop/environments.py",
    ]
    assert said[2].startswith("python -m benchmarks")
    for each in said[2:]:
        arguments = each.removeprefix("python ").split()
        done = subprocess.run(
            [sys.executable, *arguments, "--help"], cwd=ROOT, capture_output=True, check=False
        )
        assert done.returncode == 0


@pytest.mark.timeout(PATIENCE + 60)
def test_a_report_takes_the_place_of_the_end_of_the_page(quick: Path) -> None:
    page = (DOCS / "benchmarks.md").read_text()
    heading = "## Results\n"
    assert (quick / "report.md").read_text().startswith(heading)
    headings = re.findall(r"^## .*\n", page, re.M)
    assert headings.index(heading) == len(headings) - 1


def test_the_drawings_of_the_page_are_there() -> None:
    page = (DOCS / "benchmarks.md").read_text()
    for drawing in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page):
        assert (DOCS / drawing).exists()
