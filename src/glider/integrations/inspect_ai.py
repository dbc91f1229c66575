"""Inspect: a scorer, `glider/judge` by name, of running evaluations and of logs.

    inspect score log.eval --scorer glider/judge -S criteria=faithfulness

One value for each criterion, on its rubric's scale; a failed judgment is NaN there, which Inspect
leaves out of its metrics and counts in `unscored_samples`.
"""

import math
from collections.abc import Mapping
from typing import Any

import anyio
import sniffio
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState

from glider.integrations.shared import Criteria, CriteriaJudge, JudgeLike, Reply


@scorer(metrics={"*": [mean(), stderr()]}, name="judge")
def glider_scorer(
    criteria: Criteria, judge: JudgeLike = "embedded", maps: Mapping[str, str] | None = None
) -> Scorer:
    """Judge each sample's last answer under the criteria.

    Input is the conversation before the answer, context the system message, reference the target.

    Args:
        maps: further fields, from the sample's metadata: `{"context": "metadata.document"}`.
    """
    asked = CriteriaJudge(criteria, judge, preset="inspect", maps=maps)

    async def score(state: TaskState, target: Target) -> Score:
        texts = {
            "id": str(state.sample_id),
            "epoch": state.epoch,
            "target": target.text,
            "messages": [message.model_dump() for message in state.messages],
            "output": {"completion": state.output.completion},
            "metadata": state.metadata,
        }
        if sniffio.current_async_library() == "asyncio":
            return _score(await asked.ask_async(texts), state.output.completion)
        replies = await anyio.to_thread.run_sync(asked.ask, texts)
        return _score(replies, state.output.completion)

    return score


def _score(replies: list[Reply], answer: str) -> Score:
    failed = any(reply.error for reply in replies)
    several = len(replies) > 1
    said = [f"{r.criterion.name}: {r.said}" if several else r.said for r in replies]
    metadata: dict[str, Any] = {reply.criterion.name: reply.record for reply in replies}
    return Score(
        value={r.criterion.name: math.nan if r.points is None else r.points for r in replies},
        answer=answer,
        explanation="\n".join(said),
        metadata=metadata,
        reason="grader_failed" if failed else None,
    )
