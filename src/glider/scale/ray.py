"""For who runs `ray.data.llm` already: rows to its prompts, its answers to our outcomes.

`to_row` goes before the processor, `from_row` after it, both through `Dataset.map`. Both are plain
functions of one row and import no Ray. docs/scale.md has the recipe.
"""

import json
import math
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from glider.backends._openai_wire import LLGUIDANCE
from glider.backends.base import Backend, Capabilities, Limits, settle
from glider.backends.labels import Distribution, from_answer, is_bare_label
from glider.core.criteria import Criterion
from glider.core.errors import BackendError, BadRecord, GliderError
from glider.core.generation import Decoding, Generation, GenerationRequest
from glider.core.judgments import Comparison, Usage
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.formats import make_format
from glider.formats.base import Format, Prompt
from glider.judging.judge import Judge

_TEXTS = ("input", "context", "reference", "output")
_CARRIED = "glider"
_MOST_LOGPROBS = 20
"""vLLM's own limit, unless --max-logprobs raises it."""


def to_row(
    row: Mapping[str, Any],
    *,
    criterion: Criterion,
    format: str | Format = "nano",
    max_tokens: int | None = None,
) -> dict[str, Any]:
    """Turn a row into what `ray.data.llm` takes: `messages`, `sampling_params` and its own texts.

    A row that cannot be asked becomes a prompt of one word, so that a job does not end over it;
    `from_row` says what was wrong.

    Args:
        row: `output`, and `input`, `context`, `reference` and `id` where there are any.
        format: prompt format; it must be the one that `from_row` is given.
        max_tokens: longest answer; default is the format's own limit.
    """
    kept = {name: row[name] for name in (*_TEXTS, "id") if row.get(name) is not None}
    carried = json.dumps(kept | {"max_tokens": max_tokens})
    try:
        prompt = _made(format).render(JudgeTask(_sample(row), criterion))
    except GliderError:
        return {
            "messages": [{"role": "user", "content": "-"}],
            "sampling_params": {"max_tokens": 1},
            _CARRIED: carried,
        }
    messages = [{"role": m.role, "content": m.content} for m in prompt.messages]
    if prompt.opening:
        # Ray continues a conversation whose last turn is the assistant's.
        messages.append({"role": "assistant", "content": prompt.opening})
    sampling: dict[str, Any] = {
        "temperature": 0.0,
        "max_tokens": max_tokens or prompt.max_tokens,
        "seed": 0,
    }
    if prompt.labels is not None:
        sampling["logprobs"] = _MOST_LOGPROBS
    if prompt.grammar is not None and not _is_bare(prompt, sampling["max_tokens"]):
        sampling["structured_outputs"] = {"grammar": LLGUIDANCE + prompt.grammar.lark}
    return {"messages": messages, "sampling_params": sampling, _CARRIED: carried}


def from_row(
    row: Mapping[str, Any],
    *,
    criterion: Criterion,
    judge: str,
    format: str | Format = "nano",
) -> dict[str, Any]:
    """Turn an answered row into an outcome, read as `glider judge` reads it.

    Args:
        row: what came out of the processor, with `__inference_error__` if that went wrong.
        judge: what to record as the model: provider/model@revision.

    Returns:
        `id`, `criterion`, `kind`, `score`, `expected`, `code` (None where not applicable), and
        `outcome`: the whole record as JSON, as in a journal.
    """
    carried = json.loads(row[_CARRIED])
    try:
        task = JudgeTask(_sample(carried), criterion)
    except GliderError as error:
        return _flat({
            "version": 1, "task_id": "", "sample_id": str(carried.get("id", "")),
            "criterion": criterion.name, "judge": judge, "kind": "failure", "stage": "load",
            "code": error.code, "message": str(error), "retryable": False,
        })  # fmt: skip
    reader = Judge(_Answered(row, judge), format=_made(format), max_tokens=carried["max_tokens"])
    (outcome,) = reader.judge_many([task])
    assert not isinstance(outcome, Comparison)
    return _flat(outcome.model_dump(mode="json"))


def _is_bare(prompt: Prompt, max_tokens: int) -> bool:
    return is_bare_label(
        GenerationRequest(
            id="",
            messages=prompt.messages,
            opening=prompt.opening,
            labels=prompt.labels,
            decoding=Decoding(max_tokens=max_tokens),
        )
    )


def _flat(outcome: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": outcome["sample_id"],
        "criterion": outcome["criterion"],
        "kind": outcome["kind"],
        "score": outcome.get("score"),
        "expected": outcome.get("expected"),
        "code": outcome.get("code"),
        "outcome": json.dumps(outcome, ensure_ascii=False),
    }


def _made(format: str | Format) -> Format:
    return make_format(format) if isinstance(format, str) else format


def _sample(row: Mapping[str, Any]) -> Sample:
    texts = {name: row[name] for name in _TEXTS if row.get(name) is not None}
    if "output" not in texts or not all(isinstance(text, str) for text in texts.values()):
        named = ", ".join(map(repr, row)) or "none"
        raise BadRecord(f"a row needs a text in the column 'output'; its columns: {named}")
    given = row.get("id")
    return Sample.of(**texts, id=None if given is None else str(given))


class _Answered(Backend):
    """Gives the answer that a row has already."""

    def __init__(self, row: Mapping[str, Any], judge: str) -> None:
        self.id = judge
        self.limits = Limits(in_flight=1)
        self.capabilities = Capabilities(label_logprobs=True)
        self._row = row

    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        future: Future[Generation] = Future()
        settle(future, self._answer(request))
        return future

    def _answer(self, request: GenerationRequest) -> Generation | BackendError:
        row = self._row
        if row.get("__inference_error__"):
            error = BackendError(str(row["__inference_error__"]))
            error.retryable = True
            return error
        text = str(row.get("generated_text") or "")
        # Ray drops why an answer ended; one of full length did not end by itself.
        n, most = int(row.get("num_generated_tokens") or 0), request.decoding.max_tokens
        tokens = _tokens(row)
        found = None
        if request.labels and tokens:
            found = from_answer(request.labels, request.opening, tokens, lambda _: None)
        bare = is_bare_label(request)
        if bare and found:
            text = max(found, key=found.__getitem__)
        return Generation(
            text=request.opening + text,
            finish="length" if n >= most else "stop",
            label_logprobs=found,
            constrained=request.grammar is not None and not bare,
            # vLLM's log-probabilities are those that its grammar has left.
            masked=request.grammar is not None and not bare,
            usage=Usage(prompt_tokens=int(row.get("num_input_tokens") or 0), completion_tokens=n),
        )

    def close(self) -> None:
        pass


def _tokens(row: Mapping[str, Any]) -> list[tuple[str, Distribution]]:
    """Each generated token's text, and the distribution that it comes from."""
    chosen, found = row.get("generated_tokens"), row.get("logprobs")
    if chosen is None or found is None:
        return []
    tokens: list[tuple[str, Distribution]] = []
    for token, position in zip(chosen, found, strict=False):
        # Between two steps Ray may make one record of all tokens: most are then None.
        known = {
            str(id): entry
            for id, entry in dict(position).items()
            if entry is not None and entry.get("logprob") is not None
        }
        if str(token) not in known:
            return []
        said: dict[str, float] = {}
        for entry in known.values():
            text, logprob = entry["decoded_token"], float(entry["logprob"])
            # Two tokens may be written alike.
            said[text] = (
                logprob + math.log1p(math.exp(said[text] - logprob)) if text in said else logprob
            )
        tokens.append((known[str(token)]["decoded_token"], said))
    return tokens
