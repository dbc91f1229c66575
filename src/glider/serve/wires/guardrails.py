"""Wires of guardrails, each answered by a policy.

`/beta/litellm_basic_guardrail_api`: LiteLLM's generic guardrail. `/v1/moderations`: OpenAI's
moderation. `/classify`: as vLLM's, which NeMo Guardrails' `hf_classifier` asks. `/v1/validate`:
DataDesigner's remote validator. A score that is not there is left out or null, never a number.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from glider.core.judgments import Judgment, Outcome
from glider.core.samples import Sample
from glider.serve.wires.base import WireError, text_of
from glider.serve.wires.ours import Verdict

Judged = tuple[Verdict, Sequence[Outcome]]
MOST_TEXTS = 100


def _texts(value: Any, param: str) -> list[str]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or len(value) > MOST_TEXTS:
        raise WireError(f"{param} is a text or a list of at most {MOST_TEXTS} texts", param=param)
    return [text_of(one, param=f"{param}[{n}]") for n, one in enumerate(value)]


def litellm_samples(body: Mapping[str, Any]) -> list[Sample]:
    """Each text of a request or a response; empty ones are nothing to judge.

    A response is judged with the talk before it as its input.

    Raises:
        WireError: 422.
    """
    if body.get("input_type") not in ("request", "response"):
        raise WireError("input_type is request or response", param="input_type")
    talk = None
    if body["input_type"] == "response":
        rows = body.get("structured_messages")
        rows = rows if isinstance(rows, list) else []
        turns = [
            f"{row.get('role')}: {row['content']}"
            for row in rows
            if isinstance(row, Mapping) and isinstance(row.get("content"), str)
        ]
        talk = "\n".join(turns) or None
    texts = _texts(body.get("texts") or [], "texts")
    return [Sample.of(text, input=talk) for text in texts if text.strip()]


def litellm_answer(judged: Sequence[Judged]) -> dict[str, Any]:
    """`NONE`, or `BLOCKED` with the reason: what is to be asked of a person is held back too."""
    for verdict, outcomes in judged:
        if verdict.verdict != "allow":
            return {"action": "BLOCKED", "blocked_reason": reason_of(verdict, outcomes)}
    return {"action": "NONE"}


def reason_of(verdict: Verdict, outcomes: Sequence[Outcome]) -> str:
    """Why, in one line: the policy, what it found, and what the judge said of it."""
    found = [check["criterion"] for check in verdict.checks if check["found"] == verdict.because]
    said = next(
        (one.reasoning for one in outcomes
         if isinstance(one, Judgment) and one.criterion in found and one.reasoning), None
    )  # fmt: skip
    asks = "; a person is to decide" if verdict.verdict == "ask" else ""
    named = f" by {', '.join(found)}" if found else ""
    return f"{verdict.policy}: {verdict.because}{named}{asks}" + (f". {said}" if said else "")


def moderation_samples(body: Mapping[str, Any]) -> list[Sample]:
    """Each text of `input`.

    Raises:
        WireError: 422.
    """
    value = body.get("input")
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        value = [text_of(value, param="input")]
    texts = _texts(value, "input")
    if not texts or not all(text.strip() for text in texts):
        raise WireError("input is empty", param="input")
    return [Sample.of(text) for text in texts]


def moderation_answer(name: str, model: str, judged: Sequence[Judged]) -> dict[str, Any]:
    """One result for each text: a category for each check, its score the probability to block."""
    results = []
    for verdict, _ in judged:
        known = [check for check in verdict.checks if check["p_block"] is not None]
        results.append(
            {
                "flagged": verdict.verdict != "allow",
                "categories": {
                    check["criterion"]: check["found"] == "blocked" for check in verdict.checks
                },
                "category_scores": {check["criterion"]: check["p_block"] for check in known},
                "glider": verdict.model_dump(mode="json"),
            }
        )
    return {"id": name, "model": model, "results": results}


def classify_answer(name: str, model: str, judged: Sequence[Judged]) -> dict[str, Any]:
    """One row for each text: its label is the verdict, its probabilities to pass and to block.

    Raises:
        WireError: 503; a text has no judgment, and none is made up.
    """
    rows = []
    for index, (verdict, _) in enumerate(judged):
        p_block = verdict.checks[0]["p_block"] if len(verdict.checks) == 1 else None
        if p_block is None:
            raise WireError(
                "this wire needs a policy of one check, and level probabilities",
                status=503 if verdict.because in ("error", "deadline") else 422,
                code="no_distribution",
            )
        probs = [1 - p_block, p_block]
        rows.append({"index": index, "label": verdict.verdict, "probs": probs, "num_classes": 2})
    return {"id": name, "object": "list", "created": 0, "model": model, "data": rows}


def rows_to_validate(body: Mapping[str, Any]) -> list[Sample]:
    """Each row of DataDesigner's `data`: `output` is judged, what else is text is shown.

    Raises:
        WireError: 422.
    """
    rows = body.get("data")
    if not isinstance(rows, list) or not rows or len(rows) > MOST_TEXTS:
        raise WireError(f"data is a list of 1 to {MOST_TEXTS} rows", param="data")
    samples = []
    for n, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise WireError(f"data[{n}] is no object", param="data")
        texts = {str(k): v for k, v in row.items() if isinstance(v, str) and v.strip()}
        judged = texts.pop("output", None) or (texts.popitem()[1] if len(texts) == 1 else None)
        if judged is None:
            raise WireError(f"data[{n}] has no text called output", param="data")
        names = ("input", "context", "reference")
        known: dict[str, Any] = {k: texts[k] for k in names if k in texts}
        samples.append(Sample.of(judged, **known))
    return samples


def validation_answer(judged: Sequence[Judged]) -> dict[str, Any]:
    """`is_valid` true or false; null for what could not be judged or is to be asked."""
    valid = {"allow": True, "block": False, "ask": None}
    return {
        "data": [
            {
                "is_valid": None if v.because in ("error", "deadline") else valid[v.verdict],
                "reason": reason_of(v, outcomes),
            }
            for v, outcomes in judged
        ]
    }
