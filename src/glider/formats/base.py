"""The interface of a format: `render`, `read`, `grammar`, `target`.

`read` is strict and total: any text gives a Reading or raises a ReadError. A score outside the
rubric is an error, and no missing part is ever filled in. `target` writes the answer that `read`
parses, so a model is trained on exactly the format that it is served in.
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
"""Tags that delimit parts of an answer or its reasoning; judged text must not contain them."""

_WHOLE = re.compile(r"[+-]?\d+")
_WHOLE_AS_DECIMAL = re.compile(r"([+-]?[0-9]+)\.0{1,6}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """Everything that a format requests from a backend for one task."""

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
    """A parsed answer whose quoted phrases are not yet located."""

    score: int
    reasoning: str | None = None
    phrases: tuple[str, ...] = ()
    repaired: tuple[str, ...] = ()
    """Harmless deviations from the format, each in a few words."""


class Format(ABC):
    """One way to prompt a model and parse its answers."""

    name: str
    reasons_before_score: bool = True
    """The score follows the reasoning, so sampled reasoning affects it."""
    explains: bool = True
    """The answer contains more than a score."""
    quotes_always: bool = False
    """The grammar requires a quote whenever the judged text has something quotable."""

    reason_words: int = 30
    """Maximum words of a reason in training data."""

    @abstractmethod
    def render(self, task: JudgeTask) -> Prompt:
        """Render the task as messages, always with the same bytes.

        Raises:
            MissingField: the criterion or the format needs a field the sample lacks.
        """

    @abstractmethod
    def read(self, text: str, task: JudgeTask) -> Reading:
        """Parse the answer's score, reasoning and phrases.

        Args:
            text: the whole answer, the prompt's opening included.

        Raises:
            ReadError: the answer is not valid. No text raises any other error.
        """

    @abstractmethod
    def target(self, reading: Reading, task: JudgeTask) -> str:
        """Return the answer that parses as `reading`, opening included: the training target."""

    @abstractmethod
    def grammar(self, task: JudgeTask) -> Grammar:
        """Return the grammar of the answer after the opening: legal scores, verbatim quotes."""

    @abstractmethod
    def shown(self, task: JudgeTask) -> dict[str, str]:
        """Return each field's text as the prompt shows it; same length as the original."""

    def bare(self) -> "Format | None":
        """Return the score-only version of the format; None if it always explains."""
        return None if self.explains else self

    @property
    def id(self) -> str:
        """Name and options, as recorded with every judgment."""
        return self.name


def legal_score(text: str, rubric: Rubric, *, raw_text: str) -> tuple[int, tuple[str, ...]]:
    """Return the score in `text`, if it is an integer of the rubric, and any repairs.

    Raises:
        MissingPart: the text has no number.
        ScoreOutsideRubric: the number is not in the rubric (2.9 is not 2).
    """
    written = text.strip()
    if not written:
        raise MissingPart("score", "nothing stands in its place", raw_text=raw_text)
    repaired: tuple[str, ...] = ()
    if len(written) <= 20 and (decimal := _WHOLE_AS_DECIMAL.fullmatch(written)):
        written, repaired = decimal[1], ("score written as a decimal",)
    # ASCII digits only, and few: int() accepts digits of any script and refuses 5,000 digits.
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
    """Make labels distinct, ignoring case, by appending a number to those already in use.

    Args:
        labels: field name to the format's preferred label for it.
        taken: labels used in the format's own wording.
        joiner: separator between a label and its number.
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
    """Return each field's text for a prompt: it cannot close our tags and keeps its length.

    Args:
        labels: field name to the tag around it.
        taken: further tags in the prompt.
    """
    tags = (*labels.values(), *taken, *RESERVED_TAGS)
    return {field.name: defuse(field.text, tags) for field in sample.fields}


def inside(tag: str, text: str) -> str | None:
    """Return the content of the last complete <tag>...</tag>; None if a tag is missing."""
    end = text.rfind(f"</{tag}>")
    start = text.rfind(f"<{tag}>", 0, end) if end >= 0 else -1
    return text[start + len(tag) + 2 : end] if start >= 0 else None


def storable(text: str) -> str:
    """Replace each lone surrogate, which JSON can encode, with `\ufffd`."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
