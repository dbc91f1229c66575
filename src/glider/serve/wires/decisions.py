"""OpenAI's Decisions: `POST /v1/decisions`, typed questions in, probabilities out.

A question's levels are numbered from 0 on this wire, and `score` is the expected number; the
caller's own names of levels travel in `label`. A question that cannot be answered with a
distribution is a `refusal` with our typed failure in `error`; nothing is ever made up. Reasons and
spans stand under `glider`, where they are asked for.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from glider.core.criteria import LiteralCriterion, Rubric
from glider.core.judgments import Failure, Judgment, Usage
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.serve.wires.base import Question, WireError, confidence, failed, text_of, told

MOST_QUESTIONS = 400
MOST_LEVELS = 11
"""Of our rubrics; a choice among more is refused and says so."""
_ROLES = ("user", "assistant", "system", "developer")


def questions(body: Mapping[str, Any]) -> list[Question]:
    """The questions of a body, in its order.

    Raises:
        WireError: 422, with the place that is wrong.
    """
    sample = sample_of(body.get("input"))
    asked = body.get("questions")
    if not isinstance(asked, Sequence) or isinstance(asked, str) or not asked:
        raise WireError("questions is a list of at least one question", param="questions")
    if len(asked) > MOST_QUESTIONS:
        raise WireError(f"at most {MOST_QUESTIONS} questions, not {len(asked)}", param="questions")
    return [_question(one, n, sample) for n, one in enumerate(asked)]


def _question(asked: Any, n: int, sample: Sample) -> Question:
    where = f"questions[{n}]"
    if not isinstance(asked, Mapping):
        raise WireError(f"{where} is no object", param=where)
    kind, name = asked.get("type"), asked.get("name")
    told_question = text_of(asked.get("instructions"), param=f"{where}.instructions").strip()
    if not told_question:
        raise WireError(f"{where}.instructions is empty", param=f"{where}.instructions")
    if name is not None and not isinstance(name, str):
        raise WireError(f"{where}.name is a text", param=f"{where}.name")
    if kind == "predicate":
        labels: tuple[Any, ...] = (False, True)
        texts = ["No, this does not hold.", "Yes, this holds."]
    elif kind == "choice":
        choices = _listed(asked, "choices", where)
        labels = tuple(_value(choice, where) for choice in choices)
        keys = [(type(label), label) for label in labels]
        if len(set(keys)) < len(keys):
            raise WireError(f"{where}.choices has a value twice", param=f"{where}.choices")
        texts = [_described(choice, label) for choice, label in zip(choices, labels, strict=True)]
    elif kind == "score":
        levels = _listed(asked, "levels", where)
        labels = tuple(str(level.get("label", "")) for level in levels)
        texts = [_described(level, label) for level, label in zip(levels, labels, strict=True)]
    else:
        raise WireError(f"{where}.type is predicate, choice or score, not {kind!r}", param=where)
    criterion = LiteralCriterion(
        name=(name or "").strip() or f"question-{n}",
        question=told_question,
        rubric=Rubric(levels=dict(enumerate(texts))),
    )
    return Question(name, str(kind), JudgeTask(sample, criterion), labels)


def _listed(asked: Mapping[str, Any], key: str, where: str) -> list[Mapping[str, Any]]:
    found = asked.get(key)
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise WireError(f"{where}.{key} is a list", param=f"{where}.{key}")
    if not 2 <= len(found) <= MOST_LEVELS:
        raise WireError(
            f"{where}.{key}: this judge tells 2 to {MOST_LEVELS} apart, not {len(found)}",
            param=f"{where}.{key}",
            code="too_many_levels" if len(found) > MOST_LEVELS else "bad_request",
        )
    if not all(isinstance(one, Mapping) for one in found):
        raise WireError(f"{where}.{key} holds objects", param=f"{where}.{key}")
    return list(found)


def _value(choice: Mapping[str, Any], where: str) -> str | bool:
    value = choice.get("value")
    if not isinstance(value, str | bool):
        raise WireError(f"{where}.choices: a value is a text or a boolean", param=where)
    return value


def _described(level: Mapping[str, Any], label: Any) -> str:
    name = str(label).strip()
    description = str(level.get("description") or "").strip()
    return f"{name}: {description}" if name and description else description or name or "this one"


def sample_of(value: Any) -> Sample:
    """What is judged: a text, or a talk whose last turn is judged and the others are its input.

    Raises:
        WireError: there is no text.
    """
    if isinstance(value, str):
        if not value.strip():
            raise WireError("input is empty", param="input")
        return Sample.of(value)
    if not isinstance(value, Sequence) or not value:
        raise WireError("input is a text or a list of messages", param="input")
    turns: list[tuple[str, str]] = []
    for n, message in enumerate(value):
        where = f"input[{n}]"
        if not isinstance(message, Mapping):
            raise WireError(f"{where} is no object", param=where)
        turns.append(_turn(message, where))
    *before, (role, text) = turns
    if not before and role != "assistant":
        return Sample.of(text)
    fields = (
        [Field(name="input", text="\n".join(f"{r}: {t}" for r, t in before), role="input")]
        if before
        else []
    )
    return Sample(id="request", fields=(*fields, Field(name="output", text=text, role="judged")))


def _turn(message: Mapping[str, Any], where: str) -> tuple[str, str]:
    kind = message.get("type", "message")
    if kind == "message":
        role = message.get("role")
        if role not in _ROLES:
            raise WireError(f"{where}.role is one of {', '.join(_ROLES)}", param=where)
        return str(role), text_of(message.get("content"), param=f"{where}.content")
    if kind in ("function_call", "custom_tool_call"):
        called = message.get("arguments", message.get("input", ""))
        return "call", f"{message.get('name', 'tool')}({called})"
    if kind in ("function_call_output", "custom_tool_call_output"):
        return "result", text_of(message.get("output", ""), param=f"{where}.output")
    raise WireError(f"{where}: an item of type {kind!r} is not judged here", param=where)


def answer(question: Question, outcome: Judgment | Failure, *, why: bool) -> dict[str, Any]:
    """One answer.

    Args:
        why: add reasoning and highlights under `glider`.
    """
    refusal: dict[str, Any] = {"type": "refusal", "name": question.key}
    if isinstance(outcome, Failure):
        return {**refusal, "error": failed(outcome)}
    if outcome.score_probs is None:
        error = {
            "stage": "read",
            "code": "no_distribution",
            "message": "this model tells no probabilities, and none are made up",
            "retryable": False,
        }
        return {**refusal, "error": error}
    probs = [outcome.score_probs[level] for level in question.task.criterion.rubric.scores]
    body: dict[str, Any] = {"type": question.kind, "name": question.key}
    best = max(range(len(probs)), key=probs.__getitem__)
    if question.kind == "predicate":
        body["probability"] = probs[1]
    elif question.kind == "choice":
        body |= {
            "choice": question.labels[best],
            "confidence": confidence(probs),
            "probabilities": [
                {"value": label, "probability": p}
                for label, p in zip(question.labels, probs, strict=True)
            ],
        }
    else:
        body |= {
            "score": sum(n * p for n, p in enumerate(probs)),
            "confidence": confidence(probs),
            "probabilities": [
                {"value": n, "label": label, "probability": p}
                for n, (label, p) in enumerate(zip(question.labels, probs, strict=True))
            ],
        }
    body["label_mass"] = outcome.mass
    if why:
        body["glider"] = told(outcome)
    return body


def response(model: str, answers: Sequence[dict[str, Any]], usage: Usage) -> dict[str, Any]:
    """The whole body."""
    return {
        "model": model,
        "answers": list(answers),
        "usage": {
            "input_tokens": usage.prompt_tokens,
            "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
            "output_tokens": usage.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        },
    }
