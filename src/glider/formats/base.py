"""The interface of a format: `render`, `read`, `grammar`, `target`.

`read` is strict and total: any text gives a Reading or raises a ReadError; a score is one of the
rubric's or it is an error; nothing is ever filled in. `target` writes the answer that `read` reads
back, so a model is trained on exactly what is served.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain, count

from glider.core.criteria import Rubric
from glider.core.errors import MissingPart, ScoreOutsideRubric
from glider.core.generation import Grammar, Labels, Message
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.text.defuse import defuse
from glider.text.thinking import THINKING_TAGS

RESERVED_TAGS = ("reasoning", "highlight", "score", "feedback", *THINKING_TAGS)
"""Tags that answers are read from, or that thinking ends with; judged text may not spell them."""

_WHOLE = re.compile(r"[+-]?\d+")
_WHOLE_AS_DECIMAL = re.compile(r"([+-]?[0-9]+)\.0{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Everything a format asks of a backend for one task."""

    messages: tuple[Message, ...]
    opening: str = ""
    grammar: Grammar | None = None
    labels: Labels | None = None
    """One text per score of the rubric, in its order."""
    max_tokens: int = 512
    whole_at_limit: bool = False
    """The answer is complete when it reaches max_tokens (a bare score)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an answer says, before its phrases are placed."""

    score: int
    reasoning: str | None = None
    phrases: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    """Harmless ways in which the answer is not of the format, each in a few words."""


class Format(ABC):
    """One way to ask a model and to read its answers."""

    name: str
    reasons_before_score: bool = True
    """The score is written after the reasoning, so that sampled reasoning changes it."""
    explains: bool = True
    """The answer has more than a score."""
    quotes_always: bool = False
    """Its grammar leaves no answer without a quote, where the judged text has one to give."""

    reason_words: int = 30
    """Most words of a reason that is learnt in it."""

    @abstractmethod
    def render(self, task: JudgeTask) -> Prompt:
        """The task as messages; the same bytes every time.

        Raises:
            MissingField: the criterion or the format needs a field the sample lacks.
        """

    @abstractmethod
    def read(self, text: str, task: JudgeTask) -> Reading:
        """The answer's score, reasoning and phrases.

        Args:
            text: the whole answer, the prompt's opening included.

        Raises:
            ReadError: no legal reading; never anything else, whatever the text.
        """

    @abstractmethod
    def target(self, reading: Reading, task: JudgeTask) -> str:
        """The answer that reads as `reading`, opening included: what a model is trained on."""

    @abstractmethod
    def grammar(self, task: JudgeTask) -> Grammar:
        """What the answer after the opening may look like: legal scores, verbatim quotes."""

    @abstractmethod
    def shown(self, task: JudgeTask) -> dict[str, str]:
        """Field name to text as the prompt shows it; same length as the original."""

    def bare(self) -> "Format | None":
        """The same format asked for the score alone; None where it always explains."""
        return None if self.explains else self

    @property
    def id(self) -> str:
        """Name and options, as recorded with every judgment."""
        return self.name


def legal_score(text: str, rubric: Rubric, *, raw_text: str) -> tuple[int, tuple[str, ...]]:
    """The score written in `text`, if it is a whole number of the rubric, and what was repaired.

    Raises:
        MissingPart: there is no number.
        ScoreOutsideRubric: there is one and the rubric does not have it (2.9 is not 2).
    """
    written = text.strip()
    if not written:
        raise MissingPart("score", "nothing stands in its place", raw_text=raw_text)
    repaired: tuple[str, ...] = ()
    if len(written) <= 20 and (decimal := _WHOLE_AS_DECIMAL.fullmatch(written)):
        written, repaired = decimal[1], ("score written as a decimal",)
    # ASCII digits only, and few: int() takes every script's digits and refuses 5,000 of them.
    if len(written) > 20 or not written.isascii() or not _WHOLE.fullmatch(written):
        if not any(char.isdigit() for char in written):
            raise MissingPart("score", "no number in its place", raw_text=raw_text)
        raise ScoreOutsideRubric(written[:40], rubric.scores, raw_text=raw_text)
    score = int(written)
    if score not in rubric.levels:
        raise ScoreOutsideRubric(written, rubric.scores, raw_text=raw_text)
    return score, repaired


def distinct(
    labels: Mapping[str, str], *, taken: Collection[str] = (), joiner: str = " "
) -> dict[str, str]:
    """The same labels, with a number added to one that is in use already, whatever its case.

    Args:
        labels: field name to the label a format would like to show it under.
        taken: labels that the format's own words use.
        joiner: what stands between the label and its number.
    """
    used = {label.casefold() for label in taken}
    found: dict[str, str] = {}
    for name, label in labels.items():
        candidates = chain([label], (f"{label}{joiner}{n}" for n in count(2)))
        found[name] = next(c for c in candidates if c.casefold() not in used)
        used.add(found[name].casefold())
    return found


def shown_texts(
    sample: Sample, labels: Mapping[str, str], *, taken: Collection[str] = ()
) -> dict[str, str]:
    """Each field's text as prompts show it: unable to close our tags, same length as the original.

    Args:
        labels: field name to the tag it is shown under.
        taken: further tags that the prompt is built of.
    """
    tags = (*labels.values(), *taken, *RESERVED_TAGS)
    return {field.name: defuse(field.text, tags) for field in sample.fields}


def inside(tag: str, text: str) -> str | None:
    """What stands in the last complete <tag>...</tag>; None if a tag is missing."""
    end = text.rfind(f"</{tag}>")
    start = text.rfind(f"<{tag}>", 0, end) if end >= 0 else -1
    return text[start + len(tag) + 2 : end] if start >= 0 else None


def storable(text: str) -> str:
    """Text with each lone half of a surrogate pair, which JSON can spell, as `\ufffd`."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
