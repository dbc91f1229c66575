"""Outcomes: a Judgment, a Failure, or a Comparison of two outputs.

A failed judgment is a value with a stage and a code. It is never a number, and it stays in the
denominator of every figure.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self

from pydantic import Field as _Field
from pydantic import SerializerFunctionWrapHandler, TypeAdapter, model_serializer, model_validator

from glider.core.base import Frozen
from glider.core.errors import BackendError, GliderError, ReadError
from glider.core.tasks import JudgeTask

SCHEMA_VERSION = 4
"""The newest outcome that can be read. 2 has `steps`; 3 has `repaired`, `adjusted` and what a
failure cost; 4 has `warnings`. An outcome is written in the oldest version that can say
all of it: older readers know that one."""


Match = Literal["exact", "folded", "unplaced"]
Stage = Literal["load", "prepare", "generate", "read"]


class Span(Frozen):
    """A place in a field: half-open, in Unicode code points, `text[start:end]`."""

    field: str
    start: int
    end: int


class Highlight(Frozen):
    """A phrase that the judge called decisive, with its places in the judged text.

    `exact`: the phrase occurs verbatim. `folded`: it occurs, ignoring case, spacing and typographic
    marks. `unplaced`: it was not found; no place is made up.
    """

    phrase: str
    spans: tuple[Span, ...] = ()
    match: Match = "unplaced"


class Usage(Frozen):
    """Cost of an answer: tokens, seconds from request to answer, and money if a price is set."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    seconds: float = 0.0
    cost: float | None = None

    def __add__(self, other: "Usage") -> "Usage":
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            seconds=self.seconds + other.seconds,
            cost=sum(costs) if costs else None,
        )


class Cut(Frozen):
    """A text that was shortened to fit: its first `kept` of `of` code points were judged."""

    field: str
    kept: int
    of: int


class Step(Frozen):
    """An intermediate step of a strategy or jury: a text that was written, or a part judged."""

    name: str
    text: str = ""
    """What was written, as it was read; or what happened."""
    weight: float | None = None
    """A part's share in the outcome; the shares add up to 1."""
    score: float | None = None
    """What a part came to: its expected score; of pairs, the probability that the first is
    better."""
    cut_off: bool = False
    """The text reached its length limit."""


ANSWERED = "cascade: answered"
"""Name of a cascade's step where the first judge's answer stands; its text has how sure it was."""
PASSED_ON = "cascade: passed on"
"""The same where a second judge was asked; its text and score are what the first one said."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class _Outcome(Frozen):
    task_id: str
    sample_id: str
    criterion: str
    judge: str
    """Who spoke: provider/model@revision and format, enough to ask again."""
    made_at: str = _Field(default_factory=_now)
    steps: tuple[Step, ...] = ()
    """What a strategy did before and beside the judging, in order."""

    _newer: ClassVar[Mapping[str, int]] = {"steps": 2}
    """Fields that version 1 does not have, with their version; left out where they say nothing."""

    def with_steps(self, steps: tuple[Step, ...]) -> Self:
        """The same outcome with these steps."""
        return self.model_copy(update={"steps": steps})

    @property
    def version(self) -> int:
        """The oldest version that has all that this outcome says; it is written with it."""
        return max((v for name, v in self._newer.items() if self._says(name)), default=1)

    def _says(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)

    @model_serializer(mode="wrap")
    def _in_the_oldest_version(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        data: dict[str, Any] = whole(self)
        for name in self._newer:
            if not self._says(name):
                data.pop(name, None)
        return {"version": self.version, **data}

    @model_validator(mode="before")
    @classmethod
    def _of_any_version(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key != "version"}
        return data


class Judgment(_Outcome):
    """One answer of one judge."""

    kind: Literal["judgment"] = "judgment"
    score: int
    """The most likely level."""
    normalized: float
    """The score in 0..1 of its rubric."""
    expected: float | None = None
    """Probability-weighted mean over the levels; the mean over samples where there are several."""
    score_probs: Mapping[int, float] | None = None
    """Probability of each level, summing to 1; None if the backend does not report it."""
    mass: float | None = None
    """Total probability of valid levels before normalising; a low value is a warning sign."""
    reasoning: str | None = None
    highlights: tuple[Highlight, ...] = ()
    sampled: tuple[float, ...] = ()
    """Expected (or written) score of each sampled answer, where several were drawn."""
    cuts: tuple[Cut, ...] = ()
    repaired: tuple[str, ...] = ()
    """Harmless deviations from the answer format that were accepted."""
    adjusted: tuple[str, ...] = ()
    """Settings of the request that the endpoint refused: `seed` was left out, `top_logprobs=5` was
    set to the bound that the endpoint names."""
    warnings: tuple[str, ...] = ()
    """Why this judgment deserves less trust than others of this judge: a text in a language of
    which no figure says that the judge is better than chance; a reason that says something plainly
    false of the text (`glider.text.claims`)."""
    usage: Usage = Usage()
    """Sum over all sampled answers, including those that could not be read."""
    raw_text: str = ""

    _newer: ClassVar[Mapping[str, int]] = {
        "steps": 2, "repaired": 3, "adjusted": 3, "warnings": 4,
    }  # fmt: skip

    @property
    def expected_or_score(self) -> float:
        """The expected score; the written one where nothing is known of the other levels."""
        return float(self.score) if self.expected is None else self.expected

    @property
    def doubt(self) -> float | None:
        """Entropy of the level probabilities in 0..1: 0 is certain, 1 is uniform."""
        if self.score_probs is None:
            return None
        entropy = -sum(p * math.log(p) for p in self.score_probs.values() if p > 0)
        return entropy / math.log(len(self.score_probs))

    @property
    def unsure(self) -> bool:
        """Whether the expected score is nearer to another level than to the score."""
        if self.expected is None or not self.score_probs:
            return False
        away = {level: abs(level - self.expected) for level in self.score_probs}
        return away[self.score] > min(away.values())

    def or_raise(self) -> Self:
        """The judgment itself; a Failure raises here."""
        return self


class Failure(_Outcome):
    """A judgment that failed, with stage and reason."""

    kind: Literal["failure"] = "failure"
    stage: Stage
    code: str
    message: str
    retryable: bool = False
    usage: Usage = Usage()
    """Cost of the failed attempts, if the endpoint reports it."""
    raw_text: str | None = None

    _newer: ClassVar[Mapping[str, int]] = {"steps": 2, "usage": 3}

    @classmethod
    def of(
        cls, error: GliderError, task: JudgeTask, *, judge: str, usage: Usage | None = None
    ) -> Self:
        """Keep an error as a value; the stage follows from the error's family."""
        stage: Stage = "prepare"
        if isinstance(error, ReadError):
            stage = "read"
        elif isinstance(error, BackendError) and error.code != "prompt_too_long":
            stage = "generate"
        return cls(
            task_id=task.id,
            sample_id=task.sample.id,
            criterion=task.criterion.name,
            judge=judge,
            stage=stage,
            code=error.code,
            message=str(error),
            retryable=error.retryable,
            usage=usage or Usage(),
            raw_text=getattr(error, "raw_text", None),
        )

    def or_raise(self) -> NoReturn:
        """Raise what went wrong."""
        raise JudgmentFailed(self)


class JudgmentFailed(GliderError):
    """Raised by `or_raise` on a Failure; `.failure` has the record."""

    code = "judgment_failed"

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(f"{failure.stage}/{failure.code}: {failure.message}")


class Comparison(_Outcome):
    """Two outputs of one sample against each other, asked in one or both orders."""

    kind: Literal["comparison"] = "comparison"
    first: str
    """Name of the field shown first in the first order."""
    second: str
    preferred: str | None
    """Name of the better field; None for a tie or where no order could be judged."""
    p_first: float | None
    """Probability that `first` is better, averaged over the orders; None where none was judged."""
    flipped: bool | None
    """The two orders named different winners; None where not both could be judged."""
    orders: tuple["Judgment | Failure", ...]
    """The judgments behind it: as shown, then swapped. Scores are 0 (first shown) or 1."""

    @property
    def version(self) -> int:
        """The oldest version that has all that this outcome and its orders say."""
        return max([super().version, *(part.version for part in self.orders)])

    def or_raise(self) -> Self:
        """The comparison; raises if no order could be judged."""
        if self.p_first is None:
            for outcome in self.orders:
                outcome.or_raise()
        return self


Outcome = Annotated[Judgment | Failure | Comparison, _Field(discriminator="kind")]

_ADAPTER: TypeAdapter[Judgment | Failure | Comparison] = TypeAdapter(Outcome)


def outcome_from(data: Mapping[str, Any]) -> Judgment | Failure | Comparison:
    """Read an outcome back from plain data, told apart by `kind`."""
    return _ADAPTER.validate_python(data)


def as_record(outcome: Judgment | Failure | Comparison) -> dict[str, Any]:
    """An outcome as JSON values, without the model's raw text; `outcome_from` reads it."""
    record = outcome.model_dump(mode="json")
    for part in (record, *record.get("orders", ())):
        part.pop("raw_text", None)
    return record
