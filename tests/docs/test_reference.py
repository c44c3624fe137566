"""The form of docs/faq.md and docs/glossary.md: short, in order, and with links to more."""

from __future__ import annotations

import re
from typing import Final

import pytest

from .pages import DOCS, links

FAQ: Final = (DOCS / "faq.md").read_text()
GLOSSARY: Final = (DOCS / "glossary.md").read_text()

#: Words in an answer; more than that belongs on a page of its own.
MOST_WORDS: Final = 90


def answers() -> dict[str, str]:
    """Each question, with its answer."""
    parts = re.split(r"^##+ (.*)$", FAQ, flags=re.MULTILINE)[1:]
    found = {question: answer.strip() for question, answer in zip(*[iter(parts)] * 2, strict=True)}
    return {question: answer for question, answer in found.items() if answer}


def terms(section: str) -> dict[str, str]:
    """The words under a heading, with their meanings."""
    lines = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)
    return dict(lines[1:])


SECTIONS: Final = {
    section.partition("\n")[0]: terms(section) for section in GLOSSARY.split("\n## ")[1:]
}
TERMS: Final = {term: text for section in SECTIONS.values() for term, text in section.items()}


def test_there_are_not_too_many_questions() -> None:
    assert 12 <= len(answers()) <= 20


@pytest.mark.parametrize("question", answers())
def test_an_answer_is_short_and_leads_further(question: str) -> None:
    answer = answers()[question]
    assert links(answer)
    assert len(answer.split()) <= MOST_WORDS


@pytest.mark.parametrize("section", SECTIONS)
def test_words_are_in_order(section: str) -> None:
    words = [word.lower() for word in SECTIONS[section]]
    assert words == sorted(words)


def test_no_word_is_explained_twice() -> None:
    assert sum(map(len, SECTIONS.values())) == len(TERMS)


@pytest.mark.parametrize("term", TERMS)
def test_a_meaning_is_short_and_leads_further(term: str) -> None:
    meaning, _, rest = TERMS[term].partition(" See ")
    assert links(rest)
    # Revisions have no full stop, so each of these ends a sentence.
    assert 1 <= len(re.findall(r"\.(?:\s|$)", meaning)) <= 2
