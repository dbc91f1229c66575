"""Phoenix: one evaluator of one criterion or several.

A failed judgment is a score without a number, with stage and code as its explanation. It is not
raised, since Phoenix would ask ten times more and then end.
"""

from collections.abc import Mapping
from typing import Any

from phoenix.evals import Score
from phoenix.evals.evaluators import Evaluator
from pydantic import BaseModel, ConfigDict

from glider.integrations.shared import Criteria, CriteriaJudge, JudgeLike, Reply


class Texts(BaseModel):
    """What is judged; `bind_evaluator` maps other columns to these names."""

    model_config = ConfigDict(extra="allow")

    output: Any
    input: Any = None
    context: Any = None
    reference: Any = None


class GliderEvaluator(Evaluator):
    """A score for each criterion, on its rubric's scale; the outcome with spans in `metadata`."""

    def __init__(
        self,
        criteria: Criteria,
        judge: JudgeLike = "embedded",
        maps: Mapping[str, str] | None = None,
        name: str = "glider",
    ) -> None:
        """Set up an evaluator."""
        super().__init__(name=name, kind="llm", direction="maximize", input_schema=Texts)
        self._asked = CriteriaJudge(criteria, judge, maps=maps)

    def _evaluate(self, eval_input: Mapping[str, Any]) -> list[Score]:
        return list(map(_score, self._asked.ask(eval_input)))

    async def _async_evaluate(self, eval_input: Mapping[str, Any]) -> list[Score]:
        return list(map(_score, await self._asked.ask_async(eval_input)))


def _score(reply: Reply) -> Score:
    return Score(
        name=reply.criterion.name,
        score=reply.points,
        explanation=reply.said,
        metadata=reply.record,
        kind="llm",
        direction="maximize",
    )
