"""openevals and LangSmith: a criterion or several as an evaluator.

It is a plain function, so it needs neither package. A failed judgment has the score None, with
stage and code in the comment: no feedback in LangSmith's means.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from glider.integrations.shared import Criteria, CriteriaJudge, JudgeLike, Reply, sole_text

Result = dict[str, Any]
"""`key`, `score` from 0 to 1 or None, `comment`, `metadata` with the outcome and its spans."""


class Evaluator(Protocol):
    """What openevals and `langsmith.evaluate` call."""

    def __call__(
        self,
        *,
        inputs: Any = None,
        outputs: Any,
        reference_outputs: Any = None,
        **more: Any,
    ) -> Result | list[Result]:
        """One result, or a list of them where there are several criteria."""


def glider_evaluator(
    criteria: Criteria, judge: JudgeLike = "embedded", maps: Mapping[str, str] | None = None
) -> Evaluator:
    """Make an evaluator.

    A dictionary that holds one text stands for that text; of others, name it in `maps`.

    Args:
        maps: `{"input": "inputs.question", "output": "outputs.answer"}`.
    """
    asked = CriteriaJudge(criteria, judge, preset="openevals", maps=maps)

    def evaluator(
        *, inputs: Any = None, outputs: Any, reference_outputs: Any = None, **more: Any
    ) -> Result | list[Result]:
        named = {"inputs": inputs, "outputs": outputs, "reference_outputs": reference_outputs}
        if maps is None:
            named = {name: sole_text(value) for name, value in named.items()}
        results = [_result(reply) for reply in asked.ask({**more, **named})]
        return results if len(results) > 1 else results[0]

    evaluator.__name__ = "glider"
    return evaluator


def _result(reply: Reply) -> Result:
    return {
        "key": reply.criterion.name,
        "score": reply.share,
        "comment": reply.said,
        "metadata": reply.record,
    }
