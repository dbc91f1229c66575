"""Cascade: a cheap judge answers where it is sure enough, a larger one judges the rest.

How sure is the probability of the likeliest level (of a pair: of the better output), or, with a
calibration of the cheap judge, the confidence that its threshold was certified for. A judgment that
gives no probabilities, a failure and a criterion that the calibration is not of are passed on:
nothing tells that they can be relied on. The steps say who answered and what the first judge said.
"""

import json
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from glider.backends.composed import ComposedFuture
from glider.core.errors import DataError, SetupError
from glider.core.judgments import ANSWERED, PASSED_ON, Comparison, Failure, Judgment, Step, Usage
from glider.judging.judge import Judge, Work
from glider.judging.strategies.base import Result, attributed, costing, spent_on


class CalibratedThreshold(BaseModel):
    """What a calibration file says of its threshold; its other keys are passed over.

    The bounds of what is kept are promised for this judge under this criterion alone.
    """

    judge: str
    criterion: str
    kind: Literal["graded", "pairs"]
    levels: tuple[int, ...]
    scale: tuple[float, float]
    pass_at: float | None
    agree_on: Literal["pass", "level", "near"]
    threshold: float | None

    def confidence(self, outcome: Judgment | Comparison) -> float | None:
        """How sure the judge is of what it decides; None where nothing tells."""
        if outcome.criterion != self.criterion:
            return None
        if isinstance(outcome, Comparison) != (self.kind == "pairs"):
            return None
        from glider.judging.readings import Readings

        reading = Readings.of([outcome], self.levels, self.scale)
        found = reading.confidence(self.agree_on, self.pass_at)
        return None if found is None else float(found[0])


@dataclass(frozen=True, slots=True)
class SureEnough:
    """When the first judge's answer stands."""

    least: float
    """0..1."""
    certified: CalibratedThreshold | None = None
    """Of a calibration file; the probability of the likeliest level counts if not given."""

    @classmethod
    def of(cls, written: str) -> "SureEnough":
        """A probability, or the threshold of a calibration file.

        Raises:
            SetupError: neither, or the calibration has no threshold.
            DataError: the file is not there, or no calibration.
        """
        try:
            least = float(written)
        except ValueError:
            return cls._from_file(Path(written))
        if not 0 < least <= 1:
            raise SetupError(f"--cascade-until {written}: a probability lies between 0 and 1")
        return cls(least)

    @classmethod
    def _from_file(cls, path: Path) -> "SureEnough":
        try:
            found = CalibratedThreshold.model_validate(json.loads(path.read_text("utf-8")))
        except OSError as exc:
            raise DataError(
                f"cannot be read: {exc.strerror}",
                path=str(path),
                hint="--cascade-until takes a probability, such as 0.8, or a calibration file",
            ) from exc
        except (ValidationError, ValueError) as exc:
            raise DataError("is no calibration", path=str(path)) from exc
        if found.threshold is None:
            raise SetupError(
                f"{path} has no threshold: nothing can be promised of this judge's answers",
                hint="--cascade-until takes a probability as well",
            )
        return cls(found.threshold, found)

    def __str__(self) -> str:
        on = "" if self.certified is None else f":{self.certified.agree_on}"
        return f"{self.least:g}{on}"

    def confidence(self, outcome: Result) -> float | None:
        """How sure the judge is of an outcome; None where nothing tells."""
        if isinstance(outcome, Failure):
            return None
        if self.certified is not None and not _is_unjudged(outcome):
            return self.certified.confidence(outcome)
        if isinstance(outcome, Comparison):
            if outcome.p_first is None or not _has_probabilities(outcome.orders):
                return None
            return max(outcome.p_first, 1 - outcome.p_first)
        return max(outcome.score_probs.values()) if outcome.score_probs else None


class Cascade(Judge):
    """A judge that asks a second one where the first is not sure enough."""

    def __init__(self, first: Judge, second: Judge, until: SureEnough) -> None:
        """Put two judges together.

        Raises:
            SetupError: they are the same, or the calibration is of another judge than the first.
        """
        if first.id == second.id:
            raise SetupError(f"a cascade needs two different judges, got {first.id} twice")
        if until.certified is not None and until.certified.judge != first.id:
            raise SetupError(
                f"the calibration is of the judge {until.certified.judge!r}, not of {first.id!r}",
                hint="calibrate a run of the first judge as it is asked here",
            )
        super().__init__(**first.options)
        self.first, self.second, self.until = first, second, until

    @property
    def id(self) -> str:
        """Both models with what counts as sure enough, and the formats they are asked in."""
        models, formats = zip(
            *(judge.id.rsplit(" ", 1) for judge in (self.first, self.second)), strict=True
        )
        return f"cascade({'|'.join(models)}|{self.until}) {'|'.join(dict.fromkeys(formats))}"

    @property
    def in_flight(self) -> int:
        """As many as the judge takes that takes the most: each has a backend of its own."""
        return max(self.first.in_flight, self.second.in_flight)

    def n_requests(self, work: Work) -> int:
        """Requests that the first judge makes."""
        return self.first.n_requests(work)

    def submit(self, work: Work) -> "Future[Result]":
        """Begin one piece of work with the first judge."""
        verdict: ComposedFuture[Result] = ComposedFuture()
        verdict.wait_for(self.first.submit(work), partial(self._heard_first, work, verdict))
        return verdict.future

    def _heard_first(
        self, work: Work, verdict: ComposedFuture[Result], judged: "Future[Result]"
    ) -> None:
        outcome = judged.result()
        sure = self.until.confidence(outcome)
        step = Step(
            name=ANSWERED if sure is not None and sure >= self.until.least else PASSED_ON,
            text=_told(self.first, outcome, sure, self.until.least),
            score=_score(outcome),
        )
        if step.name == ANSWERED:
            verdict.end(self._own(work, outcome, [outcome], [step]))
            return
        verdict.wait_for(
            self.second.submit(work),
            lambda then: verdict.end(
                self._own(work, then.result(), [outcome, then.result()], [*outcome.steps, step])
            ),
        )

    def _own(
        self, work: Work, outcome: Result, asked: Sequence[Result], steps: Sequence[Step]
    ) -> Result:
        whole = costing(outcome, spent_on(asked))
        return attributed(whole, work, judge=self.id, steps=tuple(steps), usage=Usage())

    def close(self) -> None:
        """Close both judges."""
        self.first.close()
        self.second.close()


def _is_unjudged(outcome: Judgment | Comparison) -> bool:
    return isinstance(outcome, Comparison) and outcome.p_first is None


def _has_probabilities(orders: Sequence[Judgment | Failure]) -> bool:
    return any(isinstance(order, Judgment) and order.score_probs for order in orders)


def _score(outcome: Result) -> float | None:
    if isinstance(outcome, Failure):
        return None
    if isinstance(outcome, Comparison):
        return outcome.p_first
    return outcome.expected_or_score


def _told(judge: Judge, outcome: Result, sure: float | None, least: float) -> str:
    """Who spoke first, what it said and how sure it was."""
    said: Any
    if isinstance(outcome, Failure):
        said = f"not judged, {outcome.stage}/{outcome.code}: {outcome.message}"
    elif isinstance(outcome, Comparison):
        said = "not judged" if outcome.p_first is None else outcome.preferred or "tie"
    else:
        said = outcome.score
    how = "no probabilities" if sure is None else f"confidence {sure:.3f}, least {least:.3f}"
    return f"{judge.id}: {said} ({how})"
