"""Claims in a judge's reason that a program can check.

A small set of checks that need no model: quoted words occur in the text; a text that is called
empty is; what is said to be missing is not there; counts of words and sentences; the language.
Nothing else in a reason is checked here, and a reason without such a claim is not counted.

`glider bench --explain` reports the share of claims that hold; a judgment whose reason makes a
false one carries a warning.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from glider.core.tasks import JudgeTask
from glider.text.spans import locate_folded
from glider.text.words import words

_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»\n]{3,200})[\"”“»]|(?<!\w)'([^'\n]{3,200})'(?!\w)")
_A_TEXT = r"(?:text|response|answer|submission|output|reply|message|summary|content)"
_EMPTY = re.compile(
    rf"\b{_A_TEXT} (?:is|was|seems|appears to be) (?:entirely |completely )?(?:empty|blank)\b"
    rf"|\b(?:an?|the) (?:empty|blank) {_A_TEXT}\b"
    rf"|\bno {_A_TEXT} (?:is|was) (?:given|provided|there)\b"
    rf"|\b(?:has|contains?|gives?|provides?) no {_A_TEXT} at all\b",
    re.IGNORECASE,
)
_NOT_EMPTY = re.compile(r"\b(?:not|isn't|never)\s+(?:an?\s+)?(?:empty|blank)\b", re.IGNORECASE)
_MISSING = re.compile(
    r"\b(?:does not|doesn't|fails to|never|without)\s+"
    r"(?:mention(?:s|ing)?|nam(?:e|es|ing)|contain(?:s|ing)?|includ(?:e|es|ing)|stat(?:e|es|ing))\s+"
    r"(?:the (?:word|name|phrase|date|number)s?\s+)?"
    r"(?:[\"“']([^\"”'\n]{2,80})[\"”']|((?:[A-Z][\w'-]*|\d[\d.,:%]*)(?:\s+(?:[A-Z][\w'-]*|\d[\d.,:%]*)){0,4}))"
)
_OF_ANOTHER = re.compile(
    r"\b(?:source|context|passage|article|reference|question|prompt|instruction|premise|original)s?"
    r"(?: \w+){0,2} $",
    re.IGNORECASE,
)
"""Before a claim that something is missing: it is missing from another text."""
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
_SHORTEST = 3
"""Minimum characters of something missing: a single digit occurs inside other numbers."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One checkable claim."""

    kind: str
    """`quoted`, `empty`, `missing`, `counted` or `language`."""
    words: str
    """The wording in the reason."""
    holds: bool


FALSE = {
    "empty": "the reason calls the text empty, which it is not",
    "missing": "the reason says something is missing that is there",
    "counted": "the reason miscounts the words or sentences",
    "language": "the reason names the wrong language",
}
"""What to tell a reader of a false claim, by its kind.

Quoted words are missing here: people and strong models often quote what no text says, as an example
of a better answer or to name an idea.
"""


def false_claims(reasoning: str, task: JudgeTask) -> tuple[str, ...]:
    """Return one line for each kind of false claim in a reason; none for most reasons."""
    kinds = {claim.kind for claim in claims(reasoning, task) if not claim.holds}
    return tuple(line for kind, line in FALSE.items() if kind in kinds)


def claims(reasoning: str, task: JudgeTask) -> list[Claim]:
    """Return the checkable claims of a reason, in no particular order; often none.

    Words quoted from the question or its levels say nothing of the text, and are no claim.
    """
    sample, criterion = task.sample, task.criterion
    judged = [field.text for field in sample.judged]
    everything = [field.text for field in sample.fields]
    asked = [criterion.question, *criterion.rubric.levels.values()]
    found: list[Claim] = []
    missing = list(_MISSING.finditer(reasoning))
    denied = {(m[1] or m[2]).strip().casefold() for m in missing}
    for match in _QUOTED.finditer(reasoning):
        phrase = (match[1] or match[2]).strip(" .,;:!?")
        # Words said to be missing are quoted too, without a claim that they occur.
        if not phrase or phrase.casefold() in denied:
            continue
        holds = _stands(phrase, everything)
        if holds or not _stands(phrase, asked):
            found.append(Claim("quoted", phrase, holds))
    if len(judged) != 1:  # which of them the reason speaks of is not known
        return found
    for match in missing:
        phrase = (match[1] or match[2]).strip(" .,;:!?")
        of_another = _OF_ANOTHER.search(reasoning, 0, match.start())
        if len(phrase) >= _SHORTEST and not of_another:
            found.append(Claim("missing", match[0], not _stands(phrase, judged)))
    empty = _EMPTY.search(reasoning)
    if empty and not _NOT_EMPTY.search(reasoning):
        found.append(Claim("empty", empty[0], len(words(judged[0])) <= _FEW_WORDS))
    return found + _counts(reasoning, judged[0]) + _languages(reasoning, judged[0])


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
