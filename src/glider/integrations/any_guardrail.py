"""any-guardrail: a criterion as a guardrail.

A failed judgment raises `JudgmentFailed`: its result type needs a verdict, and there is none.
"""

from collections.abc import Mapping
from typing import Any

from any_guardrail import Guardrail, GuardrailOutput, GuardrailUsage, SpanResult

from glider.core.criteria import Criterion
from glider.integrations.shared import JudgeLike, PassingScore


class GliderGuardrail(Guardrail):
    """Valid is a text whose expected score is `pass_from` or more.

    `score` is any-guardrail's risk: 0 for the highest level, 1 for the lowest.
    """

    def __init__(
        self,
        criterion: str | Criterion,
        pass_from: float,
        judge: JudgeLike = "embedded",
        maps: Mapping[str, str] | None = None,
    ) -> None:
        """Set up a guardrail.

        Args:
            pass_from: least score that is valid, on the rubric's scale.
        """
        self._passing = PassingScore(criterion, pass_from, judge, maps)

    def validate(self, output: str, **texts: Any) -> GuardrailOutput:
        """Judge a text.

        Args:
            texts: `input`, `context`, `reference`, or others by `maps`.

        Raises:
            JudgmentFailed: there is no judgment.
        """
        checked = self._passing.check({**texts, "output": output})
        judgment = checked.judgment
        return GuardrailOutput(
            valid=checked.passes,
            explanation=judgment.reasoning,
            score=1 - checked.share,
            spans=[
                SpanResult(start=span.start, end=span.end, text=phrase, label=judgment.criterion)
                for phrase, span in checked.spans
            ],
            usage=GuardrailUsage(
                model_id=judgment.judge,
                latency_ms=1000 * judgment.usage.seconds,
                prompt_tokens=judgment.usage.prompt_tokens,
                completion_tokens=judgment.usage.completion_tokens,
            ),
            extra={"glider": checked.reply.record},
        )
