"""People's verdicts: is the judge's reason right, are its marks, is its score; and other questions.

Items drawn by stratum are weighted by the number of run items that they represent.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from glider.review.answered import AnsweredItem
from glider.review.panel import Panel
from glider.review.results import ReviewFigure, Verdicts
from glider.stats.clustered import clustered_mean, two_way_mean
from glider.stats.estimates import Estimate, Undefined
from glider.stats.resampling import bootstrap
from glider.stats.statistic import SHARE, Floats, Ints, ratio_of

VERDICTS = (("reason_right", "reason"), ("marks_right", "marks"), ("score_right", "score"))
"""Field of an answer, and what it is a verdict on."""
_CODES = {"yes": 2.0, "partly": 1.0, "no": 0.0}


def verdicts(panel: Panel) -> list[Verdicts]:
    """Return those of the three verdicts that anybody gave."""
    found = []
    for key, about in VERDICTS:
        said = [
            (item, name, getattr(answer, key))
            for item, name, answer in panel.answered.each("reveal")
            if getattr(answer, key) is not None
        ]
        if said:
            found.append(_of_one(panel, about, said))
    return found


def questions(panel: Panel) -> tuple[list[Verdicts], list[str]]:
    """Return a form's questions whose choices hold yes and no; and the others' counts, as notes."""
    found, notes = [], []
    for question in panel.plan.questions:
        said = [
            (item, name, answer.questions[question.key])
            for item, name, answer in panel.answered.each("blind")
            if question.key in answer.questions
        ]
        if said and {"yes", "no"} <= set(question.choices):
            found.append(_of_one(panel, question.text, said))
        elif said:
            counts = Counter(word for _, _, word in said)
            listed = ", ".join(f"{word} {n}" for word, n in counts.most_common())
            notes.append(f"{question.text} {listed}.")
    return found, notes


def _of_one(panel: Panel, about: str, said: Sequence[tuple[AnsweredItem, str, str]]) -> Verdicts:
    rows = [(item, name, _CODES[word]) for item, name, word in said if word in _CODES]
    values = np.array([value for _, _, value in rows])
    prompts = np.array([item.cluster for item, _, _ in rows], np.int64)
    names = np.array([panel.names.index(name) for _, name, _ in rows], np.int64)
    weights = np.array([item.weight for item, _, _ in rows])
    places = {item.id: n for n, item in enumerate(panel.items)}
    table = np.full(panel.scores.shape, np.nan)
    for item, name, value in rows:
        table[places[item.id], panel.names.index(name)] = value
    where = {"of": about, "people": len(set(names.tolist()))}
    partly = values >= 1
    return Verdicts(
        about=about,
        counts=dict(Counter(word for _, _, word in said)),
        yes=ReviewFigure.made(_share(panel, values == 2, prompts, weights), name="yes", **where),
        at_least_partly=ReviewFigure.made(
            _share(panel, partly, prompts, weights), name="yes or partly", **where
        ),
        any_people=ReviewFigure.made(
            two_way_mean(partly, prompts, names, weights=weights, scale=(0, 1)),
            name="yes or partly, any people",
            **where,
        ),
        alpha=ReviewFigure.made(
            panel.alpha(table, "ordinal"), name="Krippendorff's alpha", **where
        ),
    )


def _share(panel: Panel, values: ArrayLike, prompts: Ints, weights: Floats) -> Estimate | Undefined:
    """Estimate a mean of values in 0..1, with design weights and prompts as clusters."""
    hits = np.asarray(values, np.float64)
    if not len(hits):
        return Undefined("everybody said: cannot tell", 0, 0)
    if np.ptp(weights) < 1e-9 or np.ptp(hits) == 0:
        return clustered_mean(hits, prompts, scale=(0, 1))
    return bootstrap(
        ratio_of(hits * weights, weights, "nothing to count", SHARE), prompts, rng=panel.rng()
    )


def mean_agreement(panel: Panel) -> ReviewFigure | None:
    """Return the mean over each reveal's share of verdicts that are at least partly."""
    shares, prompts, weights = [], [], []
    for item, _, answer in panel.answered.each("reveal"):
        said = [_CODES[w] for key, _ in VERDICTS if (w := getattr(answer, key)) in _CODES]
        if said:
            shares.append(np.mean([value >= 1 for value in said]))
            prompts.append(item.cluster)
            weights.append(item.weight)
    if not shares:
        return None
    found = _share(panel, np.array(shares), np.array(prompts), np.array(weights))
    return ReviewFigure.made(found, name="mean of the three", people=len(panel.names))
