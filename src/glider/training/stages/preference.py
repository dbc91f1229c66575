"""Preference training with TRL's losses over pairs of answers to one prompt.

With r = log pi(answer) - log ref(answer), summed over the answer's tokens, and s the logistic
function (APO: arXiv 2408.06266, equations 7 and 8):

    apo_zero = 1 - s(beta r_chosen) + s(beta r_rejected)               1 while policy = reference
    apo_down = s(beta r_chosen) + 1 - s(beta (r_chosen - r_rejected))
    sigmoid  = -log s(beta (r_chosen - r_rejected))                    DPO
    sft      = mean over the chosen answers' tokens of CE

The first three are means over the pairs of an update, `sft` is a mean over its chosen tokens; both
are weighted by the pairs' weights. Each pass counts in proportion to its share of these totals,
however an update is split into passes. TRL takes plain means over a pass, so only pairs of equal
weight share one.

The reference is the model that the stage starts from. With a new adapter, it is the model with the
adapter disabled; when training continues an existing adapter, a frozen copy of that adapter; in
full fine-tuning, a second copy of the model.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from glider.training.stages.base import Positive, Stage, Trl

if TYPE_CHECKING:
    from glider.corpus.examples import Preference
    from glider.training.batches import BatchRow
    from glider.training.tokens import Coder, EncodedPair
    from glider.training.trainer import StageTrainer

Loss = Literal["apo_zero", "apo_down", "sigmoid", "sft"]


@dataclass(frozen=True, slots=True)
class Totals:
    """Weighted totals of an update or of a development split."""

    pairs: float
    chosen_tokens: float

    @classmethod
    def of(cls, pairs: "Iterable[EncodedPair]") -> "Totals":
        """Sum the pairs and the tokens of their chosen answers."""
        counted = [(pair.weight, pair.weight * len(pair.chosen_ids)) for pair in pairs]
        return cls(sum(weight for weight, _ in counted), sum(tokens for _, tokens in counted))


class PreferenceStage(Stage):
    """Learn which of two answers is better (APO: 2408.06266)."""

    sequences: ClassVar = 2
    reference_sequences: ClassVar = 2
    metrics: ClassVar = ("accuracy", "loss")
    learns_scores: ClassVar = False
    made_by: ClassVar = (
        "`glider rationalize` makes it of a judge's own answers, `glider data --preferences` of "
        "pairs you have; give that folder with a further --data"
    )

    kind: Literal["preference"]
    """TRL's DPOTrainer with the losses below."""
    train: str = "preferences-train.jsonl.gz"
    """File of preferences in the data folder."""
    dev: str | None = "preferences-dev.jsonl.gz"
    """File to measure on, not trained on; null for none."""
    loss: tuple[Loss, ...] = ("apo_zero", "sft")
    """Summed with `loss_weights`. apo_zero: chosen is better than what the model writes now;
    apo_down: it is worse; sigmoid: DPO; sft: cross-entropy of chosen, mean over an update's tokens.
    GLIDER: apo_zero with sft (its script's rpo_alpha=1)."""
    loss_weights: tuple[float, ...] = (1.0, 1.0)
    """One per loss. GLIDER: 1 and 1."""
    beta: Positive = 0.1
    """Pull towards the reference: larger stays nearer. GLIDER: 0.1."""

    @model_validator(mode="after")
    def _one_weight_each(self) -> "PreferenceStage":
        if len(self.loss) != len(self.loss_weights):
            raise ValueError(f"{len(self.loss)} losses, {len(self.loss_weights)} loss_weights")
        return self

    # Data

    def read(self, path: Path) -> "Iterable[Preference]":
        from glider.corpus.examples import read_preferences

        return read_preferences(path)

    def encode(self, coder: "Coder", record: "Preference") -> "EncodedPair":
        return coder.preference(record)

    def share_a_pass(self, encoded: "EncodedPair") -> float:
        return encoded.weight

    # Training

    def trl(self) -> Trl:
        from trl import DPOConfig, DPOTrainer

        read_only_answers()
        options = {
            "loss_type": list(self.loss),
            "loss_weights": list(self.loss_weights),
            "beta": self.beta,
        }
        return Trl(DPOTrainer, DPOConfig, options)

    def totals(self, examples: "Iterable[EncodedPair]") -> Totals:
        return Totals.of(examples)

    def collate(
        self,
        rows: "Sequence[BatchRow]",
        examples: "Sequence[EncodedPair]",
        totals: Totals,
        *,
        pad_id: int,
    ) -> dict[str, Any]:
        """Collate one pass as TRL's collator does: all chosen answers, then all rejected.

        Returns:
            `model`, and the pass's shares of the totals: `share` of the pairs and `sft_share` of
            the chosen tokens.
        """
        import torch

        from glider.training.batches import padded

        mine = [examples[row.index] for row in rows]
        sequences = [(len(pair.prompt_ids), pair.prompt_ids + pair.chosen_ids) for pair in mine]
        sequences += [(len(pair.prompt_ids), pair.prompt_ids + pair.rejected_ids) for pair in mine]
        width = padded(max(len(ids) for _, ids in sequences))
        input_ids = torch.full((len(sequences), width), pad_id, dtype=torch.long)
        attention, answer = torch.zeros_like(input_ids), torch.zeros_like(input_ids)
        for number, (n_prompt, ids) in enumerate(sequences):
            input_ids[number, : len(ids)] = torch.tensor(ids)
            attention[number, : len(ids)] = 1
            answer[number, n_prompt : len(ids)] = 1
        counted = Totals.of(examples[row.index] for row in rows if row.counts)
        return {
            "model": {
                "input_ids": input_ids,
                "attention_mask": attention,
                "completion_mask": answer,
            },
            "share": counted.pairs / totals.pairs,
            "sft_share": counted.chosen_tokens / totals.chosen_tokens,
        }

    def pass_loss(self, trainer: "StageTrainer", model: Any, one: dict[str, Any]) -> Any:
        loss = self._counted_loss(trainer, model, one)
        of_passes = trainer.trl_metrics("train")
        # Move each pass's mean from the trainer's lists to `parts`, weighted by the pass's share.
        for name, kept in (("accuracy", "rewards/accuracies"), ("margin", "rewards/margins")):
            values = of_passes.pop(kept, None)
            if values:
                # TRL's figure is already the mean over processes.
                trainer.parts[name] += values[-1] * one["share"]
        of_passes.clear()
        return loss

    def _counted_loss(self, trainer: "StageTrainer", model: Any, one: dict[str, Any]) -> Any:
        """Compute the loss of a pass, each term weighted by the pass's share of the update."""
        share = one["share"]
        by_tokens = one["sft_share"] / share if share else 0.0
        trainer.loss_weights = [
            weight * by_tokens if loss == "sft" else weight
            for loss, weight in zip(self.loss, self.loss_weights, strict=True)
        ]
        return trainer.compute_loss(model, one["model"]) * share

    def figures(self, trainer: "StageTrainer", model: Any) -> dict[str, float]:
        import torch

        totals = Totals.of(trainer.work.dev)
        found = dict.fromkeys(("loss", "accuracy", "margin"), 0.0)
        of_passes = trainer.trl_metrics("eval")
        of_passes.clear()
        for _, one in trainer.development_passes(totals):
            found["loss"] += float(self._counted_loss(trainer, model, one))
            found["accuracy"] += of_passes["rewards/accuracies"][-1] * one["share"]
            found["margin"] += of_passes["rewards/margins"][-1] * one["share"]
        sums = torch.tensor(list(found.values()), device=trainer.args.device)
        if trainer.accelerator.num_processes > 1:
            sums = trainer.accelerator.reduce(sums, reduction="sum")
        found = dict(zip(found, sums.tolist(), strict=True))
        return {"examples": len(trainer.work.dev), **found}


def read_only_answers() -> None:
    """Make TRL apply the output layer only at the answers' positions, also on CPUs.

    TRL does so on GPUs and computes every position elsewhere (1.16: `_use_triton` in
    `trl.trainer.utils` decides). On a CPU with a vocabulary of 49,152 tokens, that costs more than
    the rest of the model.
    """
    from trl.trainer import utils

    if hasattr(utils, "_use_triton"):
        utils._use_triton = lambda _device: True
