"""Wires of other tools: judges, which a model answers, and guardrails, which a policy answers."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from glider.core.judgments import Comparison, Failure, Judgment, Outcome, Usage
from glider.core.samples import Sample
from glider.serve.asking import outcomes_of, verdicts_of
from glider.serve.policies import BoundPolicy
from glider.serve.requests import SERVICE, body_of, options_of, serving
from glider.serve.responses import json_response
from glider.serve.wires import chat, decisions, guardrails, systemone
from glider.serve.wires.base import Question


async def _decisions(request: web.Request) -> web.Response:
    model, questions, outcomes, why = await _answered(request, decisions.questions)
    answers = [
        decisions.answer(question, outcome, why=why)
        for question, outcome in zip(questions, outcomes, strict=True)
    ]
    return json_response(decisions.response(model, answers, _usage(outcomes)))


async def _systemone(request: web.Request) -> web.Response:
    model, questions, outcomes, why = await _answered(request, systemone.questions)
    return json_response(systemone.response(model, questions, outcomes, _usage(outcomes), why=why))


async def _answered(
    request: web.Request, questions_of: Callable[[Mapping[str, Any]], list[Question]]
) -> tuple[str, list[Question], list[Judgment | Failure], bool]:
    """Judge every question of a body; return model, questions, outcomes, and whether to explain."""
    body = await body_of(request)
    served = serving().judge(body.get("model"))
    why, left_s = options_of(request, body)
    questions = questions_of(body)
    lane, tasks = served.reasons if why else served.scores, [one.task for one in questions]
    outcomes = _graded(await outcomes_of(request.app[SERVICE], lane, tasks, left_s))
    return served.name, questions, outcomes, why


async def _chat(request: web.Request) -> web.Response:
    body = await body_of(request)
    served, (_, left_s) = serving().judge(body.get("model")), options_of(request, body)
    tasks = [chat.task_of(body)]
    (outcome,) = _graded(await outcomes_of(request.app[SERVICE], served.reasons, tasks, left_s))
    return json_response(chat.answer(_new_id("chatcmpl"), served.name, outcome))


async def _decided(
    request: web.Request, samples_of: Callable[[Mapping[str, Any]], list[Sample]]
) -> tuple[BoundPolicy, list[guardrails.Judged]]:
    """Answer a guardrail request with the policy named in its body or query, or the first."""
    body = await body_of(request)
    given = body.get("additional_provider_specific_params") or {}
    named = given.get("policy") if isinstance(given, Mapping) else None
    policy = serving().policy(body.get("policy", request.query.get("policy", named)))
    samples, (why, left_s) = samples_of(body), options_of(request, body)
    return policy, await verdicts_of(request.app[SERVICE], policy, samples, left_s, why=why)


async def _litellm(request: web.Request) -> web.Response:
    _, judged = await _decided(request, guardrails.litellm_samples)
    return json_response(guardrails.litellm_answer(judged))


async def _moderations(request: web.Request) -> web.Response:
    policy, judged = await _decided(request, guardrails.moderation_samples)
    return json_response(guardrails.moderation_answer(_new_id("modr"), policy.name, judged))


async def _classify(request: web.Request) -> web.Response:
    policy, judged = await _decided(request, guardrails.moderation_samples)
    return json_response(guardrails.classify_answer(_new_id("classify"), policy.name, judged))


async def _validate(request: web.Request) -> web.Response:
    _, judged = await _decided(request, guardrails.rows_to_validate)
    return json_response(guardrails.validation_answer(judged))


def _graded(outcomes: Sequence[Outcome]) -> list[Judgment | Failure]:
    return [one for one in outcomes if not isinstance(one, Comparison)]


def _usage(outcomes: Sequence[Judgment | Failure]) -> Usage:
    return sum((one.usage for one in outcomes), Usage())


def _new_id(kind: str) -> str:
    return f"{kind}-{secrets.token_hex(12)}"


ROUTES = [
    web.post("/v1/decisions", _decisions),
    web.post("/v1/systemone", _systemone),
    web.post("/v1/chat/completions", _chat),
    web.post("/v1/moderations", _moderations),
    web.post("/classify", _classify),
    web.post("/v1/validate", _validate),
    web.post("/beta/litellm_basic_guardrail_api", _litellm),
]
