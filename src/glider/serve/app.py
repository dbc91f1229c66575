"""The HTTP layer around the service: routes, error statuses, deadlines, keys.

A handler is cancelled when its client disconnects (`handler_cancellation`), which also cancels the
engine's work for it. No log contains a key or a text: an internal error logs only type and place.
"""

import asyncio
import json
import logging
import secrets
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from aiohttp import WSCloseCode, web

from glider._version import __version__
from glider.core.errors import BackendError, GliderError, MissingExtra, RunError
from glider.core.judgments import Comparison, Failure, Judgment, Outcome, Usage, as_record
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.judging.judge import Work
from glider.judging.pairs import PairTask, ranking
from glider.serve.bodies import read_body
from glider.serve.keys import Keys
from glider.serve.lanes import Lane, QueueFull, TooLate
from glider.serve.limits import Limiter, OverLimit
from glider.serve.metrics import Metrics
from glider.serve.openapi import document
from glider.serve.policies import BoundPolicy
from glider.serve.service import Laters, ServedJudge, Serving, decide, judge_all
from glider.serve.streams import opening, stream
from glider.serve.traces import RequestSpan, Traces
from glider.serve.verdict_log import VerdictLog
from glider.serve.wires import chat, decisions, guardrails, ours, systemone
from glider.serve.wires.base import Question, WireError

_LOG = logging.getLogger("glider.serve")
DEADLINE = "Glider-Deadline-Ms"
REASONS = "Glider-Reasons"
_CAUSES = ("block", "abstain", "deadline", "error")
_OPEN = ("/health", "/ready")
_STILL_S = 15.0
"""Seconds between the comments that keep a waiting event stream open through proxies."""
_LONGEST_DEADLINE_MS = 86_400_000


class Service:
    """The server state that handlers share."""

    def __init__(self, serving: Serving, traces: Traces | None = None) -> None:
        """Create the state for what is served.

        Args:
            traces: makes a span of each request.
        """
        self.serving, self.traces = serving, traces
        self.stopping = False
        self.limiter = Limiter()
        self.silent: set[Any] = set()
        """Connections, as aiohttp's protocols, that have not sent headers."""
        self.streams = 0
        """Texts that are judged while they are being written."""
        self.asking: list[_Asking] = []
        """Requests in progress."""
        self.metrics = Metrics(lambda: self.serving.lanes, lambda: self.serving.policies)
        self.laters = Laters(serving.config.bounds.kept)
        self.log: VerdictLog | None = None
        self.open_log()

    def uses(self, judge: ServedJudge) -> bool:
        """Whether a request in progress may still use this judge."""
        return not judge.idle or any(
            judge is one for asking in self.asking for one in asking.serving.judges.values()
        )

    def open_log(self) -> None:
        """Open the log that the configuration names and close the previous one.

        Raises:
            RunError: it cannot be written.
        """
        settings, before = self.serving.config.log, self.log
        judge = next(iter(self.serving.judges.values())).judge.id
        policies = self.serving.policies.values()
        self.log = None if settings is None else VerdictLog(settings, policies, judge)
        if before is not None:
            before.close()


@dataclass(eq=False)
class _Asking:
    """The state of one request in progress."""

    began: float
    serving: Serving
    """The serving state when the request arrived."""
    owner: str | None = None
    """Owner of the request's key."""
    span: RequestSpan | None = None


SERVICE = web.AppKey("service", Service)
_ASKING: ContextVar[_Asking] = ContextVar("_ASKING")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(service: Service) -> web.Application:
    """Create the application; it does not close what it serves."""
    app = web.Application(middlewares=[_guarded])
    app[SERVICE] = service
    app.add_routes(
        [
            web.post("/v1/judge", _judge),
            web.post("/v1/compare", _compare),
            web.post("/v1/rank", _rank),
            web.post("/v1/decisions", _decisions),
            web.post("/v1/systemone", _systemone),
            web.post("/beta/litellm_basic_guardrail_api", _litellm),
            web.post("/v1/chat/completions", _chat),
            web.post("/v1/moderations", _moderations),
            web.post("/classify", _classify),
            web.post("/v1/validate", _validate),
            web.get("/v1/judgments/{id}", _later),
            web.get("/v1/stream", _stream),
            web.get("/v1/policies", _policies),
            web.get("/v1/models", _models),
            web.get("/v1/criteria", _criteria),
            web.get("/openapi.json", _openapi),
            web.get("/health", _health),
            web.get("/ready", _ready),
            web.get("/load", _load),
            web.get("/metrics", _metrics),
        ]
    )
    return app


@web.middleware
async def _guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Authenticate, handle and record a request; each outcome is one status with one typed body."""
    service = request.app[SERVICE]
    service.silent.discard(request.protocol)
    asking = _Asking(time.monotonic(), service.serving)
    _ASKING.set(asking)
    service.asking.append(asking)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "(none)"
    limited, status = False, None
    if service.traces is not None:
        asking.span = service.traces.begin(request.method, route, request.headers)
    try:
        asking.owner = _owner(request, service, asking.serving.keys)
        if service.stopping and route not in _OPEN:
            service.metrics.refused("stopping")
            raise WireError("the server is stopping", status=503, code="stopping")
        if request.method == "POST" or route == "/v1/stream":
            service.limiter.enter(asking.owner, asking.serving.config.limits)
            limited = True
        response = await handler(request)
        status = response.status
    except asyncio.CancelledError:
        service.metrics.refused("gone")
        raise
    except Exception as error:  # noqa: BLE001 - every error reaches the client in our format
        response = _told(error, service)
        status = response.status
    finally:
        service.asking.remove(asking)
        if asking.span is not None:
            asking.span.end(status)
        if limited:
            service.limiter.leave(asking.owner)
    took = time.monotonic() - asking.began
    service.metrics.answered(route, response.status, took, asking.owner)
    return response


def _told(error: Exception, service: Service) -> web.Response:
    if isinstance(error, TooLate):
        service.metrics.refused("late" if error.admitted else "deadline")
        told = WireError(str(error), status=503, code="deadline").body()
        told["error"] |= {
            "estimate_ms": round(1000 * error.estimate_s),
            "left_ms": max(0, round(1000 * error.left_s)),
            "begun": error.admitted,
        }
        return _json(told, 503, {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, QueueFull):
        service.metrics.refused("full")
        told = WireError("too many requests wait", status=503, code="full").body()
        return _json(told, 503, {"Retry-After": "1"})
    if isinstance(error, OverLimit):
        service.metrics.refused("limit")
        told = WireError(str(error), status=429, code="rate_limit_exceeded").body()
        return _json(told, 429, {"Retry-After": str(error.retry_after_s)})
    if isinstance(error, web.HTTPException):
        reason = WireError(error.reason, status=error.status, code=error.reason.lower())
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return _json(reason.body(), error.status, headers)
    if isinstance(error, WireError):
        headers = {"Retry-After": "1"} if error.status == 503 else {}
        if error.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return _json(error.body(), error.status, headers)
    if isinstance(error, MissingExtra):
        return _json(WireError(str(error), status=501, code=error.code).body(), 501)
    if isinstance(error, BackendError):
        _LOG.error("the engine refuses: %s", error.code)
        status = 503 if error.retryable else 502
        return _json(WireError(error.message, status=status, code=error.code).body(), status)
    if isinstance(error, GliderError):
        return _json(WireError(str(error), code=error.code).body(), 422)
    place = traceback.extract_tb(error.__traceback__)[-1]
    _LOG.error("a fault: %s at %s:%s", type(error).__name__, place.filename, place.lineno)
    return _json(WireError("a fault in the server", status=500, code="fault").body(), 500)


def _json(
    body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    text = json.dumps(body, ensure_ascii=False, allow_nan=False)
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def _owner(request: web.Request, service: Service, keys: Keys) -> str | None:
    """Return the owner of the request's key; None if no key is needed.

    Raises:
        WireError: 401.
    """
    if not keys or request.path in _OPEN:
        return None
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer":
        given = request.headers.get("x-api-key", "")
    owner = keys.owner(given.strip())
    if owner is None:
        service.metrics.refused("key")
        raise WireError("no such key", status=401, code="invalid_api_key")
    return owner


async def _body(request: web.Request) -> dict[str, Any]:
    return await read_body(request, _ASKING.get().serving.config.bounds)


def _left(request: web.Request, asked_ms: Any = None) -> float | None:
    """Return the seconds left of the client's deadline, from the header or the body.

    Raises:
        WireError: it is not a number of milliseconds.
    """
    given = request.headers.get(DEADLINE, asked_ms)
    if given is None:
        return None
    try:
        ms = float(given)
    except (TypeError, ValueError):
        ms = 0.0
    if not 0 < ms <= _LONGEST_DEADLINE_MS:
        raise WireError(f"{DEADLINE} is a number of milliseconds above 0", param=DEADLINE)
    return ms / 1000 - (time.monotonic() - _ASKING.get().began)


async def _outcomes(
    request: web.Request, lane: Lane, works: Sequence[Work], left_s: float | None
) -> list[Outcome]:
    texts = (len(work.tasks) if isinstance(work, PairTask) else 1 for work in works)
    _take_texts(request.app[SERVICE], sum(texts))
    outcomes = await judge_all(lane, works, left_s)
    _counted(request, works, outcomes)
    return outcomes


def _take_texts(service: Service, n: int) -> None:
    """Count texts against the limit of the request's key.

    Raises:
        OverLimit: they are too many.
    """
    asking = _ASKING.get()
    service.limiter.take_texts(asking.owner, asking.serving.config.limits, n)


def _counted(request: web.Request, works: Sequence[Work], outcomes: Sequence[Outcome]) -> None:
    for work, outcome in zip(works, outcomes, strict=True):
        known = _ASKING.get().serving.serves(work.criterion)
        _judged(request.app[SERVICE], outcome, known=known)


def _judged(service: Service, outcome: Outcome, *, known: bool) -> None:
    """Count an outcome, of a configured criterion or of one from the request."""
    asking = _ASKING.get()
    service.metrics.judged(outcome, known=known, owner=asking.owner)
    if asking.span is not None:
        asking.span.judged(outcome, known=known)


def _begin_later(request: web.Request, lane: Lane, works: Sequence[Work]) -> str:
    """Start writing reasons; they are counted when they are there."""
    laters, owner = request.app[SERVICE].laters, _ASKING.get().owner
    name = laters.begin(lane, works, owner)

    def done(task: "asyncio.Task[list[Outcome]]") -> None:
        if not task.cancelled() and task.exception() is None:
            _counted(request, works, task.result())

    laters.of(name, owner).add_done_callback(done)
    return name


async def _judge(request: web.Request) -> web.Response:
    serving = _ASKING.get().serving
    asked = ours.parsed(ours.JudgeRequest, await _body(request))
    left = _left(request, asked.deadline_ms)
    if asked.policy is not None:
        return await _by_policy(request, asked, serving.policy(asked.policy), left)
    served = serving.judge(asked.model)
    tasks = ours.judge_tasks(asked, serving.criterion)
    now = asked.reasons == "now"
    outcomes = await _outcomes(request, served.reasons if now else served.scores, tasks, left)
    name = ""
    if asked.reasons == "later":
        name = _begin_later(request, served.reasons, tasks)
    return _json(
        {
            "id": name or None,
            "model": served.name,
            "outcomes": [as_record(outcome) for outcome in outcomes],
            "reasons": {"now": "here", "later": "later", "none": "none"}[asked.reasons],
        }
    )


async def _by_policy(
    request: web.Request, asked: ours.JudgeRequest, policy: BoundPolicy, left: float | None
) -> web.Response:
    sample, why = asked.sample(output=asked.output), asked.reasons == "now"
    ((verdict, outcomes),) = await _decided(request, policy, [sample], left, why=why)
    name, reasons = "", "here" if any(getattr(o, "reasoning", None) for o in outcomes) else "none"
    if asked.reasons == "later":
        served = _ASKING.get().serving.judge(policy.policy.model)
        tasks = [JudgeTask(sample, check.criterion) for check in policy.checks]
        name = _begin_later(request, served.reasons, tasks)
        reasons = "later"
    return _json(
        {
            "id": name or None,
            "model": _ASKING.get().serving.judge(policy.policy.model).name,
            "outcomes": [as_record(outcome) for outcome in outcomes],
            "reasons": reasons,
            "verdict": verdict.model_dump(mode="json"),
        }
    )


async def _decided(
    request: web.Request,
    policy: BoundPolicy,
    samples: Sequence[Sample],
    left: float | None,
    *,
    why: bool,
) -> list[guardrails.Judged]:
    serving = _ASKING.get().serving
    _take_texts(request.app[SERVICE], len(samples) * len(policy.checks))
    decided = await asyncio.gather(
        *(decide(serving, policy, sample, left, why=why) for sample in samples)
    )
    told: list[guardrails.Judged] = []
    for sample, (decision, outcomes) in zip(samples, decided, strict=True):
        for alarm in policy.watch(decision):
            _LOG.warning("drift: %s", alarm)
        verdict = _recorded(request.app[SERVICE], policy, sample, decision, outcomes)
        told.append((verdict, outcomes))
    return told


def _recorded(
    service: Service,
    policy: BoundPolicy,
    sample: Sample,
    decision: ours.Verdict,
    outcomes: Sequence[Outcome],
) -> ours.Verdict:
    """Return the verdict once it is logged and counted."""
    verdict = _logged(service, policy, sample, decision, outcomes)
    service.metrics.decided(policy.name, verdict.verdict, verdict.because)
    if (span := _ASKING.get().span) is not None:
        span.decided(policy.name, verdict.verdict, verdict.because)
    for check in decision.checks:
        service.metrics.checked(policy.name, check["criterion"], check["found"])
    for outcome in outcomes:
        _judged(service, outcome, known=True)
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
        service.log.record(policy, sample, verdict, outcomes, _ASKING.get().owner)
    except (RunError, OSError) as error:
        _LOG.error("a verdict cannot be written: %s", getattr(error, "code", "disk"))
        service.metrics.refused("log")
        return policy.without("error")
    return verdict


async def _stream(request: web.Request) -> web.StreamResponse:
    """Judge a text while it is being written; after the upgrade an error is a message."""
    service, serving = request.app[SERVICE], _ASKING.get().serving
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        # A page of another site may open a socket, unlike sending JSON.
        raise WireError("a page of another site may not ask", status=403, code="origin")
    bounds = serving.config.bounds
    socket = web.WebSocketResponse(max_msg_size=bounds.body_bytes, heartbeat=20.0)
    if not socket.can_prepare(request):
        raise WireError("this route is a WebSocket", status=426, code="upgrade_required")
    if service.streams >= bounds.streams:
        raise QueueFull
    service.streams += 1
    try:
        await socket.prepare(request)
        try:
            asked = await opening(socket, bounds)
            policy = serving.policy(asked.policy)
            _take_texts(service, len(policy.checks))
            left = None if asked.deadline_ms is None else asked.deadline_ms / 1000

            async def judged(text: str, whole: bool) -> guardrails.Judged:
                sample, why = asked.sample(output=text), whole and asked.reasons == "now"
                verdict, outcomes = await decide(serving, policy, sample, left, why=why)
                # Labels are of whole texts, judged once: they promise nothing of a beginning.
                verdict = verdict.model_copy(update={"promise": (), "drift": ()})
                if whole or verdict.verdict == "block":
                    verdict = _recorded(service, policy, sample, verdict, outcomes)
                return verdict, outcomes

            await stream(socket, asked, judged, bounds)
        except ConnectionError:
            service.metrics.refused("gone")
        except Exception as error:  # noqa: BLE001 - every error reaches the client in our format
            told = _told(error, service)
            is_ours = told.status >= 500
            code = WSCloseCode.INTERNAL_ERROR if is_ours else WSCloseCode.POLICY_VIOLATION
            with suppress(ConnectionError):
                await socket.send_str(told.text or "")
                await socket.close(code=code)
        await socket.close()
    finally:
        service.streams -= 1
    return socket


async def _foreign(
    request: web.Request, samples_of: Callable[[Mapping[str, Any]], list[Sample]]
) -> tuple[BoundPolicy, list[guardrails.Judged]]:
    """Answer a guardrail request with the policy named in its body or query, or the first."""
    body = await _body(request)
    given = body.get("additional_provider_specific_params") or {}
    named = given.get("policy") if isinstance(given, Mapping) else None
    policy = _ASKING.get().serving.policy(body.get("policy", request.query.get("policy", named)))
    samples, (why, left) = samples_of(body), _wanted(request, body)
    return policy, await _decided(request, policy, samples, left, why=why)


async def _litellm(request: web.Request) -> web.Response:
    _, judged = await _foreign(request, guardrails.litellm_samples)
    return _json(guardrails.litellm_answer(judged))


async def _chat(request: web.Request) -> web.Response:
    body = await _body(request)
    served, (_, left) = _ASKING.get().serving.judge(body.get("model")), _wanted(request, body)
    (outcome,) = _graded(await _outcomes(request, served.reasons, [chat.task_of(body)], left))
    return _json(chat.answer(_new_id("chatcmpl"), served.name, outcome))


async def _moderations(request: web.Request) -> web.Response:
    policy, judged = await _foreign(request, guardrails.moderation_samples)
    return _json(guardrails.moderation_answer(_new_id("modr"), policy.name, judged))


async def _classify(request: web.Request) -> web.Response:
    policy, judged = await _foreign(request, guardrails.moderation_samples)
    return _json(guardrails.classify_answer(_new_id("classify"), policy.name, judged))


async def _validate(request: web.Request) -> web.Response:
    _, judged = await _foreign(request, guardrails.rows_to_validate)
    return _json(guardrails.validation_answer(judged))


def _new_id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(12)}"


async def _policies(request: web.Request) -> web.Response:
    return _json(
        {
            "policies": {
                name: {
                    "checks": [check.criterion.name for check in one.checks],
                    "promise": list(one.promises),
                    "block_below": {
                        check.criterion.name: check.block_below for check in one.checks
                    },
                    "drift": {
                        check.criterion.name: {
                            "window": check.drift.window,
                            "allowed": check.drift.allowed,
                            "alarms": check.drift.alarms,
                        }
                        for check in one.checks
                        if check.drift is not None
                    },
                    **{f"on_{k}": getattr(one.policy, f"on_{k}") for k in _CAUSES},
                }
                for name, one in _ASKING.get().serving.policies.items()
            }
        }
    )


async def _later(request: web.Request) -> web.StreamResponse:
    name = request.match_info["id"]
    task = request.app[SERVICE].laters.of(name, _ASKING.get().owner)
    if "text/event-stream" in request.headers.get("Accept", ""):
        stream = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        )
        await stream.prepare(request)
        while not (await asyncio.wait([task], timeout=_STILL_S))[0]:
            await stream.write(b": still being written\n\n")
        data = json.dumps(_written(name, task), ensure_ascii=False)
        await stream.write(f"event: judgment\ndata: {data}\n\n".encode())
        await stream.write_eof()
        return stream
    if not task.done():
        return _json({"id": name, "status": "pending"}, 202, {"Retry-After": "1"})
    return _json(_written(name, task))


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
    return _json({"model": served.name, "outcome": as_record(comparisons[0])})


async def _rank(request: web.Request) -> web.Response:
    served, comparisons = await _compared(request, ours.RankRequest)
    return _json(
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
    serving = _ASKING.get().serving
    asked = ours.parsed(kind, await _body(request))
    served, left = serving.judge(asked.model), _left(request, asked.deadline_ms)
    pairs = ours.pair_tasks(asked, serving.criterion)
    outcomes = await _outcomes(request, served.reasons, pairs, left)
    return served, [one for one in outcomes if isinstance(one, Comparison)]


def _wanted(request: web.Request, body: Mapping[str, Any]) -> tuple[bool, float | None]:
    """Return whether a client of a foreign API wants reasons, and its deadline in seconds.

    Both come from headers, or from `glider: {...}` in the body.

    Raises:
        WireError: it says something that is not known.
    """
    extra = body.get("glider", {})
    if not isinstance(extra, Mapping) or set(extra) - {"reasons", "deadline_ms"}:
        raise WireError("glider has reasons and deadline_ms", param="glider")
    why = extra.get("reasons", request.headers.get(REASONS, "") in ("1", "true"))
    if not isinstance(why, bool):
        raise WireError("glider.reasons is true or false", param="glider.reasons")
    return why, _left(request, extra.get("deadline_ms"))


def _graded(outcomes: Sequence[Outcome]) -> list[Judgment | Failure]:
    return [one for one in outcomes if not isinstance(one, Comparison)]


def _usage(outcomes: Sequence[Judgment | Failure]) -> Usage:
    return sum((one.usage for one in outcomes), Usage())


async def _questioned(
    request: web.Request, questions_of: Callable[[Mapping[str, Any]], list[Question]]
) -> tuple[str, list[Question], list[Judgment | Failure], bool]:
    """Judge every question of a body; return model, questions, outcomes, and whether to explain."""
    body = await _body(request)
    served = _ASKING.get().serving.judge(body.get("model"))
    why, left = _wanted(request, body)
    questions = questions_of(body)
    lane = served.reasons if why else served.scores
    outcomes = _graded(await _outcomes(request, lane, [q.task for q in questions], left))
    return served.name, questions, outcomes, why


async def _decisions(request: web.Request) -> web.Response:
    model, questions, outcomes, why = await _questioned(request, decisions.questions)
    answers = [
        decisions.answer(question, outcome, why=why)
        for question, outcome in zip(questions, outcomes, strict=True)
    ]
    return _json(decisions.response(model, answers, _usage(outcomes)))


async def _systemone(request: web.Request) -> web.Response:
    model, questions, outcomes, why = await _questioned(request, systemone.questions)
    return _json(systemone.response(model, questions, outcomes, _usage(outcomes), why=why))


async def _models(request: web.Request) -> web.Response:
    judges = _ASKING.get().serving.judges
    return _json(
        {
            "object": "list",
            "data": [
                {"id": name, "object": "model", "created": 0, "owned_by": "glider"}
                for name in judges
            ],
            "models": [
                {"name": name, "description": one.judge.id, "release_date": ""}
                for name, one in judges.items()
            ],
        }
    )


async def _criteria(request: web.Request) -> web.Response:
    criteria = _ASKING.get().serving.config.criteria.values()
    return _json({"criteria": [criterion.model_dump(mode="json") for criterion in criteria]})


async def _openapi(request: web.Request) -> web.Response:
    return _json(document())


async def _health(request: web.Request) -> web.Response:
    return _json({"status": "ok", "version": __version__})


async def _ready(request: web.Request) -> web.Response:
    ready = not request.app[SERVICE].stopping
    return _json({"ready": ready}, 200 if ready else 503)


async def _load(request: web.Request) -> web.Response:
    return _json(
        {
            "lanes": {
                name: {
                    "waiting": lane.waiting,
                    "running": lane.running,
                    "width": lane.width,
                    "tokens_per_second": lane.pace.per_s,
                }
                for name, lane in _ASKING.get().serving.lanes.items()
            }
        }
    )


async def _metrics(request: web.Request) -> web.Response:
    page, kind = request.app[SERVICE].metrics.page()
    return web.Response(body=page, headers={"Content-Type": kind})
