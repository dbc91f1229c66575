"""The statistics of a review: people's verdicts on the judge, and the judge as one more annotator.

Intervals are clustered by prompt (`data/clusters.py`). Items drawn by stratum are weighted by the
number of run items they represent. Nothing is imputed: where all people agree, or where two
people share too few items, the figure is undefined and gives the reason.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from glider._version import __version__
from glider.core.judgments import Span
from glider.review.alternative import EPSILON, alternative_annotator
from glider.review.answered import Answered, AnsweredItem
from glider.review.answers import Answer
from glider.review.items import NO_JUDGE
from glider.review.plan import is_held_out, visits
from glider.review.results import (
    AgainstSettled,
    AlternativeAnnotator,
    AnsweredRecord,
    BesidePeople,
    PersonReport,
    ReviewFigure,
    ReviewReport,
    Verdicts,
)
from glider.review.spans import alignment_cost, boundary_counts, word_counts
from glider.stats.agreement import (
    cohen_kappa,
    krippendorff_alpha,
    mean_absolute_error,
    percent_agreement,
)
from glider.stats.clustered import clustered_mean, two_way_mean
from glider.stats.correlation import pearson
from glider.stats.estimates import Degenerate, Estimate, Undefined
from glider.stats.gamma import gamma
from glider.stats.overlap import f1
from glider.stats.resampling import bootstrap, paired_difference
from glider.stats.statistic import SHARE, Floats, Ints, Prepared, average, ratio_of
from glider.store.run import load_manifest

VERDICTS = (("reason_right", "reason"), ("marks_right", "marks"), ("score_right", "score"))
_CODES = {"yes": 2.0, "partly": 1.0, "no": 0.0}
_FEWEST_SHARED = 5
"""Minimum number of shared items for a comparison of two annotators."""
_JUDGE, _SETTLED = -1, -2
"""In the place of a person's number: the judge, and the adjudicated answers."""


def review_report(answered: Answered, *, epsilon: float = EPSILON, seed: int = 0) -> ReviewReport:
    """Compute every statistic of a review.

    Args:
        answered: what `read_answered` gives for a run.
        epsilon: for the alternative-annotator test.
        seed: for the resamples.

    Raises:
        RunError: the run's manifest is gone or damaged.
    """
    judge = load_manifest(answered.review.run).judge
    return _Figures(answered, epsilon, seed, has_judge=judge != NO_JUDGE).report(judge)


class _Figures:
    """The tables behind the figures. Rows are items, columns are people, in the plan's order."""

    def __init__(self, answered: Answered, epsilon: float, seed: int, *, has_judge: bool) -> None:
        self.has_judge = has_judge
        self.answered, self.items, self.names = answered, answered.items, answered.names
        self.plan = answered.review.plan
        self.epsilon, self.seed = epsilon, seed
        ends = [_ends(item) for item in self.items]
        self.alike = len(set(ends)) == 1
        # Where rubrics have several scales, scores are mapped to 0..1.
        self._low = np.array([0.0 if self.alike else low for low, _ in ends])
        self._span = np.array([1.0 if self.alike else high - low for low, high in ends])
        self.farthest = ends[0][1] - ends[0][0] if self.alike else 1.0
        self.scores: Floats = (answered.values() - self._low[:, None]) / self._span[:, None]
        self.judge: Floats = self._mapped([item.judge_value for item in self.items])
        self.clusters: Ints = np.array([item.cluster for item in self.items], np.int64)
        self.weights: Floats = np.array([item.weight for item in self.items])
        self.notes: list[str] = list(answered.review.notes)
        if not self.alike:
            self.notes.append(
                "The items have rubrics of several scales: scores are mapped to 0..1."
            )
        if np.ptp(self.weights) > 1e-9:
            self.notes.append(
                "Items were drawn by stratum: shares of verdicts are weighted back to the run; "
                "agreement on scores and marks is that of the drawn items."
            )

    def _mapped(self, values: Sequence[float]) -> Floats:
        """Map one value of each item to the common scale."""
        mapped: Floats = (np.array(values, np.float64) - self._low) / self._span
        return mapped

    def rng(self) -> np.random.Generator:
        """A new generator with the same seed for every figure, so each is reproducible alone."""
        return np.random.default_rng(self.seed)

    def report(self, judge: str) -> ReviewReport:
        """All figures."""
        if self.answered.outdated:
            self.notes.append(
                f"{self.answered.outdated} answers are to another text, question or rubric than "
                "the run holds now; they are not counted."
            )
        if self.answered.failed:
            self.notes.append(
                f"{self.answered.failed} of the run's {self.answered.asked} outcomes are failures: "
                "there was nothing to look at, and every figure here is of the others."
            )
        scores = self.plan.asks_score
        verdicts = self.verdicts() + self.questions()
        lowest, highest = _ends(self.items[0])
        return ReviewReport(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            glider=__version__,
            run_id=self.plan.run_id,
            judge=judge,
            has_judge=self.has_judge,
            mode=self.plan.mode,
            people=tuple(self.names),
            drawn=len(self.plan.items),
            answered=sum(bool(item.blind) for item in self.items),
            answers=sum(len(item.blind) for item in self.items),
            scale=f"{lowest:g} to {highest:g}" if self.alike else "0 to 1, of several rubrics",
            verdicts=tuple(verdicts),
            mean_agreement=self.mean_agreement(),
            alpha=ReviewFigure.made(
                self.alpha(self.scores, "interval"), name="Krippendorff's alpha", of="own scores",
                people=len(self.names),
            ),
            beside=tuple(self.beside()) if scores else (),
            settled=tuple(self.settled()),
            alternative=self.alternative(),
            pull=tuple(self.pull()),
            each_person=tuple(self.person(name) for name in self.names),
            items=tuple(self.record(n) for n in range(len(self.items)) if self.items[n].blind),
            notes=tuple(self.notes),
        )  # fmt: skip

    # ---- verdicts

    def verdicts(self) -> list[Verdicts]:
        """Return those of the three verdicts that anybody gave."""
        found = []
        for key, about in VERDICTS:
            said = [
                (item, name, getattr(answer, key))
                for item, name, answer in self.answered.each("reveal")
                if getattr(answer, key) is not None
            ]
            if said:
                found.append(self._verdicts(about, said))
        return found

    def questions(self) -> list[Verdicts]:
        """For a form: return every question whose answers are among yes, partly and no."""
        found = []
        for question in self.plan.questions:
            said = [
                (item, name, answer.questions[question.key])
                for item, name, answer in self.answered.each("blind")
                if question.key in answer.questions
            ]
            if said and {"yes", "no"} <= set(question.choices):
                found.append(self._verdicts(question.text, said))
            elif said:
                counts = Counter(word for _, _, word in said)
                listed = ", ".join(f"{word} {n}" for word, n in counts.most_common())
                self.notes.append(f"{question.text} {listed}.")
        return found

    def _verdicts(self, about: str, said: Sequence[tuple[AnsweredItem, str, str]]) -> Verdicts:
        rows = [(item, name, _CODES[word]) for item, name, word in said if word in _CODES]
        values = np.array([value for _, _, value in rows])
        prompts = np.array([item.cluster for item, _, _ in rows], np.int64)
        names = np.array([self.names.index(name) for _, name, _ in rows], np.int64)
        weights = np.array([item.weight for item, _, _ in rows])
        places = {item.id: n for n, item in enumerate(self.items)}
        table = np.full(self.scores.shape, np.nan)
        for item, name, value in rows:
            table[places[item.id], self.names.index(name)] = value
        where = {"of": about, "people": len(set(names.tolist()))}
        partly = values >= 1
        return Verdicts(
            about=about,
            counts=dict(Counter(word for _, _, word in said)),
            yes=ReviewFigure.made(self._share(values == 2, prompts, weights), name="yes", **where),
            at_least_partly=ReviewFigure.made(
                self._share(partly, prompts, weights), name="yes or partly", **where
            ),
            any_people=ReviewFigure.made(
                two_way_mean(partly, prompts, names, weights=weights, scale=(0, 1)),
                name="yes or partly, any people",
                **where,
            ),
            alpha=ReviewFigure.made(
                self.alpha(table, "ordinal"), name="Krippendorff's alpha", **where
            ),
        )

    def _share(self, values: ArrayLike, prompts: Ints, weights: Floats) -> Estimate | Undefined:
        """Estimate a mean of values in 0..1, with design weights and prompts as clusters."""
        hits = np.asarray(values, np.float64)
        if not len(hits):
            return Undefined("everybody said: cannot tell", 0, 0)
        if np.ptp(weights) < 1e-9 or np.ptp(hits) == 0:
            return clustered_mean(hits, prompts, scale=(0, 1))
        return bootstrap(
            ratio_of(hits * weights, weights, "nothing to count", SHARE), prompts, rng=self.rng()
        )

    def mean_agreement(self) -> ReviewFigure | None:
        """Return the mean over each reveal's share of verdicts that are at least partly."""
        shares, prompts, weights = [], [], []
        for item, _, answer in self.answered.each("reveal"):
            said = [_CODES[w] for key, _ in VERDICTS if (w := getattr(answer, key)) in _CODES]
            if said:
                shares.append(np.mean([value >= 1 for value in said]))
                prompts.append(item.cluster)
                weights.append(item.weight)
        if not shares:
            return None
        found = self._share(np.array(shares), np.array(prompts), np.array(weights))
        return ReviewFigure.made(found, name="mean of the three", people=len(self.names))

    def alpha(self, table: Floats, level: str) -> Estimate | Undefined:
        """Krippendorff's alpha of a table of shape (items, people)."""
        try:
            statistic = krippendorff_alpha.on(table, level=level)  # type: ignore[arg-type]
        except Degenerate as reason:
            return Undefined(str(reason), int((np.isfinite(table).sum(axis=1) > 1).sum()), 0)
        return bootstrap(statistic, self.clusters, rng=self.rng())

    # ---- the judge as one more annotator

    def beside(self) -> list[BesidePeople]:
        """Return each measure: judge against people, people against people, and the difference."""

        def of_scores(metric: Callable[[Floats, Floats], Prepared]) -> "_Pairwise":
            return lambda a, b, rows: metric(self._column(a)[rows], self._column(b)[rows])

        def alpha_of_two(x: Floats, y: Floats) -> Prepared:
            return krippendorff_alpha.on(np.column_stack([x, y]))

        values = np.concatenate([self.judge, self.scores.ravel()])
        levels = sorted({float(value) for value in values[np.isfinite(values)]})
        found = [
            self._beside("same score", "higher", of_scores(percent_agreement.on)),
            self._beside(
                "kappa, quadratic", "higher",
                of_scores(lambda x, y: cohen_kappa.on(x, y, weighting="quadratic", levels=levels)),
            ),
            self._beside("Krippendorff's alpha", "higher", of_scores(alpha_of_two)),
            self._beside("Pearson's r", "higher", of_scores(pearson.on)),
            self._beside("mean absolute error", "lower", of_scores(mean_absolute_error.on)),
        ]  # fmt: skip
        if any(answer.spans for _, _, answer in self.answered.each("blind")):
            found += self._beside_marks()
        return found

    def _beside_marks(self) -> list[BesidePeople]:
        def iou(a: int, b: int, rows: Ints) -> Prepared:
            both, x, y = self._words(a, b, rows).T
            return ratio_of(both, x + y - both, "nothing was marked", SHARE)

        def boundaries(a: int, b: int, rows: Ints) -> Prepared:
            return f1.on(self._boundaries(a, b, rows))

        def aligned(a: int, b: int, rows: Ints) -> Prepared:
            rng = self.rng()
            costs = [
                alignment_cost(self.items[r].item.sample, self._spans(a, r), self._spans(b, r), rng)
                for r in rows
            ]
            return gamma.on(costs)

        return [
            self._beside("marks: word F1", "higher", lambda a, b, r: f1.on(self._words(a, b, r))),
            self._beside("marks: words in both of words in either (IoU)", "higher", iou),
            self._beside("marks: edges within one word, F1", "higher", boundaries),
            self._beside("marks: gamma", "higher", aligned),
        ]

    def _column(self, who: int) -> Floats:
        return self.judge if who == _JUDGE else self.scores[:, who]

    def _spans(self, who: int, row: int) -> Sequence[Span]:
        item = self.items[row]
        if who == _JUDGE:
            return item.judge_spans
        answer = item.settled if who == _SETTLED else item.blind.get(self.names[who])
        return answer.spans if answer is not None else ()

    def _words(self, a: int, b: int, rows: Ints) -> Floats:
        return np.array(
            [
                word_counts(self.items[r].item.sample, self._spans(a, r), self._spans(b, r))
                for r in rows
            ],
            np.float64,
        )

    def _boundaries(self, a: int, b: int, rows: Ints) -> Floats:
        return np.array(
            [
                boundary_counts(self.items[r].item.sample, self._spans(a, r), self._spans(b, r))
                for r in rows
            ],
            np.float64,
        )

    def _beside(self, metric: str, better: str, prepare: "_Pairwise") -> BesidePeople:
        rated = np.isfinite(self.scores)
        several = rated.sum(axis=1) > 1
        people = range(len(self.names))
        of_judge = [(_JUDGE, p, np.flatnonzero(rated[:, p] & several)) for p in people]
        if len(self.names) == 1:
            of_judge = [(_JUDGE, 0, np.flatnonzero(rated[:, 0]))]
        of_people = [
            (p, q, np.flatnonzero(rated[:, p] & rated[:, q]))
            for p in people
            for q in people
            if p < q
        ]
        judge: Prepared | Undefined = Undefined("there is no judge", 0, 0)
        if self.has_judge:
            judge = self._averaged(of_judge, prepare)
        against = self._averaged(of_people, prepare)
        where = {"name": metric, "people": len(self.names)}
        difference: Estimate | Undefined
        if isinstance(judge, Prepared) and isinstance(against, Prepared):
            difference = paired_difference(judge, against, self.clusters, rng=self.rng())
        else:
            difference = Undefined("one of the two has no value", 0, 0)
        return BesidePeople(
            metric=metric,
            better=better,
            judge=ReviewFigure.made(self._estimate(judge), of="judge and people", **where),
            people=ReviewFigure.made(self._estimate(against), of="people and people", **where),
            difference=ReviewFigure.made(difference, of="difference", **where),
        )

    def _estimate(self, found: Prepared | Undefined) -> Estimate | Undefined:
        if isinstance(found, Undefined):
            return found
        return bootstrap(found, self.clusters, rng=self.rng())

    def _averaged(
        self, pairs: Sequence[tuple[int, int, Ints]], prepare: "_Pairwise"
    ) -> Prepared | Undefined:
        """Return the mean over the pairs that share enough items."""
        pairs = [pair for pair in pairs if len(pair[2]) >= _FEWEST_SHARED]
        if not pairs:
            return Undefined(f"no two share {_FEWEST_SHARED} items", 0, 0)
        try:
            parts = [(prepare(a, b, rows), rows) for a, b, rows in pairs]
        except Degenerate as reason:
            return Undefined(
                str(reason), len({r for _, _, rows in pairs for r in rows.tolist()}), 0
            )
        return average(parts, len(self.items))

    def settled(self) -> list[AgainstSettled]:
        """Compare the judge and each person with the adjudicated answers."""
        rows = [n for n, item in enumerate(self.items) if item.settled is not None]
        if not rows:
            return []
        self.notes.append(
            f"{len(rows)} items were adjudicated. Exports and other commands take the adjudicated "
            "answer as their label; the figures of agreement are of the people's own answers."
        )
        right = self._mapped([item.label for item in self.items])
        with_marks = any(self._spans(_SETTLED, row) for row in rows)
        found = []
        everybody = [(name, n, self.scores[:, n]) for n, name in enumerate(self.names)]
        for who, number, values in [("judge", _JUDGE, self.judge)][: self.has_judge] + everybody:
            off = np.abs(values - right)[rows]
            known = np.isfinite(off)
            prompts = self.clusters[rows][known]
            where = {"of": who, "people": 1}
            found.append(
                AgainstSettled(
                    who=who,
                    same=ReviewFigure.made(
                        clustered_mean(off[known] < 1e-9, prompts, scale=(0, 1)),
                        name="same answer", **where,
                    ),
                    distance=ReviewFigure.made(
                        clustered_mean(off[known], prompts, scale=(0, self.farthest)),
                        name="distance", **where
                    ),
                    marks=ReviewFigure.made(
                        self._settled_marks(number, np.array(rows)[known]),
                        name="marks: word F1", **where,
                    ) if with_marks else None,
                )
            )  # fmt: skip
        return found

    def _settled_marks(self, who: int, rows: Ints) -> Estimate | Undefined:
        if not len(rows):
            return Undefined("no adjudicated item is answered", 0, 0)
        counts = self._words(who, _SETTLED, rows)
        return bootstrap(f1.on(counts), self.clusters[rows], rng=self.rng())

    def alternative(self) -> AlternativeAnnotator:
        """Test whether the judge may replace one of these people."""
        if not self.plan.asks_score:
            return AlternativeAnnotator(epsilon=self.epsilon, undefined="no scores were asked for")
        if not self.has_judge:
            return AlternativeAnnotator(epsilon=self.epsilon, undefined="there is no judge")
        return alternative_annotator(
            self.names, self.scores, self.judge, self.clusters, epsilon=self.epsilon
        )

    # ---- the effect of seeing the judge's answer

    def pull(self) -> list[ReviewFigure]:
        """Measure who changed, towards whom, and against items whose judgment was never shown."""
        if self.plan.shows != "after":
            return []
        places = {item.id: n for n, item in enumerate(self.items)}
        rows: list[tuple[int, int, bool, float, float]] = []
        for item, name, own in self.answered.each("blind"):
            n, p = places[item.id], self.names.index(name)
            before = abs(self.scores[n, p] - self.judge[n])
            told = item.reveal.get(name)
            if is_held_out(self.plan, name, item.id):
                rows.append((n, p, True, before, before))
            elif told is not None and np.isfinite(before):
                final = item.value(told)
                if not np.isfinite(final):  # not asked again: unchanged
                    final = item.value(own)
                low, high = _ends(item)
                final = final if self.alike else (final - low) / (high - low)
                rows.append((n, p, False, before, abs(final - self.judge[n])))
        if not rows:
            return []
        table = np.array([(n, p, held) for n, p, held, _, _ in rows], np.int64)
        before, after = np.array([row[3] for row in rows]), np.array([row[4] for row in rows])
        prompts, held = self.clusters[table[:, 0]], table[:, 2] == 1
        shown = ~held
        changed = np.array(
            [
                bool(
                    (told := self.items[n].reveal.get(self.names[p]))
                    and np.isfinite(self.items[n].value(told))
                    and self.items[n].value(told)
                    != self.items[n].value(self.items[n].blind[self.names[p]])
                )
                for n, p, *_ in rows
            ]
        )
        people = len(set(table[:, 1].tolist()))
        found = []
        if shown.any():
            found += [
                ("changed the score when the judge's was shown",
                 clustered_mean(changed[shown] * 1.0, prompts[shown], scale=(0, 1))),
                ("moved towards the judge's score, in steps",
                 clustered_mean((before - after)[shown], prompts[shown])),
                ("distance to the judge, before it was shown",
                 clustered_mean(before[shown], prompts[shown])),
                ("distance to the judge, after it was shown",
                 clustered_mean(after[shown], prompts[shown])),
            ]  # fmt: skip
        if held.any():
            found.append(("distance to the judge where it was never shown",
                          clustered_mean(before[held], prompts[held])))  # fmt: skip
        if held.any() and shown.any():
            difference = paired_difference(
                ratio_of(after * shown, shown * 1.0, "none was shown"),
                ratio_of(before * held, held * 1.0, "none was held out"),
                prompts,
                rng=self.rng(),
            )
            found.append(("distance, shown less never shown", difference))
        return [ReviewFigure.made(one, name=name, people=people) for name, one in found]

    # ---- people and items

    def person(self, name: str) -> PersonReport:
        """Summarize how one person answered."""
        person = self.answered.people[name]
        own = [(item, item.blind[name]) for item in self.items if name in item.blind]
        told = [item.reveal[name] for item in self.items if name in item.reveal]
        values = [item.value(answer) for item, answer in own]
        counts = Counter(value for value in values if np.isfinite(value))
        commonest = counts.most_common(1)
        times = [answer.seconds for _, answer in own if answer.seconds > 0]
        twice = [
            (item.value(item.blind[name]), item.value(item.again[name]))
            for item in self.items
            if name in item.blind and name in item.again
        ]
        same = sum(a == b for a, b in twice)
        notes = []
        if len(values) >= 10 and commonest and commonest[0][1] == len(values):
            notes.append(f"the same score to all {len(values)} items")
        for key, about in VERDICTS:
            words = Counter(getattr(answer, key) for answer in told)
            if len(told) >= 20 and len(words) == 1:
                notes.append(f"the same verdict on the {about} {len(told)} times")
        if len(times) >= 5 and median(times) < 3:
            notes.append(f"half of the answers within {median(times):.1f} s")
        by_chance = sum((n / len(values)) ** 2 for n in counts.values()) if values else 0
        if len(twice) >= 8 and same / len(twice) <= by_chance:
            notes.append("agrees with the own repeats no more than by chance")
        asked = 0
        if name in self.plan.people:
            asked = sum(v.time == 1 for v in visits(self.plan, name, person.answered))
        return PersonReport(
            name=name,
            answered=len(own),
            asked=max(asked, len(own)),
            verdicts=len(told),
            skipped=sum(
                stage == "skip" and visit not in person.answered for visit, stage in person.current
            ),
            flagged=sum(stage == "flag" for _, stage in person.current),
            median_seconds=median(times) if times else None,
            marks_per_item=sum(len(answer.spans) for _, answer in own) / len(own),
            commonest=f"{commonest[0][0]:g} ({commonest[0][1]} of {len(values)})"
            if commonest
            else "",
            repeats=len(twice),
            same_again=same / len(twice) if twice else None,
            off_again=sum(abs(a - b) for a, b in twice) / len(twice) if twice else None,
            notes=tuple(notes),
        )

    def record(self, n: int) -> AnsweredRecord:
        """Return all answers to one item."""
        item = self.items[n]
        given = self.scores[n][np.isfinite(self.scores[n])]

        def scores(answers: "dict[str, Answer]") -> dict[str, float]:
            found = {name: item.value(answer) for name, answer in answers.items()}
            return {name: value for name, value in found.items() if np.isfinite(value)}

        def marks(answers: Mapping[str, Answer]) -> dict[str, list[list[Any]]]:
            return {
                name: [[s.field, s.start, s.end] for s in answer.spans]
                for name, answer in answers.items()
                if answer.spans
            }

        return AnsweredRecord(
            id=item.id,
            sample_id=item.item.sample.id,
            row=item.row,
            criterion=item.item.criterion.name,
            cluster=item.cluster,
            weight=item.weight,
            judge=item.judge_value if self.has_judge else None,
            judge_marks=[[s.field, s.start, s.end] for s in item.judge_spans],
            scores=scores(dict(item.blind)),
            scores_again=scores(dict(item.again)),
            scores_after_reveal=scores(dict(item.reveal)),
            marks=marks(item.blind),
            verdicts={
                name: {key: word for key, _ in VERDICTS if (word := getattr(answer, key))}
                for name, answer in item.reveal.items()
            },
            questions={n: dict(a.questions) for n, a in item.blind.items() if a.questions},
            notes={n: a.note for n, a in item.blind.items() if a.note.strip()},
            adjudicated=scores(dict(item.adjudicated)),
            adjudicated_marks=marks(item.adjudicated),
            label=None if np.isnan(item.label) else item.label,
            spread=float(np.ptp(given)) if len(given) > 1 else None,
            off=float(abs(given.mean() - self.judge[n])) if self.has_judge and len(given) else None,
        )


_Pairwise = Callable[[int, int, Ints], Prepared]
"""Given two annotators (people or the judge) and the rows they share, a statistic of these rows."""


def _ends(item: AnsweredItem) -> tuple[float, float]:
    rubric = item.item.criterion.rubric
    return (0.0, 1.0) if item.item.is_pair else (float(rubric.low), float(rubric.high))
