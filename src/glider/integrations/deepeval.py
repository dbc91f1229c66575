"""deepeval: a metric for each criterion.

A failed judgment raises, as deepeval's own metrics do: with `ErrorConfig(ignore_errors=True)` the
test case gets the error and no score, otherwise the evaluation ends.
"""

import json
from collections.abc import Mapping
from typing import Any

from deepeval.metrics import BaseMetric
from deepeval.test_case import LLMTestCase

from glider.core.criteria import Criterion
from glider.integrations.shared import CriteriaJudge, JudgeLike, Reply


class GliderMetric(BaseMetric):
    """One criterion as a metric: `score` from 0 (lowest level) to 1 (highest).

    `reason` is the reasoning with the quoted phrases; `verbose_logs` the whole outcome as JSON,
    with spans in code points of `actual_output`.
    """

    def __init__(
        self,
        criterion: str | Criterion,
        judge: JudgeLike = "embedded",
        threshold: float = 0.5,
        maps: Mapping[str, str] | None = None,
    ) -> None:
        """Set up a metric.

        Args:
            threshold: least score that passes, from 0 to 1.
            maps: further fields of the sample, by attribute of the test case:
                `{"persona": "metadata.persona"}`.
        """
        # deepeval copies a metric by calling this with the attributes of these names.
        self.criterion, self.judge, self.threshold, self.maps = criterion, judge, threshold, maps
        self._asked = CriteriaJudge(criterion, judge, preset="deepeval", maps=maps)
        (self._name,) = self._asked.names

    @property
    def __name__(self) -> str:  # type: ignore[override]
        return f"{self._name} [Glider]"

    def measure(self, test_case: LLMTestCase, *args: Any, **more: Any) -> float:
        (reply,) = self._asked.ask(_texts(test_case))
        return self._take(reply)

    async def a_measure(self, test_case: LLMTestCase, *args: Any, **more: Any) -> float:
        (reply,) = await self._asked.ask_async(_texts(test_case))
        return self._take(reply)

    def _take(self, reply: Reply) -> float:
        self.score, self.reason, self.success = None, None, None
        self.evaluation_model = reply.outcome.judge
        self.verbose_logs = json.dumps(reply.record, ensure_ascii=False)
        judgment = reply.outcome.or_raise()
        assert reply.share is not None
        self.score, self.reason, self.error = reply.share, reply.said, None
        self.score_breakdown = dict(judgment.score_probs or {})
        self.success = self.score >= self.threshold
        return self.score


def _texts(test_case: LLMTestCase) -> dict[str, Any]:
    names = ("input", "actual_output", "expected_output", "context", "retrieval_context")
    return {name: getattr(test_case, name) for name in (*names, "metadata")}
