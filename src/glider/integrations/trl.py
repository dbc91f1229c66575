"""TRL: a criterion as a reward function of GRPO and its relatives.

A judgment that failed is None, and a completion without any reward moves nothing. Beside other
reward functions None is only neutral under `multi_objective_aggregation="normalize_then_sum"`: by
TRL's default, `sum_then_normalize`, it counts as a reward of 0, the lowest level.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glider.core.criteria import Criterion
from glider.integrations.shared import CriteriaJudge, JudgeLike


class GliderReward:
    """Rewards from 0 (lowest level) to 1 (highest), for `reward_funcs`.

    Logs the share of failed judgments as `glider/NAME/failed`, and reasons beside completions.
    """

    def __init__(
        self,
        criterion: str | Criterion,
        judge: JudgeLike = "embedded",
        maps: Mapping[str, str] | None = None,
    ) -> None:
        """Set up a reward.

        Args:
            maps: further fields, by column of the dataset: `{"reference": "answer"}`.
        """
        self._asked = CriteriaJudge(criterion, judge, preset="completion", maps=maps)
        (self._name,) = self._asked.names
        self.__name__ = f"glider_{self._name}"

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        log_metric: Callable[[str, float], None] | None = None,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One reward for each completion, in order; None where the judgment failed."""
        of_rows = {
            name: values
            for name, values in columns.items()
            if isinstance(values, Sequence) and len(values) == len(completions)
        }
        replies = self._asked.ask_all(
            {name: values[n] for name, values in of_rows.items()}
            | {"prompt": prompt, "completion": completion}
            for n, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
        )
        rewards = [reply.share for (reply,) in replies]
        if log_metric is not None and rewards:
            log_metric(f"glider/{self._name}/failed", rewards.count(None) / len(rewards))
        if log_extra is not None:
            log_extra(f"glider {self._name}", [reply.said for (reply,) in replies])
        return rewards
