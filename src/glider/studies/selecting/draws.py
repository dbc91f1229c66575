"""ChosenExamples rules: IFD, an approximation of D3, and the random baseline.

This module loads no model. Losses come from a callable, so that the arithmetic can be tested on a
table; `losses.TorchLosses` is the callable for a torch model.

IFD (Li et al. 2024, arXiv 2308.12032; Themis, arXiv 2502.02988) is the mean loss of the answer with
its prompt divided by the mean loss without it. Above 1, the prompt does not help, which suggests a
mismatched pair. D3 (arXiv 2503.11441) combines difficulty, diversity and dependability. We have not
read its exact objective; the greedy k-centre selection here is our approximation.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from glider.core.errors import SetupError
from glider.corpus.examples import Example

Floats = NDArray[np.float64]

MOST_DEVIATIONS = 3.0


@dataclass(frozen=True, slots=True)
class TokenLosses:
    """A model's losses on one answer."""

    nll: Floats
    """Loss of each token of the answer, in nats, shape (tokens,)."""
    entropy: Floats | None = None
    """Entropy of the model's prediction for each of these tokens, in nats, shape (tokens,)."""
    embedding: Floats | None = None
    """Mean last-layer hidden state over the prompt and opening, shape (width,)."""


class Losses(Protocol):
    """A callable that computes a model's losses on answers."""

    def __call__(self, examples: Sequence[Example], *, prompt: bool = True) -> list[TokenLosses]:
        """Return one result per example, in order; omit the prompt if `prompt` is False."""


@dataclass(frozen=True, slots=True)
class ChosenExamples:
    """The result of a selection."""

    chosen: list[int]
    """Indices of the selected examples, best first; ascending for a random selection."""
    values: list[float]
    """The measured value of every example."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Number of examples excluded from selection, by reason."""


def random_selection(examples: Sequence[Example], size: int, *, seed: int = 0) -> ChosenExamples:
    """Select `size` examples at random, the baseline for every other selection."""
    _check(size)
    numbers = range(len(examples))
    chosen = sorted(Random(f"{seed}:selection").sample(numbers, min(size, len(examples))))
    return ChosenExamples(chosen, [1.0] * len(examples))


# Instruction-following difficulty


def ifd(losses: Losses, examples: Sequence[Example]) -> list[float]:
    """Return each example's mean loss with the prompt divided by its mean loss without it.

    NaN if the answer has zero loss without its prompt, or has no tokens.
    """
    given = losses(examples, prompt=True)
    alone = losses(examples, prompt=False)
    return [_ratio(_mean(a.nll), _mean(b.nll)) for a, b in zip(given, alone, strict=True)]


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else math.nan


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


def by_ifd(
    examples: Sequence[Example],
    values: Sequence[float],
    size: int,
    *,
    most_deviations: float = MOST_DEVIATIONS,
) -> ChosenExamples:
    """Select the `size` examples with the highest IFD, excluding those above 1 and outliers.

    Args:
        values: the result of `ifd`.
        most_deviations: an example further than this many standard deviations from its set's mean
            (Themis: its scenario's mean) is an outlier; mean and deviation exclude values above 1.
    """
    _check(size)
    dropped: Counter[str] = Counter()
    by_set: dict[str, list[int]] = {}
    for number, (example, value) in enumerate(zip(examples, values, strict=True)):
        if math.isnan(value):
            dropped["no loss to compare"] += 1
        elif value > 1:
            dropped["the prompt does not help (IFD above 1)"] += 1
        else:
            by_set.setdefault(example.set, []).append(number)
    kept: list[int] = []
    for numbers in by_set.values():
        own = np.array([values[n] for n in numbers])
        deviation = float(own.std())
        for number in numbers:
            far = abs(values[number] - float(own.mean()))
            if deviation > 0 and far > most_deviations * deviation:
                dropped["an outlier of its set"] += 1
            else:
                kept.append(number)
    kept.sort(key=lambda n: (-values[n], n))
    return ChosenExamples(kept[:size], list(values), dropped)


# Difficulty, diversity, dependability


def upd(losses: TokenLosses, vocabulary: int) -> float:
    """Return the difficulty in 0..1: mean over tokens of sigmoid(loss) * max(0, 1 - entropy / log
    V).

    It is high if the model is confident and wrong; high-entropy tokens count little (D3's
    uncertainty-based prediction difficulty).

    Raises:
        SetupError: the losses have no entropies.
    """
    if losses.entropy is None:
        raise SetupError("difficulty needs the entropy of each guess, and the model gave none")
    if not losses.nll.size:
        return 0.0
    sure = np.maximum(0.0, 1 - losses.entropy / math.log(vocabulary))
    return float(np.mean(sure / (1 + np.exp(-losses.nll))))


def dependability(example: Example) -> float:
    """Return the annotators' agreement on the label, in 0..1; 1 means that one level has all votes.

    D3 asks a large model instead; here the settled level's share of the votes is the substitute.
    """
    if example.soft is None or example.labels is None:
        return 1.0
    return max(example.soft)


def d3(
    difficulty: Sequence[float], embeddings: Floats, trust: Sequence[float], size: int
) -> ChosenExamples:
    """Greedy k-centre: maximize distance to the selected examples times difficulty times trust.

    Args:
        difficulty: `upd` of each example.
        embeddings: shape (examples, dimensions); compared by cosine distance.
        trust: `dependability` of each example.

    Returns:
        At most `size` examples; duplicates of a selected example and examples without merit are
        never selected.
    """
    _check(size)
    merit = np.asarray(difficulty, dtype=np.float64) * np.asarray(trust, dtype=np.float64)
    if len(merit) != len(embeddings):
        raise SetupError(f"{len(merit)} examples and {len(embeddings)} embeddings")
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = embeddings / np.where(lengths > 0, lengths, 1.0)
    distance = np.ones(len(merit))
    chosen: list[int] = []
    while len(chosen) < min(size, len(merit)):
        worth = distance * merit
        best = int(np.argmax(worth))
        if worth[best] <= 1e-12:
            break
        chosen.append(best)
        # 1 - cosine; the first example is selected on merit alone.
        distance = np.minimum(distance, np.maximum(0.0, 1 - unit @ unit[best]))
        distance[best] = 0.0
    return ChosenExamples(chosen, merit.tolist())


def _check(size: int) -> None:
    if size < 1:
        raise SetupError(f"a selection of {size} examples", hint="use 1 or more")
