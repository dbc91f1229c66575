"""All errors, as one tree.

GliderError                     every error Glider raises; .hint says what to do about it
├── SetupError                    wrong before any model is asked; a retry cannot help
│   ├── RubricError                 .level: missing, repeated, out of order, no whole number
│   ├── CriterionError              a criterion file that cannot be used
│   ├── UnknownName                 .kind .name .near
│   ├── MissingExtra                .feature .install
│   ├── RecipeError                 .key: a setting that is unknown, or not of its kind
│   ├── NoChatTemplate              the model was not made to be talked to
│   └── NoLabelTokens               .example: its answer has no score where scores are read
├── TaskError                     this sample cannot be judged under this criterion
│   └── MissingField                .field
├── BackendError                  .retryable
│   ├── Unavailable                 retryable: not reachable, overloaded, connection lost
│   ├── ClusterLost                 stops a run: the processes of a cluster end one after the other
│   ├── TimedOut                    retryable: no complete answer before the deadline
│   ├── RateLimited                 retryable; .retry_after_s
│   ├── BadResponse                 retryable: an answer that violates the protocol
│   ├── Refused                     a request that the endpoint will never accept
│   │   └── AccessRefused             stops a run: wrong key, no credit, no such model
│   ├── NoAnswer                    the model's text is empty; it wrote only reasoning
│   ├── Filtered                    the provider's content filter blocked the answer
│   ├── PromptTooLong               .tokens .limit
│   └── BudgetSpent                 the run's cost limit is reached
├── ReadError                     the model's answer cannot be used; .raw_text
│   ├── Truncated                   the answer reached max_tokens
│   ├── MissingPart                 .part: "score", "reasoning", "json"
│   └── ScoreOutsideRubric          .score .allowed
├── DataError                     .path .line
│   ├── BadRecord
│   ├── UnknownSchemaVersion
│   ├── LabelOutsideScale           .label .scale
│   ├── TooFewLabels                .n .needed: for training and measuring
│   ├── OneSidedLabels              .label: all labels are the same
│   ├── EmptySplit                  .split: "train" or "dev"
│   └── LeakedBenchmark             .pairs: all of a file is in a benchmark
├── ModelFileError                a model file that is missing, damaged or cannot be downloaded
└── RunError
    ├── ManifestMismatch            what differs, key by key
    └── TrainingError               a training that cannot continue; saved checkpoints are complete
        ├── NotFinite                 .step: the loss or its gradient is not a number
        ├── OutOfMemory               .step
        └── CannotSave                .step: disk full; the previous checkpoint is untouched

A failed judgment is a value: `Failure.of(error)` keeps the class's `code`. Codes are stable names
that users count and filter by.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from glider.core.judgments import Usage


class GliderError(Exception):
    """Base class of all Glider errors."""

    code: ClassVar[str] = "error"
    retryable: bool = False

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickled as it is: a class's own arguments are not those of the base class.
        return _as_it_was, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


def _as_it_was(
    kind: type[GliderError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> GliderError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class SetupError(GliderError):
    """Wrong before any model is asked."""

    code = "setup"


class RubricError(SetupError):
    """A rubric needs 2 to 11 different levels in rising order."""

    code = "rubric"

    def __init__(self, message: str, *, level: object = None, hint: str | None = None) -> None:
        self.level = level
        """The level at fault, as it was written."""
        super().__init__(message, hint=hint)


class CriterionError(SetupError):
    """A criterion file that cannot be read as a criterion."""

    code = "criterion"


class UnknownName(SetupError):
    """An unknown name; the message suggests the nearest known ones."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Sequence[str], *, hint: str | None = None):
        self.kind, self.name = kind, name
        self.near = tuple(get_close_matches(name, known, n=3, cutoff=0.5))
        meant = "; known"
        if self.near:
            meant = f"; did you mean {' or '.join(map(repr, self.near))}? Known"
        listed = ", ".join(sorted(known)[:12]) + (", ..." if len(known) > 12 else "")
        super().__init__(f"no {kind} called {name!r}{meant}: {listed}", hint=hint)


class MissingExtra(SetupError):
    """An optional package is not installed."""

    code = "missing_extra"

    def __init__(self, feature: str, extra: str) -> None:
        self.feature = feature
        self.install = f"pip install 'glider-judge[{extra}]'"
        super().__init__(f"{feature} needs an optional package", hint=self.install)


class RecipeError(SetupError):
    """A recipe with an unknown setting, or a value of the wrong type."""

    code = "recipe"

    def __init__(self, message: str, *, key: str = "", hint: str | None = None) -> None:
        self.key = key
        super().__init__(message, hint=hint)


class NoChatTemplate(SetupError):
    """A model without a chat template, so it is not a chat model."""

    code = "no_chat_template"

    def __init__(self, model: str) -> None:
        super().__init__(
            f"{model} has no chat template", hint="use the instruction-tuned model of its family"
        )


class NoLabelTokens(SetupError):
    """An example whose answer has no score at the place where scores are read."""

    code = "no_label_tokens"

    def __init__(self, example: str, why: str) -> None:
        self.example = example
        super().__init__(
            f"example {example}: {why}", hint="rebuild the examples with `glider data`"
        )


class TaskError(GliderError):
    """This sample cannot be judged under this criterion."""

    code = "task"


class MissingField(TaskError):
    """The criterion uses a field that the sample does not have."""

    code = "missing_field"

    def __init__(self, criterion: str, field: str, present: Sequence[str]) -> None:
        self.field = field
        super().__init__(
            f"criterion {criterion!r} needs the field {field!r}; "
            f"the sample has {', '.join(present)}",
            hint=None
            if field in ("input", "context", "reference", "output")
            else "braces in a question name a field: input, context, reference, output or your own",
        )


class BackendError(GliderError):
    """The engine or endpoint did not give an answer."""

    code = "backend"
    stops_run: ClassVar[bool] = False
    """Every other request would fail in the same way, so the run stops."""
    usage: "Usage | None" = None
    """What the failed attempts cost, if the endpoint reports it."""


class Unavailable(BackendError):
    """Not reachable, overloaded, or the connection was lost."""

    code = "unavailable"
    retryable = True


class ClusterLost(BackendError):
    """The processes of a cluster end one after the other, or none can begin."""

    code = "cluster_lost"
    stops_run = True


class TimedOut(BackendError):
    """No complete answer before the deadline."""

    code = "timeout"
    retryable = True


class RateLimited(BackendError):
    """The endpoint asked us to wait."""

    code = "rate_limited"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BadResponse(BackendError):
    """The answer violates the protocol: HTML, incomplete JSON, nothing."""

    code = "bad_response"
    retryable = True


class Refused(BackendError):
    """A request that the endpoint will never accept."""

    code = "refused"


class AccessRefused(Refused):
    """Wrong key, no permission, no credit, no such model or address: the same for every row."""

    code = "access_refused"
    stops_run = True


class NoAnswer(BackendError):
    """The text of the answer is empty; the model wrote only reasoning."""

    code = "no_answer"


class Filtered(BackendError):
    """The provider's content filter blocked the answer."""

    code = "filtered"


class PromptTooLong(BackendError):
    """The prompt does not fit the model's context."""

    code = "prompt_too_long"

    def __init__(self, tokens: int | None, limit: int | None, said: str = "") -> None:
        self.tokens, self.limit = tokens, limit
        told = f" (the endpoint says: {said})" if said else ""
        super().__init__(
            f"prompt has {tokens if tokens is not None else 'too many'} tokens; "
            f"the limit is {limit if limit is not None else 'not stated'}{told}",
            hint="shorten the text, use a model with a longer context, or pass --truncate",
        )


class BudgetSpent(BackendError):
    """The run's cost limit is reached; nothing more is asked."""

    code = "budget_spent"


class ReadError(GliderError):
    """The model's answer cannot be used."""

    code = "unreadable"

    def __init__(self, message: str, *, raw_text: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.raw_text = raw_text


class Truncated(ReadError):
    """The answer reached its token limit before it was complete."""

    code = "truncated"


class MissingPart(ReadError):
    """A part of the answer is missing."""

    code = "missing_part"

    def __init__(self, part: str, why: str = "", *, raw_text: str = "") -> None:
        self.part = part
        told = f": {why}" if why else ""
        super().__init__(f"the answer has no readable {part}{told}", raw_text=raw_text)


class ScoreOutsideRubric(ReadError):
    """The model wrote a score the rubric does not have."""

    code = "score_outside_rubric"

    def __init__(self, score: str, allowed: Sequence[int], *, raw_text: str = "") -> None:
        self.score, self.allowed = score, tuple(allowed)
        super().__init__(
            f"the judge answered {score!r}; the rubric allows {', '.join(map(str, allowed))}",
            raw_text=raw_text,
        )


class DataError(GliderError):
    """A user's file that cannot be read."""

    code = "data"

    def __init__(
        self, message: str, *, path: str = "", line: int | None = None, hint: str | None = None
    ) -> None:
        self.path, self.line = path, line
        where = f"{path}:{line}: " if path and line is not None else f"{path}: " if path else ""
        super().__init__(where + message, hint=hint)


class BadRecord(DataError):
    """A row that is not a valid sample; the other rows are still judged."""

    code = "bad_record"


class UnknownSchemaVersion(DataError):
    """Written by a newer version of Glider."""

    code = "schema_version"


class LabelOutsideScale(DataError):
    """A label outside its scale."""

    code = "label_outside_scale"

    def __init__(self, label: float, scale: tuple[float, float]) -> None:
        self.label, self.scale = label, scale
        super().__init__(f"the label {label:g} is not on its scale, {scale[0]:g} to {scale[1]:g}")


class TooFewLabels(DataError):
    """Too few labels, or too few prompts, to train and to measure."""

    code = "too_few_labels"

    def __init__(self, n: int, needed: int, what: str, *, hint: str | None = None) -> None:
        self.n, self.needed = n, needed
        super().__init__(f"{n} {what}; {needed} are needed at least", hint=hint)


class OneSidedLabels(DataError):
    """All labels are the same: nothing can be trained or measured."""

    code = "one_sided_labels"

    def __init__(self, label: float, n: int) -> None:
        self.label = label
        super().__init__(f"each of the {n} labels is {label:g}, so there is nothing to learn")


class EmptySplit(DataError):
    """No training examples are left, or no development examples."""

    code = "empty_split"

    def __init__(self, split: str, why: str, *, hint: str | None = None) -> None:
        self.split = split
        super().__init__(f"the {split} split is empty: {why}", hint=hint)


class LeakedBenchmark(DataError):
    """Training data contains a benchmark."""

    code = "leaked_benchmark"

    def __init__(self, pairs: Sequence[str], *, hint: str | None = None) -> None:
        self.pairs = tuple(pairs)
        super().__init__(f"a benchmark is in the training data: {'; '.join(pairs)}", hint=hint)


class ModelFileError(GliderError):
    """A model file that is missing, damaged or cannot be downloaded."""

    code = "model_file"


class RunError(GliderError):
    """A run folder that cannot be used as asked."""

    code = "run"


class ManifestMismatch(RunError):
    """A resumed run would have other settings than the original."""

    code = "manifest_mismatch"


class TrainingError(RunError):
    """A training that cannot continue; its saved checkpoints are complete."""

    code = "training"

    def __init__(self, message: str, *, step: int, hint: str | None = None) -> None:
        self.step = step
        super().__init__(message, hint=hint)


class NotFinite(TrainingError):
    """The loss or its gradient is not a number."""

    code = "not_finite"

    def __init__(self, what: str, value: float, *, step: int) -> None:
        super().__init__(
            f"the {what} became {value} at step {step}; nothing of that step was kept",
            step=step,
            hint="lower learning_rate or max_grad_norm, raise warmup, or set precision to fp32; "
            "the last checkpoint is from before",
        )


class OutOfMemory(TrainingError):
    """The device does not have enough memory."""

    code = "out_of_memory"


class CannotSave(TrainingError):
    """A checkpoint could not be written; the previous one is untouched."""

    code = "cannot_save"
