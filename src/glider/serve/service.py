"""The serving state: models with their lanes, criteria, policies and reasons in progress.

It knows nothing of HTTP. A reload creates a new `Serving` next to the old one; a request keeps the
one it started with, so none is dropped.
"""

import asyncio
import itertools
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from glider.core.criteria import Criterion
from glider.core.errors import BackendError, SetupError
from glider.core.judgments import Failure, Outcome
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.judging.judge import Judge, Work
from glider.judging.settings import Progress
from glider.serve.keys import Keys
from glider.serve.lanes import Lane, QueueFull, TooLate
from glider.serve.policies import BoundPolicy
from glider.serve.settings import Bounds, Config, ServedModel
from glider.serve.wires.base import WireError
from glider.serve.wires.ours import Verdict

_WRITTEN_TOKENS = 250.0
"""Cost of an answer with reasons beyond reading the text, in input tokens."""
_INPUT = "When do you open?"
_CONTEXT = "Opening hours: 8:00 to 17:00, Monday to Saturday."
_REFERENCE = "At eight."
_OUTPUT = "We open at nine in the morning and close at five, every day but Sunday."
_AT_ONCE_TO_MEASURE = 2


class ServedJudge:
    """A named model, with one lane for scores alone and one for judgments with reasons."""

    def __init__(self, name: str, judge: Judge, bounds: Bounds) -> None:
        """Open the lanes of a judge."""
        self.name, self.judge = name, judge
        limits = judge.backend.limits
        self.reasons = Lane(
            judge,
            width=limits.at_once,
            written_tokens=_WRITTEN_TOKENS if judge.format.explains else 0.0,
            max_waiting=bounds.waiting,
        )
        bare = judge.format.bare() if judge.format.explains else None
        self.scores = self.reasons
        if bare is not None:
            scores = Judge(judge.backend, format=bare, truncate=judge.truncate, seed=judge.seed)
            # One more than the batch size, so that the next request is already at hand.
            width = limits.scores_at_once and limits.scores_at_once + 1
            self.scores = Lane(
                scores,
                width=width,
                serial=limits.scores_at_once == 1,
                max_waiting=bounds.waiting,
            )

    @classmethod
    def open(
        cls, name: str, model: ServedModel, bounds: Bounds, progress: Progress | None = None
    ) -> "ServedJudge":
        """Load the model.

        Raises:
            GliderError: the model is unavailable.
        """
        return cls(name, model.settings().open(progress), bounds)

    @property
    def lanes(self) -> dict[str, Lane]:
        """The lanes by `MODEL/LANE`."""
        lanes = {f"{self.name}/reasons": self.reasons}
        if self.scores is not self.reasons:
            lanes[f"{self.name}/scores"] = self.scores
        return lanes

    @property
    def idle(self) -> bool:
        """Whether no lane has work."""
        return all(lane.idle for lane in self.lanes.values())

    def bound(self, bounds: Bounds) -> None:
        """Change the queue limits."""
        for lane in self.lanes.values():
            lane.max_waiting = bounds.waiting

    async def measure(self, criterion: Criterion) -> Failure | None:
        """Measure the pace of every lane; return the failure if the model cannot judge now.

        Raises:
            AccessRefused: the endpoint rejects our access.
        """
        numbers = itertools.count(1)

        def sample() -> JudgeTask:
            def differing(text: str) -> str:
                """Make a text differ from its first word on, so that no cache has it."""
                return f"{next(numbers)}. {text}"

            asked = Sample.of(
                differing(_OUTPUT),
                input=differing(_INPUT),
                context=differing(_CONTEXT),
                reference=differing(_REFERENCE),
                id="pace",
            )
            return JudgeTask(asked, criterion)

        for lane in self.lanes.values():
            outcome = await lane.measure(sample, at_once=min(lane.width, _AT_ONCE_TO_MEASURE))
            if isinstance(outcome, Failure):
                return outcome
        return None


async def judge_all(lane: Lane, works: Sequence[Work], left_s: float | None) -> list[Outcome]:
    """Return every work's outcome, in order; if one cannot be done in time, none is.

    Raises:
        TooLate, QueueFull, BackendError: as `Lane.judged`.
    """
    tasks = [asyncio.ensure_future(lane.judged(work, left_s=left_s)) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()


@dataclass(frozen=True)
class Serving:
    """One version of the serving state."""

    config: Config
    judges: Mapping[str, ServedJudge]
    keys: Keys
    policies: Mapping[str, BoundPolicy] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        config: Config,
        keys: Keys,
        before: "Serving | None" = None,
        progress: Progress | None = None,
    ) -> "Serving":
        """Load what is not loaded yet.

        Raises:
            GliderError: a model is unavailable; none stays open.
        """
        judges: dict[str, ServedJudge] = {}
        opened: list[ServedJudge] = []
        try:
            for name, model in config.models.items():
                if before is not None and before.config.models.get(name) == model:
                    judges[name] = before.judges[name]
                else:
                    judges[name] = ServedJudge.open(name, model, config.bounds, progress)
                    opened.append(judges[name])
            policies = bound_policies(config, judges)
        except BaseException:
            for judge in opened:
                judge.judge.close()
            raise
        return cls(config, judges, keys, policies)

    @property
    def lanes(self) -> dict[str, Lane]:
        """All lanes, by `MODEL/LANE`."""
        return {name: lane for one in self.judges.values() for name, lane in one.lanes.items()}

    def judge(self, name: object) -> ServedJudge:
        """Return a model by name, or the first.

        Raises:
            WireError: 404.
        """
        if name is None:
            return next(iter(self.judges.values()))
        if not isinstance(name, str) or name not in self.judges:
            known = ", ".join(self.judges)
            raise WireError(
                f"no such model is served; there is {known}",
                status=404,
                code="model_not_found",
                param="model",
            )
        return self.judges[name]

    def criterion(self, name: str) -> Criterion:
        """Return a criterion by name.

        Raises:
            WireError: 404.
        """
        if name not in self.config.criteria:
            raise WireError(
                f"no criterion called {name[:80]!r} is served",
                status=404,
                code="criterion_not_found",
                param="criterion",
            )
        return self.config.criteria[name]

    def policy(self, name: object) -> BoundPolicy:
        """Return a policy by name, or the first.

        Raises:
            WireError: 404.
        """
        if name is None and self.policies:
            return next(iter(self.policies.values()))
        if not isinstance(name, str) or name not in self.policies:
            raise WireError(
                "no such policy; there is " + (", ".join(self.policies) or "none"),
                status=404,
                code="policy_not_found",
                param="policy",
            )
        return self.policies[name]

    def serves(self, criterion: Criterion) -> bool:
        """Whether the criterion is in the configuration rather than from a request."""
        served = self.config.criteria.get(criterion.name)
        return served is not None and served.content_id == criterion.content_id


def bound_policies(config: Config, judges: Mapping[str, ServedJudge]) -> dict[str, BoundPolicy]:
    """Return the policies of a configuration with the data they depend on.

    Raises:
        GliderError: a model, criterion, calibration or label file cannot be used.
    """
    bound = {}
    for name, policy in config.policies.items():
        model = policy.model or next(iter(judges))
        if model not in judges:
            raise SetupError(f"policy {name}: no model called {model!r} is served")
        judge = judges[model]
        bound[name] = BoundPolicy.of(
            name,
            policy,
            config.criteria,
            scores=judge.scores.judge.id,
            reasons=judge.reasons.judge.id,
        )
    return bound


async def decide(
    serving: Serving, policy: BoundPolicy, sample: Sample, left_s: float | None, *, why: bool
) -> tuple[Verdict, list[Outcome]]:
    """Return a policy's verdict on a sample; a missed deadline and an error are verdicts too.

    Args:
        why: use the judge with reasons, unless the policy's labels say otherwise.
    """
    served = serving.judge(policy.policy.model)
    labelled = bool(policy.promises) or any(c.calibration is not None for c in policy.checks)
    reasons = policy.by_reasons if labelled else why
    lane = served.reasons if reasons else served.scores
    tasks = [JudgeTask(sample, check.criterion) for check in policy.checks]
    because: Literal["deadline", "error"]
    try:
        outcomes = await judge_all(lane, tasks, left_s)
        return policy.verdict(outcomes), outcomes
    except TooLate:
        because = "deadline"
    except (BackendError, QueueFull):
        because = "error"
    return policy.without(because), []


@dataclass
class _Later:
    owner: str | None
    task: "asyncio.Task[list[Outcome]]"


@dataclass
class Laters:
    """Reasons written after their scores were returned; the number kept is bounded."""

    kept: int
    _by_id: "OrderedDict[str, _Later]" = field(default_factory=OrderedDict)

    def begin(self, lane: Lane, works: Sequence[Work], owner: str | None) -> str:
        """Start writing the reasons of these works; return the id to fetch them by."""
        while len(self._by_id) >= self.kept:
            _, oldest = self._by_id.popitem(last=False)
            oldest.task.cancel()
        name = secrets.token_urlsafe(16)
        task = asyncio.create_task(judge_all(lane, works, None))
        # Callers receive the error; if nobody asks, asyncio should not report it.
        task.add_done_callback(lambda task: task.cancelled() or task.exception())
        self._by_id[name] = _Later(owner, task)
        return name

    def of(self, name: str, owner: str | None) -> "asyncio.Task[list[Outcome]]":
        """Return the task that writes or has written the reasons.

        Raises:
            WireError: 404, including for another key's task.
        """
        later = self._by_id.get(name)
        if later is None or later.owner != owner:
            raise WireError(
                "no such judgment: never asked, another key's, or not kept any more",
                status=404,
                code="judgment_not_found",
            )
        return later.task

    def cancel(self) -> None:
        """Stop writing."""
        for later in self._by_id.values():
            later.task.cancel()
