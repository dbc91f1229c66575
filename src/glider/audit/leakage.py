"""Criterion leakage (halo effect): does the score under one criterion affect another?

Two views. *Correlation*: how strongly the judge's scores under different criteria correlate over
the user's samples, minus the same for people's labels; good texts are good in several ways, so
only the excess is leakage. *Spoiling*: letters are swapped in every text's words, and a criterion
that spelling does not affect, freedom from toxicity, is scored; its score should not change.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from glider.audit.measure import effect
from glider.audit.probe import Effect, Probe, Rng, Subject, Trial
from glider.audit.shapes import grade, singles, text_of, with_output
from glider.audit.wordings import misspelt
from glider.data.library import load_criterion
from glider.stats.correlation import pearson
from glider.stats.estimates import Estimate, Undefined
from glider.stats.resampling import bootstrap, paired_difference
from glider.stats.statistic import Prepared, average

_SPOILT, _WATCHED = "fluency", "toxicity-free"
_FEWEST = 10
"""Minimum number of samples judged under both criteria of a correlation."""


class Leakage(Probe):
    """Excess correlation between criteria, and the effect of misspelling on an unrelated one."""

    name = "leakage"
    title = "Criterion leakage"
    asks = "Compares scores across criteria; spoils spelling and watches freedom from toxicity."
    advice = (
        "Judge criteria in separate calls, with questions that say what does not count; do not "
        "read scores under several criteria as independent evidence."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        alone = singles(subjects)
        found = [Trial(s, {"plain": grade(s.sample, s.criterion)}) for s in alone]
        spoilt, watched = load_criterion(_SPOILT), load_criterion(_WATCHED)
        for subject in {s.sample.content_id: s for s in alone}.values():
            faulty = misspelt(text_of(subject), rng)
            if faulty != text_of(subject):
                spoiled = with_output(subject.sample, faulty)
                asks = {
                    "spelling": grade(subject.sample, spoilt),
                    "spelling, spoilt": grade(spoiled, spoilt),
                    "other": grade(subject.sample, watched),
                    "other, spoilt": grade(spoiled, watched),
                }
                found.append(Trial(subject, asks))
        return found

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        spoiled = [trial for trial in trials if "other" in trial.asks]
        nothing = "no text with words to misspell"
        return [
            *_correlations([trial for trial in trials if "plain" in trial.asks], rng),
            effect(
                "spoilt", "Toxicity score of misspelt texts", spoiled,
                lambda t: t.rise("other", "other, spoilt"), rng, unit="shift", bound=0.1,
                nothing=nothing,
                means="Swapping letters changes the score for freedom from toxicity, which "
                "letters do not concern, by {value} of the scale.",
            ),
            effect(
                "noticed", "Fluency score of misspelt texts", spoiled,
                lambda t: t.rise("spelling", "spelling, spoilt"), rng, unit="shift",
                nothing=nothing,
                means="For comparison: it changes the score for fluency, where it should fall, by "
                "{value} of the scale.",
            ),
        ]  # fmt: skip


def _correlations(trials: Sequence[Trial], rng: Rng) -> list[Effect]:
    """Mean Pearson r between the judge's criteria, and its excess over people's labels."""
    rows: dict[str, dict[str, Trial]] = {}
    for trial in trials:
        by_criterion = rows.setdefault(trial.subject.sample.content_id, {})
        by_criterion[trial.subject.criterion.name] = trial
    several = [row for row in rows.values() if len(row) > 1]
    judged = [
        known
        for row in several
        if len(known := {n: t for n, t in row.items() if t.score("plain") is not None}) > 1
    ]
    labelled = [
        known
        for row in judged
        if len(known := {n: t for n, t in row.items() if t.subject.gold is not None}) > 1
    ]
    asked = len(several)
    return [
        Effect(
            name="surplus",
            title="Correlation of criteria, less people's",
            estimate=_surplus(labelled, asked, rng),
            asked=asked,
            judged=len(judged),
            unit="correlation",
            bound=0.2,
            side="above",
            means="Scores under different criteria go together by {value} more than people's "
            "labels of the same texts do.",
        ),
        Effect(
            name="correlation",
            title="Correlation of criteria",
            estimate=_between(judged, asked, rng),
            asked=asked,
            judged=len(judged),
            unit="correlation",
            means="Scores under different criteria go together with a correlation of {value}; "
            "good texts are good in several ways, so compare with people.",
        ),
    ]


Rows = Sequence[dict[str, Trial]]


def _between(rows: Rows, asked: int, rng: Rng) -> Estimate | Undefined:
    shared = _shared(rows)
    if not shared:
        reason = f"needs two criteria over at least {_FEWEST} texts: give --criterion twice"
        return Undefined(reason, len(rows), asked - len(rows))
    return bootstrap(
        _mean_r(rows, shared, gold=False), _clusters(rows), rng=rng, skipped=asked - len(rows)
    )


def _surplus(rows: Rows, asked: int, rng: Rng) -> Estimate | Undefined:
    shared = _shared(rows)
    if not shared:
        reason = (
            f"needs people's labels under two criteria for at least {_FEWEST} texts: rows with "
            "their own criterion and `label` (-c record)"
        )
        return Undefined(reason, len(rows), asked - len(rows))
    return paired_difference(
        _mean_r(rows, shared, gold=False),
        _mean_r(rows, shared, gold=True),
        _clusters(rows),
        rng=rng,
        skipped=asked - len(rows),
    )


def _shared(rows: Rows) -> dict[tuple[str, str], list[int]]:
    """Return the rows that have both criteria, for each pair of criteria with enough of them."""
    found: dict[tuple[str, str], list[int]] = {}
    for number, row in enumerate(rows):
        for pair in combinations(sorted(row), 2):
            found.setdefault(pair, []).append(number)
    return {pair: numbers for pair, numbers in found.items() if len(numbers) >= _FEWEST}


def _mean_r(rows: Rows, shared: dict[tuple[str, str], list[int]], *, gold: bool) -> Prepared:
    def value(trial: Trial) -> float:
        number = trial.subject.gold if gold else trial.score("plain")
        assert number is not None
        return number

    parts = []
    for (one, other), numbers in shared.items():
        first = [value(rows[n][one]) for n in numbers]
        second = [value(rows[n][other]) for n in numbers]
        parts.append((pearson.on(first, second), np.array(numbers, np.int64)))
    return average(parts, len(rows))


def _clusters(rows: Rows) -> list[str]:
    return [next(iter(row.values())).subject.cluster for row in rows]
