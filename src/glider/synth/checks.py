"""What is kept and why not: checks that ask no model, run before the next call is paid.

A check returns the reason to reject, in a few words that are counted, with what was seen; or None.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from glider.core.samples import Sample
from glider.core.tasks import COMPARED
from glider.synth.draw import Draw
from glider.synth.languages import other_language
from glider.synth.steps import Written
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
_HTML = re.compile(r"<!doctype html|<html[\s>]", re.IGNORECASE)
_ABOUT_REFUSALS = ("safety", "fairness")
_MOST_WORDS, _LEAST_WORDS = 3.0, 0.34
"""Between these shares of the length asked for a text is of the length asked for."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why a record is not kept."""

    stage: str
    reason: str
    seen: str = ""
    """What gave the reason, shortened."""


def check_material(draw: Draw, material: Mapping[str, str]) -> Rejected | None:
    """Lengths, elisions, refusals, leaked prompt words, two texts that are one."""
    for name, text in material.items():
        if draw.passage is not None and text == draw.passage:
            continue
        # A refusal is a fine answer where a criterion is about refusing.
        refusing = draw.criterion_group in _ABOUT_REFUSALS
        if not refusing and (found := _REFUSAL.search(text[:200])):
            return Rejected("legal", "refusal", _around(text, found))
        if found := _ELISION.search(text):
            return Rejected("legal", "elision mark", _around(text, found))
        if found := _PROMPT_WORDS.search(text):
            return Rejected("legal", "words of the prompt in the text", _around(text, found))
        if not draw.code and (found := _HTML.search(text)):
            return Rejected("legal", "HTML in place of a text", _around(text, found))
        if not draw.code and (why := other_language(text, draw.language)):
            return Rejected("legal", "in another language", f"{why}: {text[:80]}")
        if name in draw.judged_names:
            n = len(words(text))
            if not _LEAST_WORDS * draw.words <= n <= _MOST_WORDS * draw.words + 20:
                return Rejected(
                    "legal", "not of the length asked for", f"{n} words, {draw.words} asked"
                )
    texts = list(material.values())
    if len(set(texts)) < len(texts):
        return Rejected("legal", "two fields are the same text", texts[0][:120])
    if draw.kind == "pair":
        one, two = (material[name] for name in COMPARED)
        if words(one) == words(two):
            return Rejected("legal", "both outputs are the same", one[:120])
    return None


def check_written(
    written: Written, sample: Sample, other: Written | None = None
) -> Rejected | None:
    """Quotes that stand letter for letter in the judged text; a reason of its own."""
    for mark in written.highlights:
        if mark.match != "exact":
            return Rejected("verbatim", "a quote is not in the judged text", mark.phrase[:120])
    if len(words(written.reasoning)) < 4:
        return Rejected("verbatim", "a reason of fewer than four words", written.reasoning)
    if found := _PROMPT_WORDS.search(written.reasoning):
        return Rejected(
            "verbatim", "words of the prompt in the reason", _around(written.reasoning, found)
        )
    if other is not None and other.reasoning == written.reasoning:
        return Rejected(
            "verbatim", "right and wrong judgment are the same", written.reasoning[:120]
        )
    return None


def check_edit(old: str, new: str) -> Rejected | None:
    """New words that are other words."""
    if " ".join(words(old)) == " ".join(words(new)):
        return Rejected("verbatim", "the edit changes nothing", new[:120])
    return None


def _around(text: str, found: "re.Match[str]") -> str:
    return text[max(0, found.start() - 30) : found.end() + 30].replace("\n", " ")
