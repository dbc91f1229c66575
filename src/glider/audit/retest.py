"""Test-retest: the same task twice. Greedy decoding repeats its answer; sampling has a spread."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from glider.audit.measure import effect
from glider.audit.probe import Effect, Probe, Rng, Subject, Trial
from glider.audit.shapes import compare, grade
from glider.core.criteria import Rubric
from glider.core.tasks import JudgeTask


class Retest(Probe):
    """The same task twice in one run."""

    name = "retest"
    title = "Test-retest"
    asks = "Asks the same thing twice."
    advice = (
        "Ask greedily (the default), fix the seed and the engine's version, or average several "
        "answers with --samples; differences between systems below this spread mean nothing."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        found = []
        for subject in subjects:
            ask = compare(subject) if subject.is_pair else grade(subject.sample, subject.criterion)
            found.append(Trial(subject, {"once": ask, "again": replace(ask, apart="again")}))
        return found

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        found = [
            effect(
                "changed", "Another answer the second time", trials, _changed, rng, unit="share",
                bound=0.15, nothing="nothing to judge",
                means="Asked twice, the judge gave another level or winner in {value} of cases.",
            ),
            effect(
                "drift", "Distance between the two", trials, _distance, rng, unit="shift",
                nothing="nothing to judge",
                means="Asked twice, scores (or chances of winning) differ by {value} on average.",
            ),
        ]  # fmt: skip
        sampled = [trial for trial in trials if _spread(trial) is not None]
        if sampled:
            found.append(
                effect(
                    "spread", "Spread of single sampled answers", sampled, _spread, rng,
                    unit="shift", nothing="",
                    means="Single sampled answers to one task have a standard deviation of "
                    "{value} of the scale.",
                )
            )  # fmt: skip
        return found


def _changed(trial: Trial) -> float | None:
    if trial.subject.is_pair:
        first, again = trial.p_first("once"), trial.p_first("again")
        # The winner, or a tie.
        return None if first is None or again is None else float(_side(first) != _side(again))
    return trial.changed("once", "again")


def _side(p_first: float) -> int:
    return (p_first > 0.5) - (p_first < 0.5)


def _distance(trial: Trial) -> float | None:
    if trial.subject.is_pair:
        first, again = trial.p_first("once"), trial.p_first("again")
        return None if first is None or again is None else abs(first - again)
    rise = trial.rise("once", "again")
    return None if rise is None else abs(rise)


def _spread(trial: Trial) -> float | None:
    """Standard deviation of the sampled answers of one task, in shares of the scale."""
    judgment, work = trial.judgment("once"), trial.asks["once"].work
    if judgment is None or len(judgment.sampled) < 2 or not isinstance(work, JudgeTask):
        return None
    return float(np.std(_places(judgment.sampled, work.criterion.rubric), ddof=1))


def _places(scores: Sequence[float], rubric: Rubric) -> list[float]:
    ends = np.linspace(0.0, 1.0, len(rubric.scores))
    return [float(np.interp(score, rubric.scores, ends)) for score in scores]
