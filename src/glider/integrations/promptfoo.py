"""promptfoo: an assertion by a criterion, and a grader for its own `llm-rubric`.

promptfoo has no place for a missing score: a failed judgment is raised, which fails its test with
the score 0 and no named score; `not-` does not turn that around, as it does a returned result.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from glider.core.criteria import Criterion
from glider.core.errors import GliderError
from glider.integrations.shared import CriteriaJudge, JudgeLike, opened
from glider.serve.wires import chat
from glider.serve.wires.base import WireError

Answer = dict[str, Any]


def assertion(
    criterion: str | Criterion,
    judge: JudgeLike = "embedded",
    threshold: float = 0.5,
    maps: Mapping[str, str] | None = None,
) -> Callable[[Any, Mapping[str, Any]], Answer]:
    """Make `get_assert` of a file that an assertion of type `python` names.

    The prompt is the input; other fields come from the variables, by `maps`.

    Args:
        threshold: least score that passes, from 0 (lowest level) to 1 (highest).
        maps: `{"context": "vars.document"}`.
    """
    asked = CriteriaJudge(criterion, judge, maps=maps)

    def get_assert(output: Any, context: Mapping[str, Any]) -> Answer:
        texts = {"output": output, "input": context.get("prompt"), "vars": context.get("vars")}
        (reply,) = asked.ask(texts)
        reply.outcome.or_raise()
        assert reply.share is not None
        return {
            "pass": reply.share >= threshold,
            "score": reply.share,
            "reason": reply.said,
            "namedScores": {reply.criterion.name: reply.share},
            "metadata": {"glider": reply.record},
        }

    return get_assert


def grader(
    judge: JudgeLike = "embedded",
) -> Callable[[str, Mapping[str, Any], Mapping[str, Any]], Answer]:
    """Make `call_api` of a file that `llm-rubric` names as its provider.

    It answers promptfoo's grading prompts only: the rubric's text as a question of yes or no.
    """

    def call_api(prompt: str, options: Mapping[str, Any], context: Mapping[str, Any]) -> Answer:
        try:
            messages = json.loads(prompt)
        except ValueError:
            messages = [{"role": "user", "content": prompt}]
        judging = opened(judge)
        try:
            task = chat.task_of({"messages": messages})
            (outcome,) = judging.judge_many([task])
            completion = chat.answer("", judging.id, outcome)  # type: ignore[arg-type]
        except (GliderError, WireError) as error:
            return {"error": str(error)}
        return {"output": completion["choices"][0]["message"]["content"]}

    return call_api
