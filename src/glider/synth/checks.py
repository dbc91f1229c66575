"""Checks that need no model and run before the next paid call.

A check returns None, or the reason for rejection: a short label that is counted, with an example.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from glider.core.samples import Sample
from glider.synth.draw import Draw
from glider.synth.duplicates import jaccard
from glider.synth.languages import other_language
from glider.synth.plan import Plan
from glider.synth.steps import Written, is_cut_off, question_of
from glider.synth.worked import copied
from glider.text.words import words

_ELISION = re.compile(
    r"\[[^\]\n]{0,60}\b(?:words?|paragraphs?|text|continues?|rest|here|insert|your)\b[^\]\n]{0,40}\]"
    r"|\((?:continued|text continues|and so on)\)|\.\.\.\s*\((?:continued|truncated)\)",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"^\W*(?:i(?:'| a)m sorry|sorry,? but|i cannot (?:help|write|create|provide|assist)"
    r"|i can't (?:help|write|create|provide|assist)|as an ai\b)",
    re.IGNORECASE,
)
_PROMPT_WORDS = re.compile(
    r"\bdeserves exactly\b|\ba careful judge gave\b|\bwrite the texts\b|\bthe judge will ask\b"
    r"|\blength of each\b",
    re.IGNORECASE,
)
_OF_ITSELF = re.compile(
    r"\b(?:the|this) (?:rewritten |revised |original )?text\b|\bthe (?:question|answer) is:",
    re.IGNORECASE,
)
"""What a small model says of a text in place of the text."""
_OF_A_JUDGE = re.compile(
    r"\b(?:(?:this|the|a|that) (?:bad |careful )?(judge)(?:'s)?"
    r"|(?:another|(?:low|high|right|wrong)(?: a)?) (score))\b",
    re.IGNORECASE,
)
_ENDED = re.compile(r"[.!?。！？…][\"'”’»)\]]*$")
_HTML = re.compile(r"<!doctype html|<html[\s>]", re.IGNORECASE)
_LEAST_ASKED = 4
"""Minimum words of a question or level whose verbatim occurrence in a text counts as a leak."""
_MOST_REPEATED = 0.3
_ANY_PLAN = Plan()
_ABOUT_REFUSALS = ("safety", "fairness")
_MOST_WORDS, _LEAST_WORDS = 3.0, 0.34
"""Accepted range of the text's length, as multiples of the requested length."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a record was rejected."""

    stage: str
    reason: str
    seen: str = ""
    """What triggered the rejection, shortened."""


class RecordLost(Exception):
    """A record ends here."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__(rejected.reason)
        self.rejected = rejected


def check_material(
    draw: Draw, material: Mapping[str, str], plan: Plan = _ANY_PLAN
) -> Rejected | None:
    """Check for wrong lengths, elisions, refusals, leaked prompt words and identical texts.

    Args:
        plan: how texts are written, and from which Jaccard index an adapted text is the real one.
    """
    for name, text in material.items():
        if draw.passage is not None and text == draw.passage:
            continue
        # A refusal is a valid answer if the criterion is about refusing.
        refusing = draw.criterion_group in _ABOUT_REFUSALS or draw.kind == "crafted"
        if not refusing and (found := _REFUSAL.search(text[:200])):
            return Rejected("legal", "refusal", _around(text, found))
        if found := _ELISION.search(text):
            return Rejected("legal", "elision mark", _around(text, found))
        if found := _PROMPT_WORDS.search(text):
            return Rejected("legal", "words of the prompt in the text", _around(text, found))
        if not draw.code and (found := _HTML.search(text)):
            return Rejected("legal", "HTML in place of a text", _around(text, found))
        if plan.writing == "stepwise" and (run := copied(text)):
            return Rejected("legal", "copied from the worked example", run)
        if leak := _leak(text, draw):
            return Rejected("legal", *leak)
        rewritten = plan.writing == "stepwise" and name in draw.judged_names
        if rewritten and (found := _OF_ITSELF.search(text)):
            return Rejected("legal", "speaks of itself", _around(text, found))
        if is_cut_off(text, draw):
            return Rejected("legal", "cut off at the greatest length", text[-80:])
        if draw.original is not None and any(
            jaccard(text, real) >= plan.duplicates for real in draw.original.texts.values()
        ):
            return Rejected("distinct", "still the real text", text[:120])
        if not draw.code and (why := other_language(text, draw.language)):
            return Rejected("legal", "in another language", f"{why}: {text[:80]}")
        if not draw.code and (share := _repeated(text)) > _MOST_REPEATED:
            return Rejected("legal", "repeats itself", f"{share:.0%} of it: {text[:80]}")
        if name in draw.judged_names:
            n = len(words(text))
            if not _LEAST_WORDS * draw.words <= n <= _MOST_WORDS * draw.words + 20:
                return Rejected(
                    "legal", "not of the length asked for", f"{n} words, {draw.words} asked"
                )
    for (name, text), (other, earlier) in combinations(reversed(list(material.items())), 2):
        # Only a small teacher copies where it should write: a correction of a text is near it.
        twins = name in draw.judged_names and other in draw.judged_names
        near = plan.writing == "stepwise" and not twins
        if same := check_new(text, [earlier], plan.duplicates if near else 1.0):
            return same
    return None


def check_new(text: str, others: Iterable[str], share: float) -> Rejected | None:
    """Check that a text of a record is none of its other texts.

    Args:
        share: Jaccard index from which two texts are the same.
    """
    if any(jaccard(text, other) >= share for other in others):
        return Rejected("legal", "two fields are the same text", text[:120])
    return None


def check_written(
    written: Written, sample: Sample, other: Written | None = None
) -> Rejected | None:
    """Check that every quote occurs verbatim in the judged text and that the reason is usable."""
    for mark in written.highlights:
        if mark.match != "exact":
            return Rejected("verbatim", "a quote is not in the judged text", mark.phrase[:120])
    if len(words(written.reasoning)) < 4:
        return Rejected("verbatim", "a reason of fewer than four words", written.reasoning)
    if found := _PROMPT_WORDS.search(written.reasoning):
        return Rejected(
            "verbatim", "words of the prompt in the reason", _around(written.reasoning, found)
        )
    if not _ENDED.search(written.reasoning):
        return Rejected("verbatim", "a reason that breaks off", written.reasoning[-120:])
    if (found := _OF_A_JUDGE.search(written.reasoning)) and not any(
        (found[1] or found[2]).lower() in field.text.lower() for field in sample.fields
    ):
        return Rejected(
            "verbatim", "a reason that speaks of a judge or a score", written.reasoning[:120]
        )
    if run := copied(written.reasoning):
        return Rejected("verbatim", "copied from the worked example", run)
    if other is not None and other.reasoning == written.reasoning:
        return Rejected(
            "verbatim", "right and wrong judgment are the same", written.reasoning[:120]
        )
    return None


def check_edit(old: str, new: str) -> Rejected | None:
    """Check that the new words differ from the old ones."""
    if " ".join(words(old)) == " ".join(words(new)):
        return Rejected("verbatim", "the edit changes nothing", new[:120])
    return None


def _leak(text: str, draw: Draw) -> tuple[str, str] | None:
    """Find words of the prompt that leaked into a text: the question, a level or a tag."""
    for tag in (*draw.tags.values(), *draw.judged_names):
        if found := re.search(rf"<\W*{re.escape(tag)}\W*>", text, re.IGNORECASE):
            return "a tag in the text", _around(text, found)
    if text.rstrip().endswith("<"):
        return "a tag in the text", text[-40:]
    shown = f" {' '.join(words(text))} "
    levels = [level for a in draw.scored for level in a.criterion.rubric.levels.values()]
    for asked in (*question_of(draw).split("\n"), draw.brief, *levels):
        run = words(asked)
        if len(run) >= _LEAST_ASKED and f" {' '.join(run)} " in shown:
            return "the question or a level in the text", asked
    for tag in draw.tags.values():
        called = re.escape(tag) if " " in tag else f"the {re.escape(tag)}"
        # In capitals, as only the prompt writes it.
        if tag.isupper() and (found := re.search(rf"\b{called}\b", text)):
            return "speaks of a field by its tag", _around(text, found)
    return None


def _repeated(text: str) -> float:
    """Return the share of five-word sequences that occur earlier in the text."""
    found = words(text)
    runs = [tuple(found[n : n + 5]) for n in range(len(found) - 4)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0


def _around(text: str, found: "re.Match[str]") -> str:
    return text[max(0, found.start() - 30) : found.end() + 30].replace("\n", " ")
