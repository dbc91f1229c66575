"""Claims in a judge's reason that a program can check.

A small set of checks that need no model: quoted words occur in the text; a text that is called
empty is; what is said to be missing is not there; counts of words and sentences; the language.
Nothing else in a reason is checked here, and a reason without such a claim is not counted.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from glider.core.samples import Sample
from glider.text.spans import locate_folded
from glider.text.words import words

_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»\n]{3,200})[\"”“»]|(?<!\w)'([^'\n]{3,200})'(?!\w)")
_EMPTY = re.compile(
    r"\b(?:is|was|contains?|gives?|provides?|an?)\s+(?:an?\s+|entirely\s+|completely\s+)?"
    r"(?:empty|blank|nothing at all|no (?:text|content|answer|response) at all)\b"
    r"|\bno (?:answer|response|text|content) (?:is|was) (?:given|provided|there)\b",
    re.IGNORECASE,
)
_NOT_EMPTY = re.compile(r"\b(?:not|isn't|never)\s+(?:an?\s+)?(?:empty|blank)\b", re.IGNORECASE)
_MISSING = re.compile(
    r"\b(?:does not|doesn't|fails to|never|without)\s+"
    r"(?:mention(?:s|ing)?|nam(?:e|es|ing)|contain(?:s|ing)?|includ(?:e|es|ing)|stat(?:e|es|ing))\s+"
    r"(?:the (?:word|name|phrase|date|number)s?\s+)?"
    r"(?:[\"“']([^\"”'\n]{2,80})[\"”']|((?:[A-Z][\w'-]*|\d[\d.,:%]*)(?:\s+(?:[A-Z][\w'-]*|\d[\d.,:%]*)){0,4}))"
)
_COUNTED = re.compile(
    r"\b(?:only|just|exactly|about|has|contains|is|of)\s+(\d{1,5}|one|two|three|four|five|six|seven"
    r"|eight|nine|ten)\s+(words?|sentences?)(?:\s+long)?\b",
    re.IGNORECASE,
)
_NUMBERS = {
    word: n
    for n, word in enumerate(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], start=1
    )
}
_SENTENCE_END = re.compile(r"[.!?。！？]+(?:[\"”')\]]+)?(?=\s|$)|[。！？]")
_SCRIPTS = {
    "chinese": r"[\u4e00-\u9fff]",
    "japanese": r"[\u3040-\u30ff]",
    "korean": r"[\uac00-\ud7af]",
    "arabic": r"[\u0600-\u06ff]",
    "russian": r"[\u0400-\u04ff]",
    "greek": r"[\u0370-\u03ff]",
    "hebrew": r"[\u0590-\u05ff]",
    "hindi": r"[\u0900-\u097f]",
}
_WRITTEN_IN = re.compile(
    rf"\b(?:is|written)\s+(not\s+)?in\s+({'|'.join(_SCRIPTS)})\b", re.IGNORECASE
)
_CLOSE = 0.2
"""Maximum relative error of a correct count."""
_FEW_WORDS = 3
"""Maximum words of a text that may be called empty."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One checkable claim."""

    kind: str
    """`quoted`, `empty`, `missing`, `counted` or `language`."""
    words: str
    """The wording in the reason."""
    holds: bool


def claims(reasoning: str, sample: Sample) -> list[Claim]:
    """Return the checkable claims of a reason, in no particular order; often none."""
    judged = [field.text for field in sample.judged]
    everything = [field.text for field in sample.fields]
    found: list[Claim] = []
    missing = list(_MISSING.finditer(reasoning))
    denied = {(m[1] or m[2]).strip().casefold() for m in missing}
    for match in _QUOTED.finditer(reasoning):
        phrase = (match[1] or match[2]).strip(" .,;:!?")
        # Words said to be missing are quoted too, without a claim that they occur.
        if phrase and phrase.casefold() not in denied:
            found.append(Claim("quoted", phrase, _stands(phrase, everything)))
    for match in missing:
        phrase = (match[1] or match[2]).strip(" .,;:!?")
        found.append(Claim("missing", match[0], not _stands(phrase, judged)))
    empty = _EMPTY.search(reasoning)
    if empty and not _NOT_EMPTY.search(reasoning):
        n = min(len(words(text)) for text in judged)
        found.append(Claim("empty", empty[0], n <= _FEW_WORDS))
    if len(judged) == 1:
        found += _counts(reasoning, judged[0])
        found += _languages(reasoning, judged[0])
    return found


def _stands(phrase: str, texts: Sequence[str]) -> bool:
    return any(locate_folded(text, phrase) for text in texts)


def _counts(reasoning: str, text: str) -> list[Claim]:
    found = []
    for match in _COUNTED.finditer(reasoning):
        told = _NUMBERS.get(match[1].lower()) or int(match[1])
        sentences = match[2].lower().startswith("sentence")
        n = len(_SENTENCE_END.findall(text)) if sentences else len(words(text))
        found.append(Claim("counted", match[0], abs(told - n) <= _CLOSE * n))
    return found


def _languages(reasoning: str, text: str) -> list[Claim]:
    letters = sum(char.isalpha() for char in text)
    found = []
    for match in _WRITTEN_IN.finditer(reasoning):
        share = len(re.findall(_SCRIPTS[match[2].lower()], text)) / max(letters, 1)
        found.append(Claim("language", match[0], (share > 0.3) != bool(match[1])))
    return found
