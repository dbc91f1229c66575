"""Supervised training: cross-entropy on the score's distribution and on text tokens.

    L = w_score * mean over score tokens of CE(soft target)
      + w_text  * mean over the other answer tokens of CE(token)

Both means are taken over a whole update and weighted by the examples' weights, regardless of the
number of passes and processes. Memory limits therefore do not change the result.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from glider.core.errors import SetupError
from glider.training.stages.base import LearntTokens, Stage, Trl

if TYPE_CHECKING:
    from glider.corpus.examples import Example
    from glider.training.batches import BatchRow
    from glider.training.tokens import Coder, Encoded
    from glider.training.trainer import StageTrainer


@dataclass(frozen=True, slots=True)
class Totals:
    """Total weights of score tokens and of other answer tokens in an update."""

    score: float
    text: float


class SftStage(Stage):
    """Learn the answers that examples give; the score with its own weight and a soft label."""

    metrics: ClassVar = ("loss", "bench", "pearson", "accuracy")
    learns_scores: ClassVar = True
    made_by: ClassVar = "`glider data` makes it"

    kind: Literal["sft"]
    """Supervised fine-tuning."""
    train: str = "train.jsonl.gz"
    """File of examples in the data folder, made by `glider data`."""
    dev: str | None = "dev.jsonl.gz"
    """File to measure on, not trained on; null for none."""
    score_weight: float | None = Field(default=1.0, ge=0)
    """w_score of L = w_score CE(score) + w_text CE(text), each a mean over its tokens in the
    update. Null: the score's token is one of the text's, and L is the plain mean over the answer,
    as TRL and GLIDER have it."""
    text_weight: float = Field(default=1.0, ge=0)
    """w_text of the same (Themis' multi-objective, 2502.02988, has exact cross-entropy on scores
    beside a softer one on text)."""
    soft: bool = True
    """Learn the annotators' distribution over levels where an example has one, not its mode."""

    @model_validator(mode="after")
    def _learns(self) -> "SftStage":
        if not (self.score_weight is None or self.score_weight) and not self.text_weight:
            raise ValueError("score_weight and text_weight cannot both be 0")
        return self

    # Data

    def read(self, path: Path) -> "Iterable[Example]":
        from glider.corpus.examples import read_examples

        return read_examples(path)

    def encode(self, coder: "Coder", record: "Example") -> "Encoded":
        return coder.example(record, soft=self.soft)

    def check_development(self, name: str, dev: "Sequence[Encoded]") -> None:
        from glider.training.agreement import correlates, mean_level

        metric = self.evaluate.metric
        if metric in ("loss", "bench"):
            return
        sets: dict[str, list[float]] = defaultdict(list)
        for one in dev:
            if one.score_is_read and one.score is not None:
                sets[one.set].append(mean_level(one.score.probs))
        if not sets or (metric == "pearson" and not any(map(correlates, sets.values()))):
            raise SetupError(
                f"stage {name} is to keep the best {metric}, and its development part "
                "has no set with enough scores at the beginning of an answer",
                hint="set evaluate.metric to loss, or raise evaluate.examples",
            )

    def learnt_tokens(self, coder: "Coder", examples: "Sequence[Encoded]") -> LearntTokens:
        from glider.training.tokens import picture

        kinds = [is_score for one in examples for _, is_score in one.learnt()]
        return LearntTokens(sum(kinds), len(kinds) - sum(kinds), picture(coder, examples[0]))

    # Training

    def trl(self) -> Trl:
        from trl import SFTConfig, SFTTrainer

        return Trl(SFTTrainer, SFTConfig, {"dataset_kwargs": {"skip_prepare_dataset": True}})

    def prepare(self, model: Any) -> None:
        from glider.training.logits import read_only_learnt

        read_only_learnt(model)

    def totals(self, examples: "Iterable[Encoded]") -> Totals:
        score = text = 0.0
        for example in examples:
            n = len(example.ids) - example.n_prompt
            n_score = self._n_score(example)
            score += example.weight * n_score
            text += example.weight * (n - n_score)
        return Totals(score, text)

    def _n_score(self, example: "Encoded") -> int:
        if example.score is None or self.score_weight is None:
            return 0
        return example.score.end - example.score.start

    def collate(
        self,
        rows: "Sequence[BatchRow]",
        examples: "Sequence[Encoded]",
        totals: Totals,
        *,
        pad_id: int,
    ) -> dict[str, Any]:
        """Collate one pass into tensors.

        Returns:
            `model` and `probs` as in `learnt_positions`; `share` (n,), the weight of each
            position's cross-entropy in the update's loss; `scored` (n,), which marks score
            tokens.
        """
        import torch

        from glider.training.logits import learnt_positions

        one = learnt_positions(rows, examples, pad_id=pad_id)
        scored = [is_score and self.score_weight is not None for is_score in one.pop("of_score")]
        share = [
            (self.score_weight or 0.0) * weight / (totals.score or 1.0)
            if is_score
            else self.text_weight * weight / (totals.text or 1.0)
            for is_score, weight in zip(scored, one.pop("weights"), strict=True)
        ]
        return {**one, "share": torch.tensor(share), "scored": torch.tensor(scored)}

    def pass_loss(self, trainer: "StageTrainer", model: Any, one: dict[str, Any]) -> Any:
        from glider.training.logits import cross_entropies

        losses = cross_entropies(model(**one["model"]), one) * one["share"]
        if self.score_weight:
            of_scores = float(losses[one["scored"]].detach().sum())
            trainer.parts["score_loss"] += of_scores / self.score_weight
        return losses.sum()

    def figures(self, trainer: "StageTrainer", model: Any) -> dict[str, float]:
        from accelerate.utils import gather_object

        from glider.training.agreement import ExampleResult, figures, measure

        work = trainer.work
        measured: list[ExampleResult] = []
        for rows, one in trainer.development_passes(Totals(1, 1)):
            measured += measure(one, model(**one["model"]), rows, work.dev)
        return figures(
            gather_object(measured),
            score_weight=self.score_weight or 0.0,
            text_weight=self.text_weight,
            bench=work.bench,
        )
