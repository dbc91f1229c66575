"""Preference training: TRL's own losses over pairs of answers to one prompt.

With r = log pi(answer) - log ref(answer), summed over the answer's tokens, and s the logistic
function (recipes.md 2, APO's equations 7 and 8):

    apo_zero = 1 - s(beta r_chosen) + s(beta r_rejected)               1 while policy = reference
    apo_down = s(beta r_chosen) + 1 - s(beta (r_chosen - r_rejected))
    sigmoid  = -log s(beta (r_chosen - r_rejected))                    DPO
    sft      = mean over the chosen answers' tokens of CE

The first three are means over the pairs of an update, `sft` is one over its chosen tokens: however
an update is cut into passes, each of them counts by its part of the one and of the other.

The reference is the model the stage started from. A new adapter switched off is that model; an
adapter that is trained on has a frozen copy beside it; a model trained whole is loaded twice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from glider.training.batches import Row, padded
from glider.training.tokens import EncodedPair


@dataclass(frozen=True, slots=True)
class Totals:
    """What an update, or a development part, is made of."""

    pairs: int
    chosen_tokens: int

    @classmethod
    def of(cls, pairs: Iterable[EncodedPair]) -> "Totals":
        """Count them, those of other processes too."""
        lengths = [len(pair.chosen_ids) for pair in pairs]
        return cls(len(lengths), sum(lengths))


def collate(
    rows: Sequence[Row], pairs: Sequence[EncodedPair], totals: Totals, *, pad_id: int
) -> dict[str, Any]:
    """One pass as TRL's collator makes it: all chosen answers, then all rejected.

    Returns:
        `model`, and what the pass counts of the totals: `share` of the pairs, and `sft_share` of
        the chosen tokens.
    """
    import torch

    mine = [pairs[row.index] for row in rows]
    sequences = [(len(pair.prompt_ids), pair.prompt_ids + pair.chosen_ids) for pair in mine]
    sequences += [(len(pair.prompt_ids), pair.prompt_ids + pair.rejected_ids) for pair in mine]
    width = padded(max(len(ids) for _, ids in sequences))
    input_ids = torch.full((len(sequences), width), pad_id, dtype=torch.long)
    attention, answer = torch.zeros_like(input_ids), torch.zeros_like(input_ids)
    for number, (n_prompt, ids) in enumerate(sequences):
        input_ids[number, : len(ids)] = torch.tensor(ids)
        attention[number, : len(ids)] = 1
        answer[number, n_prompt : len(ids)] = 1
    model = {"input_ids": input_ids, "attention_mask": attention, "completion_mask": answer}
    counted = Totals.of(pairs[row.index] for row in rows if row.counts)
    return {
        "model": model,
        "share": counted.pairs / totals.pairs,
        "sft_share": counted.chosen_tokens / totals.chosen_tokens,
    }


def read_only_answers() -> None:
    """Have TRL put only the answers' positions through the output layer on processors too.

    It does so on graphics cards and computes every position elsewhere (1.16: `_use_triton` in
    `trl.trainer.utils` decides). On a processor with 49,152 tokens in the vocabulary that costs
    more than the model itself.
    """
    from trl.trainer import utils

    if hasattr(utils, "_use_triton"):
        utils._use_triton = lambda _device: True
