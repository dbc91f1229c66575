"""Glider's own wire: `/v1/judge`, `/v1/compare` and `/v1/rank`.

An outcome travels as it stands in a run folder: a judgment, a failure with stage and code, or a
comparison. Spans are half-open and count Unicode code points of the caller's own text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from glider.core.base import Frozen, first_problem
from glider.core.criteria import Criterion
from glider.core.errors import GliderError
from glider.core.judgments import Comparison, Failure, Judgment
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.judging.pairs import PairTask, round_robin
from glider.serve.wires.base import WireError

Load = Callable[[str], Criterion]
"""A served criterion by its name; raises WireError where there is none."""


R = TypeVar("R", bound=Frozen)


class Asked(Frozen):
    """What all requests have."""

    model: str | None = Field(None, description="Name of a served model; the first if not given.")
    input: str | None = Field(None, description="What the writer of the output was asked.")
    context: str | None = Field(None, description="Material that the output must rest on.")
    reference: str | None = Field(None, description="A reference answer.")
    fields: dict[str, str] = Field({}, description="Further texts that are shown, by name.")
    deadline_ms: int | None = Field(
        None, gt=0, le=86_400_000, description="Milliseconds; also as header Glider-Deadline-Ms."
    )

    def sample(self, *, output: str | None = None, outputs: Sequence[str] | None = None) -> Sample:
        """The texts as a sample.

        Raises:
            WireError: a field's name cannot be used.
        """
        taken = {"input", "context", "reference", "output", "outputs", "id", "metadata", "cls"}
        if wrong := sorted(taken & set(self.fields)):
            raise WireError(f"fields: {wrong[0]!r} cannot be a field's name", param="fields")
        others: dict[str, Any] = dict(self.fields)
        try:
            return Sample.of(
                output,
                outputs=outputs,
                input=self.input,
                context=self.context,
                reference=self.reference,
                **others,
            )
        except ValidationError as exc:
            raise WireError(f"fields: {first_problem(exc).what}", param="fields") from exc


class JudgeRequest(Asked):
    """One text under one criterion or several, or under a policy."""

    output: str = Field(min_length=1, description="The text to judge.")
    criterion: str | dict[str, Any] | None = Field(
        None, description="Name of a served criterion, or one in full: name, question, rubric."
    )
    criteria: list[str | dict[str, Any]] | None = Field(None, min_length=1, max_length=50)
    policy: str | None = Field(None, description="Name of a policy, whose criteria are asked.")
    reasons: Literal["now", "later", "none"] = Field(
        "now",
        description="`later`: the level probabilities at once, reasoning and highlights by "
        "`GET /v1/judgments/{id}`.",
    )

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        given = sum(one is not None for one in (self.criterion, self.criteria, self.policy))
        if given != 1:
            raise ValueError("give one of criterion, criteria and policy")
        if self.policy is not None and self.model is not None:
            raise ValueError("a policy names its model")
        return self


class CompareRequest(Asked):
    """Two texts against each other, in both orders."""

    criterion: str | dict[str, Any]
    outputs: list[str] = Field(min_length=2, max_length=2)


class RankRequest(Asked):
    """Several texts, every pair of them compared in both orders."""

    criterion: str | dict[str, Any]
    outputs: list[str] = Field(min_length=2, max_length=12)


class Verdict(Frozen):
    """What a policy says."""

    policy: str
    verdict: Literal["allow", "block", "ask"]
    because: Literal["passed", "blocked", "abstained", "deadline", "error"]
    """What happened; the policy says what follows of it."""
    checks: tuple[dict[str, Any], ...] = ()
    """Each criterion with what it came to, `passed`, `blocked`, `abstained` or `failed`, and the
    probability that the text is one to block (`p_block`), null where nothing tells it."""
    promise: tuple[str, ...] = ()
    """What the labels behind the thresholds allow to promise."""
    drift: tuple[str, ...] = ()
    """Where the last texts were not like the labelled ones, so that the promise is in doubt."""


class JudgeAnswer(Frozen):
    """One outcome for each criterion, in the order they were asked."""

    id: str | None
    """To ask for reasons by that come later."""
    model: str
    outcomes: list[Judgment | Failure]
    reasons: Literal["here", "later", "none"]
    verdict: Verdict | None = None


class CompareAnswer(Frozen):
    """The comparison: who is preferred, how likely, and whether the orders disagree."""

    model: str
    outcome: Comparison


class Ranked(Frozen):
    """One text of a ranking."""

    index: int
    """Place in the request's `outputs`, from 0."""
    p_preferred: float
    """Mean probability of being preferred to another."""


class RankAnswer(Frozen):
    """Best first; pairs that could not be judged do not count."""

    model: str
    ranking: list[Ranked]
    comparisons: list[Comparison]


def parsed(kind: type[R], body: Mapping[str, Any]) -> R:
    """A body as a request.

    Raises:
        WireError: with the first place that is wrong.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as exc:
        problem = first_problem(exc)
        raise WireError(str(problem), param=problem.where) from exc


def criterion_of(asked: str | Mapping[str, Any], load: Load, *, param: str) -> Criterion:
    """A criterion by name, or as it is written in the request.

    Raises:
        WireError: there is none of that name, or it is no criterion.
    """
    if isinstance(asked, str):
        return load(asked)
    try:
        return Criterion.model_validate(asked)
    except ValidationError as exc:
        problem = first_problem(exc)
        where = f"{param}.{problem.where}" if problem.where else param
        raise WireError(f"{where}: {problem.what}", param=where, code="criterion") from exc
    except GliderError as exc:
        raise WireError(f"{param}: {exc}", param=param, code=exc.code) from exc


def judge_tasks(asked: JudgeRequest, load: Load) -> list[JudgeTask]:
    """One task for each criterion that the request names.

    Raises:
        WireError: a criterion or a field cannot be used, or a name is there twice.
    """
    named = [asked.criterion] if asked.criterion is not None else asked.criteria or []
    where = "criterion" if asked.criterion is not None else "criteria"
    criteria = [criterion_of(one, load, param=where) for one in named]
    names = [criterion.name for criterion in criteria]
    if len(set(names)) < len(names):
        raise WireError("criteria: a name is there twice", param="criteria")
    sample = asked.sample(output=asked.output)
    return [JudgeTask(sample, criterion) for criterion in criteria]


def pair_tasks(asked: CompareRequest | RankRequest, load: Load) -> list[PairTask]:
    """Every pair of the outputs.

    Raises:
        WireError: the criterion or a field cannot be used.
    """
    criterion = criterion_of(asked.criterion, load, param="criterion")
    if not all(text.strip() for text in asked.outputs):
        raise WireError("outputs: a text is empty", param="outputs")
    return list(round_robin(asked.sample(outputs=asked.outputs), criterion))
