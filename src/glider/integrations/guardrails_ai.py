"""Guardrails AI: a criterion as a validator.

A text passes from a score on; what decided it against it comes as `error_spans`. A failed judgment
neither passes nor fails: it raises, whatever `on_fail` says.
"""

from collections.abc import Mapping
from typing import Any

from guardrails.validator_base import Validator, register_validator
from guardrails_ai.types import ErrorSpan, FailResult, PassResult, ValidationResult

from glider.core.criteria import Criterion
from glider.integrations.shared import JudgeLike, PassingScore


@register_validator(name="glider/judge", data_type="string")
class GliderValidator(Validator):
    """Passes a text whose expected score is `pass_from` or more."""

    def __init__(
        self,
        criterion: str | Criterion,
        pass_from: float,
        judge: JudgeLike = "embedded",
        maps: Mapping[str, str] | None = None,
        on_fail: Any = None,
    ) -> None:
        """Set up a validator.

        The guard's metadata are further texts: `input`, `context`, `reference`, or by `maps`.

        Args:
            pass_from: least score that passes, on the rubric's scale.
            on_fail: what Guardrails does with a text that does not pass; by default it raises.
        """
        super().__init__(on_fail=on_fail)
        self._passing = PassingScore(criterion, pass_from, judge, maps)

    def _validate(self, value: Any, metadata: dict[str, Any]) -> ValidationResult:
        """Judge one text.

        Raises:
            JudgmentFailed: there is no judgment.
        """
        checked = self._passing.check({**metadata, "output": value})
        told = {"glider": checked.reply.record}
        if checked.passes:
            return PassResult(metadata=told)
        name = self._passing.criterion.name
        spans = [
            ErrorSpan(start=span.start, end=span.end, reason=name) for _, span in checked.spans
        ]
        below = f"{name}: {checked.points:.2f} is below {self._passing.pass_from:g}."
        return FailResult(
            error_message=f"{below} {checked.reply.said}", error_spans=spans, metadata=told
        )
