"""From tasks or samples to outcomes and verdicts: limits taken, judged, counted, logged."""

import asyncio
import logging
from collections.abc import Sequence

from glider.core.errors import RunError
from glider.core.judgments import Outcome
from glider.core.samples import Sample
from glider.judging.judge import Work
from glider.judging.pairs import PairTask
from glider.serve.lanes import Lane
from glider.serve.policies import BoundPolicy
from glider.serve.requests import STATE, Service, serving
from glider.serve.service import decide, judge_all
from glider.serve.wires import guardrails, ours

_LOG = logging.getLogger("glider.serve")


async def outcomes_of(
    service: Service, lane: Lane, works: Sequence[Work], left_s: float | None
) -> list[Outcome]:
    """Return every work's outcome, in order.

    Raises:
        OverLimit: the key may not have so many texts judged.
        TooLate, QueueFull, BackendError: as `Lane.judged`.
    """
    texts = (len(work.tasks) if isinstance(work, PairTask) else 1 for work in works)
    take_texts(service, sum(texts))
    outcomes = await judge_all(lane, works, left_s)
    _count_all(service, works, outcomes)
    return outcomes


def begin_later(service: Service, lane: Lane, works: Sequence[Work]) -> str:
    """Start writing reasons and return their id; they are counted when they are there."""
    laters, owner = service.laters, STATE.get().owner
    name = laters.begin(lane, works, owner)

    def done(task: "asyncio.Task[list[Outcome]]") -> None:
        if not task.cancelled() and task.exception() is None:
            _count_all(service, works, task.result())

    laters.of(name, owner).add_done_callback(done)
    return name


async def verdicts_of(
    service: Service,
    policy: BoundPolicy,
    samples: Sequence[Sample],
    left_s: float | None,
    *,
    why: bool,
) -> list[guardrails.Judged]:
    """Return a policy's verdict on each sample, with its outcomes.

    Raises:
        OverLimit: the key may not have so many texts judged.
    """
    take_texts(service, len(samples) * len(policy.checks))
    found = await asyncio.gather(
        *(decide(serving(), policy, sample, left_s, why=why) for sample in samples)
    )
    judged: list[guardrails.Judged] = []
    for sample, (verdict, outcomes) in zip(samples, found, strict=True):
        for alarm in policy.watch(verdict):
            _LOG.warning("drift: %s", alarm)
        judged.append((recorded(service, policy, sample, verdict, outcomes), outcomes))
    return judged


def recorded(
    service: Service,
    policy: BoundPolicy,
    sample: Sample,
    decision: ours.Verdict,
    outcomes: Sequence[Outcome],
) -> ours.Verdict:
    """Return the verdict once it is logged and counted."""
    verdict = _logged(service, policy, sample, decision, outcomes)
    service.metrics.decided(policy.name, verdict.verdict, verdict.because)
    if (span := STATE.get().span) is not None:
        span.decided(policy.name, verdict.verdict, verdict.because)
    for check in decision.checks:
        service.metrics.checked(policy.name, check["criterion"], check["found"])
    for outcome in outcomes:
        _count(service, outcome, known=True)
    return verdict


def _logged(
    service: Service,
    policy: BoundPolicy,
    sample: Sample,
    verdict: ours.Verdict,
    outcomes: Sequence[Outcome],
) -> ours.Verdict:
    """Return the verdict once it is logged; if logging fails, the policy's `on_error` answer."""
    if service.log is None:
        return verdict
    try:
        service.log.record(policy, sample, verdict, outcomes, STATE.get().owner)
    except (RunError, OSError) as error:
        _LOG.error("a verdict cannot be written: %s", getattr(error, "code", "disk"))
        service.metrics.refused("log")
        return policy.without("error")
    return verdict


def take_texts(service: Service, n: int) -> None:
    """Count texts against the limit of the request's key.

    Raises:
        OverLimit: they are too many.
    """
    state = STATE.get()
    service.limiter.take_texts(state.owner, state.serving.config.limits, n)


def _count_all(service: Service, works: Sequence[Work], outcomes: Sequence[Outcome]) -> None:
    for work, outcome in zip(works, outcomes, strict=True):
        _count(service, outcome, known=serving().serves(work.criterion))


def _count(service: Service, outcome: Outcome, *, known: bool) -> None:
    """Count an outcome, of a configured criterion or of one from the request."""
    state = STATE.get()
    service.metrics.judged(outcome, known=known, owner=state.owner)
    if state.span is not None:
        state.span.judged(outcome, known=known)
