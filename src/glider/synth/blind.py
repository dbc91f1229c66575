"""Blind reading: a model judges a written text without knowing the score it was written for.

The same reading while records are made and afterwards; a generator without I/O.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from glider.backends.base import Backend
from glider.core.errors import GliderError, ReadError
from glider.core.samples import Sample
from glider.core.tasks import COMPARED, JudgeTask, compared
from glider.formats.base import Format, Prompt
from glider.synth.draw import Aspect, Draw
from glider.synth.records import BlindReading, CallRecord, Verdict


@dataclass(frozen=True, slots=True)
class Verifier:
    """A model that reads texts blind, in a given format."""

    backend: Backend
    format: Format

    @property
    def id(self) -> str:
        """Model and format."""
        return f"{self.backend.id} {self.format.id}"


AskBlind = Callable[[int, Prompt], Generator[Any, Any, CallRecord]]
"""Asks a verifier, given the number of the order in which it is shown the texts."""


def read_blind(
    draw: Draw, sample: Sample, aspect: Aspect, verifier: Verifier, ask: AskBlind
) -> Generator[Any, Any, BlindReading]:
    """Return what a verifier says of a text; a pair is read in both orders, which must agree."""
    if draw.kind == "pair":
        orders = [COMPARED, COMPARED[::-1]]
        tasks = [compared(sample, draw.criterion, *order) for order in orders]
    else:
        tasks = [JudgeTask(sample, aspect.criterion)]
    scores: list[int | None] = []
    for order, task in enumerate(tasks):
        score = yield from _score(order, task, verifier.format, ask)
        scores.append(score if not order or score is None else 1 - score)
    agreed = scores[0] if len(set(scores)) == 1 else None
    return BlindReading(by=verifier.id, score=agreed, verdict=_verdict(agreed, aspect))


def _score(
    order: int, task: JudgeTask, format: Format, ask: AskBlind
) -> Generator[Any, Any, int | None]:
    try:
        prompt = format.render(task)
    except GliderError:
        return None
    answer = yield from ask(order, prompt)
    if answer.error is not None or (answer.finish == "length" and not prompt.whole_at_limit):
        return None
    try:
        return format.read(answer.text, task).score
    except ReadError:
        return None


def _verdict(score: int | None, aspect: Aspect) -> Verdict:
    if score is None:
        return "cannot tell"
    if score == aspect.target:
        return "agrees"
    scores = aspect.criterion.rubric.scores
    apart = abs(scores.index(score) - scores.index(aspect.target))
    return "off by one" if apart == 1 and len(scores) > 2 else "contradicts"
