"""The deliberate faults can be put in, and what runs them tells found from not found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.seeded import run

if TYPE_CHECKING:
    from pathlib import Path

FAULTS = run.faults()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_applies(fault: run.Fault) -> None:
    assert run.applies(fault) == ""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_names_tests_that_exist(fault: run.Fault) -> None:
    for test in fault.tests:
        assert (run.ROOT / test.partition("::")[0]).exists()


def make_project(place: Path) -> Path:
    """A project of one module and one test."""
    place.mkdir()
    (place / "answer.py").write_text("ANSWER = 42\n")
    (place / "test_answer.py").write_text(
        "from answer import ANSWER\n\ndef test_answer() -> None:\n    assert ANSWER == 42\n"
    )
    return place


def write_patch(place: Path, answer: str) -> None:
    (place / "wrong.patch").write_text(
        "Fault: The answer is another one.\nFound by: test_answer.py\n\n"
        "diff --git a/answer.py b/answer.py\n--- a/answer.py\n+++ b/answer.py\n"
        f"@@ -1 +1 @@\n-ANSWER = 42\n+ANSWER = {answer}\n"
    )


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [("41", "found"), ("40 + 2", "NOT FOUND"), ("(", "NO VERDICT (2)")],
)
async def test_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, verdict: str
) -> None:
    clean = make_project(tmp_path / "clean")
    write_patch(tmp_path, answer)
    monkeypatch.setattr(run, "HERE", tmp_path)
    (fault,) = run.faults()
    assert fault.summary == "The answer is another one."
    assert (await run.attempt(fault, clean)).verdict == verdict


async def test_a_test_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = make_project(tmp_path / "clean")
    (clean / "test_answer.py").write_text(
        "import trio\nfrom answer import ANSWER\n\n"
        "def test_answer() -> None:\n    trio.run(trio.sleep, 60 if ANSWER == 41 else 0)\n"
    )
    write_patch(tmp_path, "41")
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "_PATIENCE_OF_A_TEST", 1)
    (fault,) = run.faults()
    assert (await run.attempt(fault, clean)).verdict == "found"


async def test_a_patch_that_does_not_apply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clean = make_project(tmp_path / "clean")
    (clean / "answer.py").write_text("ANSWER = 43\n")
    write_patch(tmp_path, "41")
    monkeypatch.setattr(run, "HERE", tmp_path)
    (fault,) = run.faults()
    assert (await run.attempt(fault, clean)).verdict == "does not apply"


async def test_tests_have_to_pass_without_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = make_project(tmp_path / "clean")
    (clean / "answer.py").write_text("ANSWER = 43\n")
    write_patch(tmp_path, "41")
    monkeypatch.setattr(run, "HERE", tmp_path)
    assert not await run.passes_without(run.faults(), clean)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="there is no fault 'nothing'"):
        run.faults(["nothing"])


def test_a_patch_without_fields(tmp_path: Path) -> None:
    patch = tmp_path / "bare.patch"
    patch.write_text("Fault: Something.\n\ndiff --git a/x b/x\n")
    with pytest.raises(ValueError, match="a field is missing: Found by"):
        run.Fault.read(patch)
