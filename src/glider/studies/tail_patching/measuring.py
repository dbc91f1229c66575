"""Score the development sets before and after a patch."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from glider.core.base import Frozen
from glider.core.errors import SetupError
from glider.corpus.examples import Example, read_examples
from glider.models.resolve import TorchWeights
from glider.studies.tail_patching.start import PatchStart
from glider.training.agreement import mean_level
from glider.training.recipe import Recipe
from glider.training.tokens import Coder, Encoded


class Score(Frozen):
    """A judge's score for one development example."""

    expected: float
    """Expected level: 0 is the lowest, 1 the highest."""
    loss: float
    """Cross-entropy of the label under the level probabilities, in nats."""
    right: bool


Scores = dict[str, Score]
"""Scores by example."""


@dataclass(frozen=True, slots=True)
class Development:
    """The development examples to measure on, in a fixed order."""

    examples: list[Example]
    encoded: list[Encoded]
    gold: list[float]
    left_out: dict[str, str]
    """Sets that cannot be measured, with the reason."""


def development(
    data: Path, coder: Coder, recipe: Recipe, *, per_set: int, seed: int
) -> Development:
    """Load at most a given number of examples of each set whose answers start with the score.

    Raises:
        DataError: the file is missing or damaged.
        SetupError: no set has a score that can be read.
    """
    sets: dict[str, list[tuple[Example, Encoded]]] = {}
    why: dict[str, str] = {}
    for example in read_examples(data / "dev.jsonl.gz"):
        encoded = coder.example(example)
        if not encoded.score_is_read or encoded.score is None:
            why.setdefault(example.set, "no score is read first in an answer")
        elif encoded.score.end > recipe.max_tokens:
            why.setdefault(example.set, "longer than max_tokens")
        else:
            # An explanation follows the score and does not affect it.
            bare = replace(encoded, ids=encoded.ids[: encoded.score.end])
            sets.setdefault(example.set, []).append((example, bare))
    kept: list[tuple[Example, Encoded]] = []
    for name, pool in sorted(sets.items()):
        n = min(per_set, len(pool))
        kept += Random(f"{seed}:{name}").sample(pool, n)
    if not kept:
        raise SetupError(
            "no score of the development part can be read first in an answer",
            hint="a tail-patch measures score-first judges",
        )
    return Development(
        [example for example, _ in kept],
        [encoded for _, encoded in kept],
        [mean_level(encoded.score.probs) for _, encoded in kept if encoded.score],
        {name: reason for name, reason in why.items() if name not in sets},
    )


def scores(
    base: TorchWeights, start: PatchStart, weights: Path, dev: Development, *, pad_id: int
) -> Scores:
    """Score the development examples with these weights.

    Raises:
        ModelFileError: the weights cannot be loaded.
    """
    import torch

    from glider.training.predict import level_probabilities, load_to_ask

    recipe = start.recipe
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    if (weights / "adapter_config.json").exists():
        model = load_to_ask(base, weights, recipe)
    else:
        model = load_to_ask(TorchWeights(str(weights), base.name, base.revision), None, recipe)
    found: Scores = {}
    read = level_probabilities(model, dev.encoded, recipe, pad_id=pad_id)
    for encoded, probs in zip(dev.encoded, read, strict=True):
        assert encoded.score is not None
        gold = encoded.score.probs
        found[encoded.id] = Score(
            expected=mean_level(probs),
            loss=-sum(g * math.log(max(p, 1e-12)) for g, p in zip(gold, probs, strict=True)),
            right=probs.index(max(probs)) == gold.index(max(gold)),
        )
    return found
