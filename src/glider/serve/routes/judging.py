"""Judging in our own shapes: one text, two, several; reasons that come later."""

import asyncio
import json
from typing import Any

from aiohttp import web

from glider.core.errors import GliderError
from glider.core.judgments import Comparison, Outcome, as_record
from glider.core.tasks import JudgeTask
from glider.judging.pairs import ranking
from glider.serve.asking import begin_later, outcomes_of, verdicts_of
from glider.serve.lanes import QueueFull
from glider.serve.policies import BoundPolicy
from glider.serve.requests import SERVICE, STATE, body_of, seconds_left, serving
from glider.serve.responses import json_response
from glider.serve.service import ServedJudge
from glider.serve.wires import ours

_COMMENT_S = 15.0
"""Seconds between the comments that keep a waiting event stream open through proxies."""


async def _judge(request: web.Request) -> web.Response:
    asked = ours.parsed(ours.JudgeRequest, await body_of(request))
    left_s = seconds_left(request, asked.deadline_ms)
    if asked.policy is not None:
        return await _by_policy(request, asked, serving().policy(asked.policy), left_s)
    service, served = request.app[SERVICE], serving().judge(asked.model)
    tasks = ours.judge_tasks(asked, serving().criterion)
    lane = served.reasons if asked.reasons == "now" else served.scores
    outcomes = await outcomes_of(service, lane, tasks, left_s)
    name = begin_later(service, served.reasons, tasks) if asked.reasons == "later" else None
    return json_response(
        {
            "id": name,
            "model": served.name,
            "outcomes": [as_record(outcome) for outcome in outcomes],
            "reasons": {"now": "here", "later": "later", "none": "none"}[asked.reasons],
        }
    )


async def _by_policy(
    request: web.Request, asked: ours.JudgeRequest, policy: BoundPolicy, left_s: float | None
) -> web.Response:
    service, served = request.app[SERVICE], serving().judge(policy.policy.model)
    sample, why = asked.sample(output=asked.output), asked.reasons == "now"
    ((verdict, outcomes),) = await verdicts_of(service, policy, [sample], left_s, why=why)
    name, reasons = None, "here" if any(getattr(o, "reasoning", None) for o in outcomes) else "none"
    if asked.reasons == "later":
        tasks = [JudgeTask(sample, check.criterion) for check in policy.checks]
        name, reasons = begin_later(service, served.reasons, tasks), "later"
    return json_response(
        {
            "id": name,
            "model": served.name,
            "outcomes": [as_record(outcome) for outcome in outcomes],
            "reasons": reasons,
            "verdict": verdict.model_dump(mode="json"),
        }
    )


async def _later(request: web.Request) -> web.StreamResponse:
    name = request.match_info["id"]
    task = request.app[SERVICE].laters.of(name, STATE.get().owner)
    if "text/event-stream" in request.headers.get("Accept", ""):
        stream = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await stream.prepare(request)
        while not (await asyncio.wait([task], timeout=_COMMENT_S))[0]:
            await stream.write(b": still being written\n\n")
        data = json.dumps(_written(name, task), ensure_ascii=False)
        await stream.write(f"event: judgment\ndata: {data}\n\n".encode())
        await stream.write_eof()
        return stream
    if not task.done():
        return json_response({"id": name, "status": "pending"}, 202, {"Retry-After": "1"})
    return json_response(_written(name, task))


def _written(name: str, task: "asyncio.Task[list[Outcome]]") -> dict[str, Any]:
    if task.cancelled() or (error := task.exception()) is not None:
        code = "stopped" if task.cancelled() else _code(error)
        return {"id": name, "status": "failed", "error": {"code": code}}
    return {"id": name, "status": "done", "outcomes": [as_record(one) for one in task.result()]}


def _code(error: BaseException | None) -> str:
    if isinstance(error, QueueFull):
        return "full"
    return error.code if isinstance(error, GliderError) else "fault"


async def _compare(request: web.Request) -> web.Response:
    served, comparisons = await _compared(request, ours.CompareRequest)
    return json_response({"model": served.name, "outcome": as_record(comparisons[0])})


async def _rank(request: web.Request) -> web.Response:
    served, comparisons = await _compared(request, ours.RankRequest)
    return json_response(
        {
            "model": served.name,
            "ranking": [
                {"index": int(name.rpartition(" ")[2]) - 1, "p_preferred": p}
                for name, p in ranking(comparisons)
            ],
            "comparisons": [as_record(one) for one in comparisons],
        }
    )


async def _compared(
    request: web.Request, kind: type[ours.CompareRequest] | type[ours.RankRequest]
) -> tuple[ServedJudge, list[Comparison]]:
    asked = ours.parsed(kind, await body_of(request))
    served, left_s = serving().judge(asked.model), seconds_left(request, asked.deadline_ms)
    pairs = ours.pair_tasks(asked, serving().criterion)
    outcomes = await outcomes_of(request.app[SERVICE], served.reasons, pairs, left_s)
    return served, [one for one in outcomes if isinstance(one, Comparison)]


ROUTES = [
    web.post("/v1/judge", _judge),
    web.post("/v1/compare", _compare),
    web.post("/v1/rank", _rank),
    web.get("/v1/judgments/{id}", _later),
]
