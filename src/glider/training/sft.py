"""Supervised training: the score by its distribution, the text by its tokens.

    L = w_score * mean over score tokens of CE(soft target)
      + w_text  * mean over the other answer tokens of CE(token)

Both means are over a whole update, weighted by the examples' weights, however many passes and
processes it is made of; so what fits into memory does not change what is learnt.

Only positions that are learnt are put through the output layer. Of a bare score that is one in
some six hundred, and for a small model the output layer is a fifth of the arithmetic and most of
the memory. Right padding needs no mask: a causal model never looks to the right.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

from glider.core.errors import SetupError
from glider.training.batches import Row, padded
from glider.training.benched import LEAST, Bench, Told
from glider.training.recipe import SftStage
from glider.training.tokens import Encoded

_ROWS = {"cpu": 512}
"""Positions whose logits are held at once (of 49,152 tokens in fp32: 100 MB)."""
_OWN_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


@dataclass(frozen=True, slots=True)
class Totals:
    """Weight of all score tokens and of all other answer tokens in an update."""

    score: float
    text: float

    @classmethod
    def of(cls, examples: Iterable[Encoded], stage: SftStage) -> "Totals":
        """Sum over the examples of an update, those of other processes too."""
        score = text = 0.0
        for example in examples:
            n = len(example.ids) - example.n_prompt
            n_score = _n_score(example, stage)
            score += example.weight * n_score
            text += example.weight * (n - n_score)
        return cls(score, text)


def _n_score(example: Encoded, stage: SftStage) -> int:
    if example.score is None or stage.score_weight is None:
        return 0
    return example.score.end - example.score.start


def collate(
    rows: Sequence[Row],
    examples: Sequence[Encoded],
    stage: SftStage,
    totals: Totals,
    *,
    pad_id: int,
) -> dict[str, Any]:
    """One pass as tensors.

    Returns:
        `model`: input_ids (rows, width); positions (2, n), the row and column of each hidden state
        that predicts a learnt token; targets (n, k), token ids. `probs` (n, k) are their shares,
        `share` (n,) is what a position's cross-entropy counts in the update's loss, `scored` (n,)
        tells score from text.
    """
    import torch

    width = padded(max(len(examples[row.index]) for row in rows))
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    where: list[tuple[int, int]] = []
    targets: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
    shares: list[float] = []
    scored: list[bool] = []
    for number, row in enumerate(rows):
        example = examples[row.index]
        ids[number, : len(example)] = torch.tensor(example.ids)
        weight = example.weight if row.counts else 0.0
        for index, is_score in example.learnt():
            where.append((number, index - 1))
            place = example.score
            if is_score and place is not None and place.label_ids:
                targets.append((place.label_ids, place.probs))
            else:
                targets.append(((example.ids[index],), (1.0,)))
            counted_as_score = is_score and stage.score_weight is not None
            scored.append(counted_as_score)
            if counted_as_score:
                shares.append((stage.score_weight or 0.0) * weight / (totals.score or 1.0))
            else:
                shares.append(stage.text_weight * weight / (totals.text or 1.0))
    k = max(len(tokens) for tokens, _ in targets)
    return {
        "model": {
            "input_ids": ids,
            "positions": torch.tensor(where).T,
            "targets": torch.tensor([t + (t[0],) * (k - len(t)) for t, _ in targets]),
        },
        "probs": torch.tensor([p + (0.0,) * (k - len(p)) for _, p in targets]),
        "share": torch.tensor(shares),
        "scored": torch.tensor(scored),
    }


def read_only_learnt(model: Any) -> None:
    """Teach a causal model to answer `positions` and `targets`, without all other logits.

    Then `model(input_ids=..., positions=..., targets=...)` gives `normalizer` (n,), the log of the
    sum of exponentials of all logits, and `logits` (n, k), those of the targets; both in fp32.
    Without `positions` it is the model it was.

    Raises:
        SetupError: the model does something to its logits that would be left out here.
    """
    config = model.config.get_text_config()
    for name in _OWN_LOGITS:
        if getattr(config, name, None) not in (None, 1.0):
            raise SetupError(f"models with {name} are not trained here: their logits are rescaled")
    plain = model.forward

    def forward(
        self: Any, *args: Any, positions: Any = None, targets: Any = None, **options: Any
    ) -> Any:
        if positions is None:
            return plain(*args, **options)
        states = self.base_model(*args, use_cache=False, **options).last_hidden_state
        rows, columns = positions
        normalizer, logits = _read(states[rows, columns], self.get_output_embeddings(), targets)
        return {"normalizer": normalizer, "logits": logits}

    model.forward = MethodType(forward, model)


def _read(states: Any, head: Any, targets: Any) -> tuple[Any, Any]:
    import torch
    from torch.utils.checkpoint import checkpoint

    def read(states: Any, targets: Any) -> tuple[Any, Any]:
        # As exact as the weights are: in bf16 a logit of 20 is known to 0.1 only, and a score's
        # expectation with it.
        with torch.autocast(states.device.type, enabled=False):
            logits = head(states.to(head.weight.dtype)).float()
        return logits.logsumexp(-1), logits.gather(1, targets)

    most = _ROWS.get(states.device.type, 4096)
    if len(states) <= most:
        return read(states, targets)
    parts = [
        checkpoint(read, some, of_them, use_reentrant=False)
        for some, of_them in zip(states.split(most), targets.split(most), strict=True)
    ]
    normalizers, logits = zip(*parts, strict=True)
    return torch.cat(normalizers), torch.cat(logits)


def cross_entropies(output: dict[str, Any], one: dict[str, Any]) -> Any:
    """Cross-entropy at each learnt position against its target distribution, shape (n,), nats."""
    return output["normalizer"] - (output["logits"] * one["probs"]).sum(-1)


# How good is it


@dataclass(frozen=True, slots=True)
class Measured:
    """What one example of the development part came to."""

    set: str
    score_loss: float | None
    text_loss: float
    """Sum over text tokens."""
    n_text: int
    expected: float | None = None
    """Of the probabilities of the labels alone, 0 to 1; None where no score is read first."""
    gold: float | None = None
    right: bool | None = None
    """The likeliest label is the likeliest of people."""
    id: str = ""
    likeliest: float = 0.0
    """The likeliest label, on the scale of `expected`."""


def measure(
    one: dict[str, Any], output: dict[str, Any], rows: Sequence[Row], examples: Sequence[Encoded]
) -> list[Measured]:
    """Each example of a pass, from the very logits that serving would read."""
    losses = cross_entropies(output, one).tolist()
    scored = one["scored"].tolist()
    numbers = one["model"]["positions"][0].tolist()
    columns = one["model"]["positions"][1].tolist()
    found = []
    for number, row in enumerate(rows):
        if not row.counts:
            continue
        example = examples[row.index]
        mine = [n for n, of in enumerate(numbers) if of == number]
        of_score = [losses[n] for n in mine if scored[n]]
        of_text = [losses[n] for n in mine if not scored[n]]
        expected = gold = right = None
        likeliest = 0.0
        if example.score_first and example.score is not None and example.score.label_ids:
            at = next(n for n in mine if columns[n] == example.score.start - 1)
            k = len(example.score.label_ids)
            probs = output["logits"][at, :k].softmax(-1).tolist()
            expected, gold = mean_level(probs), mean_level(example.score.probs)
            best = max(range(k), key=probs.__getitem__)
            right = best == max(range(k), key=example.score.probs.__getitem__)
            likeliest = best / (k - 1)
        found.append(
            Measured(
                set=example.set,
                score_loss=sum(of_score) / len(of_score) if of_score else None,
                text_loss=sum(of_text),
                n_text=len(of_text),
                expected=expected,
                gold=gold,
                right=right,
                id=example.id,
                likeliest=likeliest,
            )
        )
    return found


def mean_level(probs: Sequence[float]) -> float:
    """Where a distribution over levels has its mean: 0 the lowest level, 1 the highest."""
    return sum(n * p for n, p in enumerate(probs)) / (len(probs) - 1)


def figures(
    measured: Sequence[Measured], stage: SftStage, bench: Bench | None = None
) -> dict[str, float]:
    """Loss as in training, and agreement with people: the mean over sets, each as it counts alone.

    With a `bench` also what `glider bench` would say of the same answers.

    A set whose predictions do not vary has a correlation of 0 here: it tells nothing. `pearson` is
    there only where some set has 20 items or more whose labels vary.
    """
    scores = [m.score_loss for m in measured if m.score_loss is not None]
    n_text = sum(m.n_text for m in measured)
    found: dict[str, float] = {"examples": len(measured)}
    loss = 0.0
    if scores:
        found["score_loss"] = sum(scores) / len(scores)
        loss += (stage.score_weight or 0.0) * found["score_loss"]
    if n_text:
        found["text_loss"] = sum(m.text_loss for m in measured) / n_text
        loss += stage.text_weight * found["text_loss"]
    found["loss"] = loss
    sets: dict[str, list[Measured]] = defaultdict(list)
    for one in measured:
        if one.expected is not None:
            sets[one.set].append(one)
    if sets:
        rates = [sum(bool(m.right) for m in items) / len(items) for items in sets.values()]
        found["accuracy"] = sum(rates) / len(rates)
    enough = [items for items in sets.values() if correlates(items)]
    if enough:
        found["pearson"] = sum(map(_pearson, enough)) / len(enough)
    if bench is not None:
        told = {m.id: Told(m.expected, m.likeliest) for m in measured if m.expected is not None}
        if (mean := bench.mean(told)) is not None:
            found["bench"] = mean
    return found


def correlates(items: Sequence[Any]) -> bool:
    """There are enough items with a `gold`, and it varies."""
    return len(items) >= LEAST and len({round(item.gold, 6) for item in items}) > 1


def _pearson(items: Sequence[Measured]) -> float:
    from glider.stats.correlation import pearson
    from glider.stats.estimates import Degenerate

    try:
        r = pearson([m.expected or 0.0 for m in items], [m.gold or 0.0 for m in items])
    except Degenerate:
        return 0.0
    return float(r) if math.isfinite(r) else 0.0
