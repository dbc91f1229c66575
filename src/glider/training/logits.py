"""Compute logits at trained positions only, not at every position.

With bare scores, about one position in six hundred is trained, and in a small model the output
layer takes a fifth of the arithmetic and most of the memory. Right padding needs no mask, because a
causal model never attends to the right.
"""

from collections.abc import Sequence
from types import MethodType
from typing import Any

from glider.core.errors import SetupError
from glider.training.batches import BatchRow, padded
from glider.training.tokens import Encoded

_AT_ONCE = {"cpu": 512}
"""Positions whose logits are computed at once (512 positions of 49,152 tokens in fp32: 100 MB)."""
_OWN_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")


def learnt_positions(
    rows: Sequence[BatchRow], examples: Sequence[Encoded], *, pad_id: int
) -> dict[str, Any]:
    """Return one pass as tensors, with the positions and targets to train.

    Returns:
        `model`: input_ids (rows, width); positions (2, n), the row and column of each hidden state
        that predicts a trained token; targets (n, k), token ids. `probs` (n, k) are the targets'
        probabilities. Lists of length n: `of_score` marks score tokens, `weights` holds the weights
        of the examples.
    """
    import torch

    width = padded(max(len(examples[row.index]) for row in rows))
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    where: list[tuple[int, int]] = []
    targets: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
    of_score: list[bool] = []
    weights: list[float] = []
    for number, row in enumerate(rows):
        example = examples[row.index]
        ids[number, : len(example)] = torch.tensor(example.ids)
        for index, is_score in example.learnt():
            where.append((number, index - 1))
            place = example.score
            if is_score and place is not None and place.label_ids:
                targets.append((place.label_ids, place.probs))
            else:
                targets.append(((example.ids[index],), (1.0,)))
            of_score.append(is_score)
            weights.append(example.weight if row.counts else 0.0)
    k = max(len(tokens) for tokens, _ in targets)
    return {
        "model": {
            "input_ids": ids,
            "positions": torch.tensor(where).T,
            "targets": torch.tensor([t + (t[0],) * (k - len(t)) for t, _ in targets]),
        },
        "probs": torch.tensor([p + (0.0,) * (k - len(p)) for _, p in targets]),
        "of_score": of_score,
        "weights": weights,
    }


def read_only_learnt(model: Any) -> None:
    """Patch a causal model to return logits only for `positions` and `targets`.

    `model(input_ids=..., positions=..., targets=...)` then returns `normalizer` (n,), the
    log-sum-exp of all logits, and `logits` (n, k), those of the targets; both in fp32. Without
    `positions` the model behaves as before.

    Raises:
        SetupError: the model transforms its logits in a way that this patch would skip.
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
        # Use the weights' precision: in bf16 a logit of 20 is known only to 0.1, which would carry
        # over to the expected score.
        with torch.autocast(states.device.type, enabled=False):
            logits = head(states.to(head.weight.dtype)).float()
        return logits.logsumexp(-1), logits.gather(1, targets)

    most = _AT_ONCE.get(states.device.type, 4096)
    if len(states) <= most:
        return read(states, targets)
    parts = [
        checkpoint(read, some, of_them, use_reentrant=False)
        for some, of_them in zip(states.split(most), targets.split(most), strict=True)
    ]
    normalizers, logits = zip(*parts, strict=True)
    return torch.cat(normalizers), torch.cat(logits)


def cross_entropies(output: dict[str, Any], one: dict[str, Any]) -> Any:
    """Return the cross-entropy at each trained position to its target, shape (n,), in nats."""
    return output["normalizer"] - (output["logits"] * one["probs"]).sum(-1)
