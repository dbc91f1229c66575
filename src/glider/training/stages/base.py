"""The interface of a training stage: settings, reading, encoding, loss and evaluation.

To add a kind, copy `sft.py`: subclass `Stage` and list the class in `STAGES`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from glider.corpus.examples import Prompted
    from glider.training.batches import BatchRow
    from glider.training.tokens import Coder
    from glider.training.trainer import StageTrainer

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class RecipePart(BaseModel):
    """Settings of a recipe; the sentence below each is what docs/training.md says of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Evaluate(RecipePart):
    """Measure on examples that are not trained on, keep the best, stop when it gets no better."""

    every: Count = 100
    """Updates from one measurement to the next; the first is before any update."""
    examples: Count = 256
    """How many of the development part, drawn once with the recipe's seed."""
    metric: Literal["loss", "bench", "pearson", "accuracy"] = "loss"
    """What is best. `bench`: as `glider bench` has it, each set's own metric between random (0) and
    perfect (1), the mean over sets. `pearson`, `accuracy`: of the score read where serving reads
    it, the mean over sets. A preference stage has `loss`, and `accuracy`: chosen above rejected."""
    patience: int = Field(default=0, ge=0)
    """Measurements in a row without a new best after which the stage ends; 0 never ends it."""


class Checkpoint(RecipePart):
    """What a killed training resumes from."""

    every: Count = 100
    """Updates from one to the next; also at each new best and at the end."""
    keep: Count = 2
    """How many of the newest stay; the best one stays too."""


class Trl(NamedTuple):
    """The parts of TRL that a stage uses."""

    trainer: Any
    """The trainer's class."""
    config: Any
    """The class of the trainer's arguments."""
    options: dict[str, Any]
    """Additional arguments for this kind of stage."""


class LearntTokens(NamedTuple):
    """The trained tokens of some examples, for `glider train --dry-run`."""

    score: int
    """Number of score tokens."""
    text: int
    """Number of other answer tokens."""
    picture: str
    """Rendering of the first example: prompt, score tokens and text tokens."""


class Stage(RecipePart, ABC):
    """One stage of a training. `encode` makes what the model reads; all else works on that."""

    sequences: ClassVar[int] = 1
    """Sequences that the model reads of one example."""
    reference_sequences: ClassVar[int] = 0
    """Sequences of one example that a frozen reference model reads too."""
    metrics: ClassVar[tuple[str, ...]]
    """What `evaluate.metric` may be."""
    learns_scores: ClassVar[bool]
    """It teaches which score to give, as tail-patch and tune need."""
    made_by: ClassVar[str]
    """Which command makes its file of examples."""

    kind: str
    """Which kind of stage it is; the tables below have what only one kind knows."""
    train: str
    """File of examples in the data folder."""
    dev: str | None
    """File to measure on, not trained on; null for none."""
    limit: Count | None = None
    """Train on this many, drawn with the recipe's seed; null for all."""
    epochs: Positive = 1.0
    """Times each example is seen. GLIDER: 1 in both stages (script)."""
    learning_rate: Positive
    """Peak, after the warmup. GLIDER: 5e-5 for sft, 5e-7 for apo_zero (paper and script)."""
    batch: Count = 32
    """Examples of one update, over all processes. It decides the result."""
    batch_tokens: Count = 4096
    """Most tokens of one pass in one process, padding and both answers of a pair included. It
    decides memory and speed, not the result: an update is made of as many passes as it needs."""
    schedule: Literal["cosine", "linear", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after the warmup. GLIDER: cosine."""
    warmup: Share = 0.03
    """Share of the updates in which the rate rises. GLIDER: 0.03 for sft, 0.05 for apo_zero."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's, of the matrices. GLIDER: 0.01 for sft (script)."""
    max_grad_norm: Positive = 1.0
    """Longer gradients are cut to this length. GLIDER: 1.0 (script)."""
    evaluate: Evaluate = Evaluate()
    checkpoint: Checkpoint = Checkpoint()

    @model_validator(mode="after")
    def _is_measured(self) -> "Stage":
        if self.evaluate.metric not in self.metrics:
            raise ValueError(
                f"a {self.kind} stage has no {self.evaluate.metric}; "
                f"take {' or '.join(self.metrics)}"
            )
        return self

    # Data (no torch)

    @abstractmethod
    def read(self, path: Path) -> "Iterable[Prompted]":
        """Read the records of a file.

        Raises:
            DataError: the file is missing, damaged or of another kind.
        """

    @abstractmethod
    def encode(self, coder: "Coder", record: Any) -> Any:
        """Encode a record as token ids; its `len` is the length of the longest sequence in tokens.

        Raises:
            NoLabelTokens, SetupError: as for the coder.
        """

    def share_a_pass(self, encoded: Any) -> float:
        """Return a key; only examples with equal keys share a forward pass."""
        return 0.0

    def check_development(self, name: str, dev: Sequence[Any]) -> None:
        """Check that the development split can give the metric that selects the best update.

        Raises:
            SetupError: the metric cannot be computed.
        """

    def learnt_tokens(self, coder: "Coder", examples: Sequence[Any]) -> LearntTokens:
        """Count the trained tokens of the examples."""
        return LearntTokens(0, 0, "")

    # Training (needs torch)

    @abstractmethod
    def trl(self) -> Trl:
        """Return the TRL trainer that this kind of stage builds on."""

    def prepare(self, model: Any) -> None:
        """Modify the model before training, before any adapter is added.

        Raises:
            SetupError: this kind of stage cannot train the model.
        """

    @abstractmethod
    def totals(self, examples: Iterable[Any]) -> Any:
        """Return an update's totals over all processes, which its means divide by."""

    @abstractmethod
    def collate(
        self, rows: "Sequence[BatchRow]", examples: Sequence[Any], totals: Any, *, pad_id: int
    ) -> dict[str, Any]:
        """Collate one pass into tensors; `model` holds the model's arguments."""

    @abstractmethod
    def pass_loss(self, trainer: "StageTrainer", model: Any, one: dict[str, Any]) -> Any:
        """Return a pass's contribution to the loss of its update, as a scalar tensor.

        Add further metrics of the update to `trainer.parts`.
        """

    @abstractmethod
    def figures(self, trainer: "StageTrainer", model: Any) -> dict[str, float]:
        """Compute the metrics over the development split; the same in every process."""
