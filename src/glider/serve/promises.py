"""What labels promise of a check: how many good texts it blocks at most, and how often it blocks.

Everything is read at start-up, from the file of `glider calibrate` or from a labelled run of the
same judge under the same words.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glider.core.criteria import Criterion
from glider.core.errors import SetupError
from glider.core.judgments import Outcome

if TYPE_CHECKING:
    from glider.calibration.blocking import BlockingScores
    from glider.calibration.model import Calibration


@dataclass(frozen=True, slots=True)
class Promise:
    """An upper bound of the share of good texts that a check blocks."""

    criterion: str
    at_most: float
    """The 95 % upper bound, 0 to 1."""
    n: int
    """Prompts with a good text among the labelled."""
    hits: int
    """Those of them of which a good text was blocked."""

    def __str__(self) -> str:
        return (
            f"{self.criterion} blocks at most {math.ceil(1000 * self.at_most - 1e-9) / 10:g} % of "
            f"good texts (95 % upper bound, n = {self.n}, {self.hits} blocked)"
        )


class Labels:
    """A labelled run behind a check."""

    def __init__(self, path: Path, criterion: Criterion, good_from: float) -> None:
        """Read it.

        Raises:
            SetupError: the labels are for another criterion, or none of them is good.
            DataError, RunError: they cannot be read.
        """
        from glider.calibration.labelled import LabelledRun
        from glider.store.run import outcomes

        self._path, self._good_from = path, good_from
        self.run: LabelledRun = LabelledRun.load(path, criterion=criterion.name)
        same_words(criterion, self.run.criterion_id, str(path))
        if not (self.run.label >= good_from).any():
            raise SetupError(f"{path}: no label is {good_from:g} or above")
        by_row = {row: one for row, one in outcomes(path) if one.criterion == criterion.name}
        self._outcomes = [one for _, one in sorted(by_row.items())]

    def scores(self) -> "BlockingScores":
        """Return what a threshold is chosen by."""
        from glider.calibration.blocking import BlockingScores

        return BlockingScores.of(self.run, self._good_from)

    def promise(self, blocks: Callable[[Outcome], bool]) -> Promise:
        """Count the prompts of which a good text is blocked."""
        from glider.calibration.blocking import ERROR
        from glider.stats.clustered import share_upper

        good: dict[int, bool] = {}
        for outcome, label, cluster in zip(
            self._outcomes, self.run.label, self.run.cluster, strict=True
        ):
            if label >= self._good_from:
                good[int(cluster)] = good.get(int(cluster), False) or blocks(outcome)
        hits = sum(good.values())
        upper = share_upper(hits, len(good), ERROR)
        return Promise(self.run.criterion, upper, len(good), hits)

    def counts(self, found: Callable[[Outcome], str]) -> Mapping[str, int]:
        """Count what the check finds of one text of each prompt."""
        from glider.calibration.blocking import one_of_each

        return Counter(found(self._outcomes[item]) for item in one_of_each(self.run.cluster))


def load_calibration(path: Path, criterion: Criterion) -> "Calibration":
    """Load a calibration that a policy can use.

    Raises:
        SetupError: it is for other words, for pairs, has no pass mark, or weighs the judge with
            covariates.
        DataError: it cannot be read.
    """
    from glider.calibration.model import Calibration

    learnt = Calibration.load(path)
    same_words(criterion, learnt.criterion_id, str(path))
    if learnt.pass_at is None or learnt.kind != "graded":
        raise SetupError(
            f"{path} has no pass mark", hint="`glider calibrate --pass-at LEVEL` on single texts"
        )
    if learnt.combined is not None:
        raise SetupError(
            f"{path} weighs the judge with {', '.join(learnt.combined.covariates)}",
            hint="`glider calibrate` without --with; the server does not measure covariates",
        )
    return learnt


def same_words(criterion: Criterion, content_id: str, what: str) -> None:
    """Refuse what was made under a different wording of the criterion.

    Raises:
        SetupError: it was.
    """
    if content_id != criterion.content_id:
        raise SetupError(f"{what} is of {criterion.name!r} in other words than are served")
