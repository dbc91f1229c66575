"""`POST /v1/chat/completions` for judge prompts that can be told: promptfoo's `llm-rubric`.

Any other chat is refused: this server judges and does not talk. `reason`, `score` and `pass` are
always sent, since promptfoo takes a missing `pass` for a pass. A failure is an HTTP error.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from glider.core.criteria import LiteralCriterion, Rubric
from glider.core.judgments import Failure, Judgment
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.serve.wires.base import WireError, text_of

_PARTS = re.compile(r"<Output>\n(.*)\n</Output>\s*<Rubric>\n(.*)\n</Rubric>\s*", re.DOTALL)
_MEETS = Rubric(levels={0: "No, the output does not meet this.", 1: "Yes, the output meets this."})


def task_of(body: Mapping[str, Any]) -> JudgeTask:
    """What a judge prompt asks.

    Raises:
        WireError: 422; it is none that is known here, or a stream is wanted.
    """
    if body.get("stream"):
        raise WireError("a verdict is not streamed", param="stream")
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, Mapping):
        raise WireError("messages is a list of messages", param="messages")
    found = _PARTS.fullmatch(text_of(last.get("content"), param="messages").lstrip())
    if found is None or not found[1].strip() or not found[2].strip():
        raise WireError(
            "this server judges and does not chat: it knows prompts of the shape "
            "<Output>...</Output> <Rubric>...</Rubric>",
            code="no_judge_prompt",
            param="messages",
        )
    criterion = LiteralCriterion(name="llm-rubric", question=found[2].strip(), rubric=_MEETS)
    return JudgeTask(Sample.of(found[1]), criterion)


def answer(name: str, model: str, outcome: Judgment | Failure) -> dict[str, Any]:
    """A completion whose text is `{reason, score, pass}`; the score is the probability of yes.

    Raises:
        WireError: there is no judgment.
    """
    if isinstance(outcome, Failure):
        raise WireError(
            outcome.message, status=503 if outcome.retryable else 422, code=outcome.code
        )
    score = outcome.score_probs[1] if outcome.score_probs is not None else float(outcome.score)
    said = {"reason": outcome.reasoning or "", "score": score, "pass": score >= 0.5}
    message = {"role": "assistant", "content": json.dumps(said, ensure_ascii=False)}
    used = outcome.usage
    return {
        "id": name,
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "total_tokens": used.prompt_tokens + used.completion_tokens,
        },
    }
