"""Compare two outputs in both orders; more than two by round robin.

Judges have a position bias. Judging both orders doubles the cost and reveals it: `flipped` marks a
comparison whose orders name different winners, whatever its averaged probability is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

from glider.core.criteria import Criterion
from glider.core.judgments import Comparison, Cut, Failure, Highlight, Judgment, Span
from glider.core.samples import Sample
from glider.core.tasks import COMPARED, JudgeTask, compared, pair_id


@dataclass(frozen=True)
class PairTask:
    """Two judged fields of a sample under one criterion."""

    sample: Sample
    criterion: Criterion
    """The pointwise criterion; the prompt uses its pairwise version."""
    first: str
    second: str
    both_orders: bool = True

    @cached_property
    def id(self) -> str:
        """Hash of the texts, the criterion and the pair."""
        return pair_id(self.sample, self.criterion, self.first, self.second)

    @cached_property
    def tasks(self) -> tuple[JudgeTask, ...]:
        """The pair in the given order, then swapped."""
        orders = [(self.first, self.second), (self.second, self.first)]
        if not self.both_orders:
            orders = orders[:1]
        return tuple(compared(self.sample, self.criterion, *order) for order in orders)

    def fold(self, outcomes: Sequence[Judgment | Failure]) -> Comparison:
        """Combine the outcomes of `tasks`, in that order, into one comparison."""
        shares: list[float] = []
        named: list[Judgment | Failure] = []
        for number, outcome in enumerate(outcomes):
            swapped = number == 1
            names = (self.second, self.first) if swapped else (self.first, self.second)
            named.append(_renamed(outcome, dict(zip(COMPARED, names, strict=True))))
            if isinstance(outcome, Judgment):
                shown_first = p_shown_first(outcome)
                shares.append(1 - shown_first if swapped else shown_first)
        p_first = sum(shares) / len(shares) if shares else None
        preferred = None
        if p_first is not None and p_first != 0.5:
            preferred = self.first if p_first > 0.5 else self.second
        return Comparison(
            task_id=self.id,
            sample_id=self.sample.id,
            criterion=self.criterion.name,
            judge=outcomes[0].judge,
            first=self.first,
            second=self.second,
            preferred=preferred,
            p_first=p_first,
            flipped=opposed(*shares) if len(shares) == 2 else None,
            orders=tuple(named),
        )


def p_shown_first(order: Judgment) -> float:
    """Probability that the output shown first is better, from one order of a comparison."""
    return 1 - order.expected_or_score if order.score_probs is None else order.score_probs[0]


def opposed(one: float, other: float) -> bool:
    """Return whether two probabilities name different winners; 0.5 names no winner."""
    return min(one, other) < 0.5 < max(one, other)


def _renamed(outcome: Judgment | Failure, names: Mapping[str, str]) -> Judgment | Failure:
    """Return the outcome with its highlights under the sample's own field names."""
    if not isinstance(outcome, Judgment):
        return outcome
    cuts = tuple(
        Cut(field=names.get(cut.field, cut.field), kept=cut.kept, of=cut.of) for cut in outcome.cuts
    )
    highlights = tuple(
        Highlight(
            phrase=h.phrase,
            match=h.match,
            spans=tuple(Span(field=names[s.field], start=s.start, end=s.end) for s in h.spans),
        )
        for h in outcome.highlights
    )
    return outcome.model_copy(update={"highlights": highlights, "cuts": cuts})


def round_robin(
    sample: Sample, criterion: Criterion, *, both_orders: bool = True
) -> Iterator[PairTask]:
    """Return every pair of judged fields once."""
    for first, second in combinations([field.name for field in sample.judged], 2):
        yield PairTask(sample, criterion, first, second, both_orders)


def ranking(comparisons: Sequence[Comparison]) -> list[tuple[str, float]]:
    """Rank fields by mean probability of being preferred, best first; skip unjudged pairs."""
    shares: dict[str, list[float]] = {}
    for comparison in comparisons:
        if comparison.p_first is not None:
            shares.setdefault(comparison.first, []).append(comparison.p_first)
            shares.setdefault(comparison.second, []).append(1 - comparison.p_first)
    means = {name: sum(values) / len(values) for name, values in shares.items()}
    return sorted(means.items(), key=lambda item: -item[1])
