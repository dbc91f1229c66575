"""Worked examples for teachers that write in small steps, and what they copy from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from glider.synth.taxonomy import read_yaml
from glider.text.words import words

_COPIED = 6
"""Words in a row that no text shares with an example by chance."""


@dataclass(frozen=True, slots=True)
class WorkedExample:
    """A worked example, made up for this project."""

    subject: str
    facts: str
    text: str
    lower: Mapping[str, Any]
    """The text rewritten to a low level: question, level, text, and a judgment (quotes, reason)."""
    higher: Mapping[str, Any]


@cache
def worked_examples() -> tuple[WorkedExample, ...]:
    """Return the examples that come with Glider."""
    return tuple(WorkedExample(**entry) for entry in read_yaml("worked.yaml"))


def copied(text: str) -> str | None:
    """Return the first words of a text that stand in a worked example, or None."""
    return next((run for run in _runs(text) if run in _runs_of_examples()), None)


@cache
def _runs_of_examples() -> frozenset[str]:
    texts = []
    for example in worked_examples():
        texts += [example.facts, example.text]
        for level in (example.lower, example.higher):
            texts += [level["text"], level["reason"]]
    return frozenset(run for text in texts for run in _runs(text))


def _runs(text: str) -> list[str]:
    found = words(text)
    return [" ".join(found[n : n + _COPIED]) for n in range(len(found) - _COPIED + 1)]
