"""How far two engines with (nearly) the same weights differ on the same prompts.

For quantised or exported models: nothing is compared with people here. Only the score is read.
Where an answer reasons first, its reasoning is part of what is asked, so that what moves is the
score's own distribution and not the wording before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from glider.backends.base import Backend
from glider.core.errors import BackendError
from glider.core.generation import Generation, GenerationRequest
from glider.stats.estimates import Estimate, Undefined, proportion
from glider.stats.resampling import bootstrap
from glider.stats.statistic import Floats, mean_of


@dataclass(frozen=True, slots=True)
class Shift:
    """The change from one engine to the other, over n prompts."""

    mean: Estimate | Undefined
    """Mean absolute difference of expected scores, each in 0..1 of its rubric. Undefined if
    all differences are equal, for example if nothing changed."""
    changed: Estimate | Undefined
    """Share of prompts whose most probable level changed."""
    largest: float
    """Largest difference of two expected scores; 0 if nothing was read."""
    average: float
    """The value of `mean`, available even without an interval."""
    share_changed: float
    n: int

    def __str__(self) -> str:
        mean = self.mean if isinstance(self.mean, Estimate) else f"{self.average:.3f} n={self.n}"
        return (
            f"expected scores move by {mean} on average, {self.largest:.3f} at most; "
            f"another level in {self.changed} of prompts"
        )


def shift(
    before: Sequence[Generation | None],
    after: Sequence[Generation | None],
    clusters: Sequence[str],
    *,
    rng: np.random.Generator,
) -> Shift:
    """Compare answers of two engines to the same prompts, in one order; None is no answer.

    Labels are numbers, and their order is that of the rubric.
    """
    pairs = [
        (_reading(a), _reading(b), cluster)
        for a, b, cluster in zip(before, after, clusters, strict=True)
        if a is not None and b is not None and a.label_logprobs and b.label_logprobs
    ]
    lost = len(before) - len(pairs)
    moved: Floats = np.array([abs(a[0] - b[0]) for a, b, _ in pairs])
    others = sum(a[1] != b[1] for a, b, _ in pairs)
    if not pairs:
        nothing = Undefined("no prompt was answered by both", 0, lost)
        return Shift(nothing, nothing, 0.0, 0.0, 0.0, 0)
    mean = bootstrap(
        mean_of(moved, (0.0, 1.0)), [cluster for _, _, cluster in pairs], rng=rng, skipped=lost
    )
    changed = proportion(others, len(pairs), skipped=lost)
    average, share = float(moved.mean()), others / len(pairs)
    return Shift(mean, changed, float(moved.max()), average, share, len(pairs))


def answers(
    backend: Backend,
    requests: Sequence[GenerationRequest],
    seen: Callable[[], None] = lambda: None,
) -> list[Generation | None]:
    """Return one answer for each request, in order; None if the engine gave none."""
    futures = [backend.submit(request) for request in requests]
    found: list[Generation | None] = []
    for future in futures:
        try:
            found.append(future.result())
        except BackendError:
            found.append(None)
        seen()
    return found


def _reading(answer: Generation) -> tuple[float, str]:
    """Return the expected score in 0..1, and the most probable label."""
    spread = answer.label_logprobs or {}
    levels = np.array([float(label) for label in spread])
    shares = np.exp(np.array(list(spread.values())) - max(spread.values()))
    expected = float((levels * shares).sum() / shares.sum())
    low, high = levels.min(), levels.max()
    return float((expected - low) / (high - low)), max(spread, key=spread.__getitem__)
