"""TypeSafe's System One: `POST /v1/systemone`, named questions about a state.

Levels are numbered from 0, `score` is the expected number. The wire has no refusal: a question that
fails fails the whole request, with its type, rather than being answered by a guess.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from glider.core.criteria import LiteralCriterion, Rubric
from glider.core.judgments import Failure, Judgment, Usage
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.serve.wires.base import Question, WireError, confidence, told
from glider.serve.wires.decisions import MOST_LEVELS, MOST_QUESTIONS


def questions(body: Mapping[str, Any]) -> list[Question]:
    """The questions of a body, in its order.

    Raises:
        WireError: 422, with the place that is wrong.
    """
    state = body.get("state")
    text = state if isinstance(state, str) else json.dumps(state, ensure_ascii=False, indent=1)
    if state in (None, "", [], {}):
        raise WireError("state is empty", param="state")
    if body.get("assets"):
        raise WireError("assets are not judged here", param="assets")
    asked = body.get("questions")
    if not isinstance(asked, Mapping) or not asked or len(asked) > MOST_QUESTIONS:
        raise WireError("questions maps names to questions, 1 to 400", param="questions")
    sample = Sample.of(text)
    return [_question(name, one, sample) for name, one in asked.items()]


def _question(name: str, asked: Any, sample: Sample) -> Question:
    where = f"questions.{name}"
    if not isinstance(asked, Mapping):
        raise WireError(f"{where} is no object", param=where)
    if not name.strip():
        raise WireError("questions: a name is empty", param="questions")
    kind, criteria = asked.get("type"), asked.get("criteria")
    question = str(asked.get("instructions") or "").strip() or name.strip()
    if kind == "noul":
        told_of = criteria if isinstance(criteria, Mapping) else {}
        labels: tuple[Any, ...] = ("false", "true")
        texts = [
            str(told_of.get("false") or "No, this does not hold."),
            str(told_of.get("true") or "Yes, this holds."),
        ]
    elif kind == "choice":
        if not isinstance(criteria, Mapping):
            raise WireError(f"{where}.criteria maps labels to descriptions", param=where)
        labels = tuple(criteria)
        texts = [f"{label}: {text}" if text else str(label) for label, text in criteria.items()]
    elif kind == "score":
        if not isinstance(criteria, Sequence) or isinstance(criteria, str):
            raise WireError(f"{where}.criteria lists the levels, lowest first", param=where)
        labels = tuple(str(n) for n in range(len(criteria)))
        texts = [str(text) for text in criteria]
    else:
        raise WireError(f"{where}.type {kind!r} is not answered here", param=where)
    if not 2 <= len(labels) <= MOST_LEVELS:
        raise WireError(
            f"{where}: this judge tells 2 to {MOST_LEVELS} apart, not {len(labels)}", param=where
        )
    if not all(text.strip() for text in texts):
        raise WireError(f"{where}: a level has no description", param=where)
    rubric = Rubric(levels=dict(enumerate(texts)))
    criterion = LiteralCriterion(name=name, question=question, rubric=rubric)
    return Question(name, str(kind), JudgeTask(sample, criterion), labels)


def answer(question: Question, outcome: Judgment | Failure, *, why: bool) -> dict[str, Any]:
    """One answer.

    Raises:
        WireError: it failed, or the model tells no probabilities.
    """
    if isinstance(outcome, Failure):
        too_long = outcome.code == "prompt_too_long"
        raise WireError(
            f"{question.key}: {outcome.message}",
            status=400 if too_long else (503 if outcome.retryable else 422),
            code="max_tokens_exceeded" if too_long else outcome.code,
            param=f"questions.{question.key}",
        )
    if outcome.score_probs is None:
        raise WireError(
            "this model tells no probabilities, and none are made up", code="no_distribution"
        )
    probs = [outcome.score_probs[level] for level in question.task.criterion.rubric.scores]
    best = max(range(len(probs)), key=probs.__getitem__)
    body: dict[str, Any] = {"type": question.kind}
    if question.kind == "noul":
        body["noul"] = probs[1]
    elif question.kind == "choice":
        body |= {
            "choice": question.labels[best],
            "confidence": confidence(probs),
            "probabilities": dict(zip(question.labels, probs, strict=True)),
        }
    else:
        levels = question.task.criterion.rubric.levels
        body |= {
            "score": sum(n * p for n, p in enumerate(probs)),
            "confidence": confidence(probs),
            "legend": {str(n): text for n, text in levels.items()},
            "probabilities": {str(n): p for n, p in enumerate(probs)},
        }
    if why:
        body["glider"] = told(outcome)
    return body


def response(
    model: str,
    questions: Sequence[Question],
    outcomes: Sequence[Judgment | Failure],
    usage: Usage,
    *,
    why: bool,
) -> dict[str, Any]:
    """The whole body.

    Raises:
        WireError: a question could not be answered.
    """
    pairs = list(zip(questions, outcomes, strict=True))
    return {
        "model": model,
        "answers": {str(q.key): answer(q, outcome, why=why) for q, outcome in pairs},
        "usage": {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens},
        "diagnostics": {
            str(q.key): _diagnostics(outcome)
            for q, outcome in pairs
            if isinstance(outcome, Judgment)
        },
    }


def _diagnostics(outcome: Judgment) -> dict[str, Any]:
    """How much probability lay on the labels, and whether the likeliest token is one, if known."""
    told: dict[str, Any] = {"label_mass": outcome.mass}
    if outcome.mass is not None and outcome.score_probs:
        likeliest = outcome.mass * max(outcome.score_probs.values())
        if likeliest >= 1 - outcome.mass:
            told["argmax_is_label"] = True
    return told
