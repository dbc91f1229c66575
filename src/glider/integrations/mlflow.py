"""MLflow: a scorer for `mlflow.genai.evaluate`, one for each criterion.

A failed judgment is a feedback with an error and no value, which MLflow leaves out of its means.
"""

import json
from collections.abc import Mapping
from typing import Any

from mlflow.entities import AssessmentError, AssessmentSource, Feedback
from mlflow.genai.scorers import Scorer
from pydantic import PrivateAttr

from glider.core.criteria import Criterion
from glider.integrations.shared import CriteriaJudge, JudgeLike, Reply, sole_text


class GliderScorer(Scorer):
    """One criterion as a scorer: the value is on its rubric's scale, the rationale the reasoning.

    The whole outcome, with spans, is JSON in the feedback's metadata under `glider`.
    """

    _asked: CriteriaJudge = PrivateAttr()
    _named: bool = PrivateAttr()

    def __init__(
        self,
        criterion: str | Criterion,
        judge: JudgeLike = "embedded",
        maps: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """Set up a scorer.

        A dictionary that holds one text stands for that text; of others, name it in `maps`.

        Args:
            maps: `{"input": "inputs.question", "context": "inputs.page"}`.
            more: of MLflow's `Scorer`: `aggregations`, `description`, `timeout`.
        """
        asked = CriteriaJudge(criterion, judge, preset="mlflow", maps=maps)
        (name,) = asked.names
        super().__init__(**{"name": name, "aggregations": ["mean"], **more})
        self._asked, self._named = asked, maps is not None

    def __call__(
        self, *, inputs: Any = None, outputs: Any = None, expectations: Any = None
    ) -> Feedback:
        """The judgment of one row as a feedback."""
        texts = {"inputs": inputs, "outputs": outputs, "expectations": expectations}
        if not self._named:
            texts = {name: sole_text(value) for name, value in texts.items()}
        (reply,) = self._asked.ask(texts)
        return _feedback(reply)


def _feedback(reply: Reply) -> Feedback:
    outcome = reply.outcome
    error = None
    if outcome.kind == "failure":
        code = f"{outcome.stage}/{outcome.code}"
        error = AssessmentError(error_code=code, error_message=outcome.message)
    return Feedback(
        name=reply.criterion.name,
        value=reply.points,
        rationale=None if error else reply.said,
        error=error,
        source=AssessmentSource(source_type="LLM_JUDGE", source_id=outcome.judge),
        metadata={"glider": json.dumps(reply.record, ensure_ascii=False)},
    )
