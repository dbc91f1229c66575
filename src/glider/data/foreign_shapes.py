"""Rows that hold their texts in another shape: conversations, pairs, logs of other harnesses.

Each shape makes `id`, `input`, `context`, `reference`, `output` or `outputs` of a row. What was
asked before the judged text is always part of it, or the row is refused.
"""

from collections.abc import Callable, Mapping
from typing import Any

from glider.data.columns import no_column
from glider.data.conversations import (
    answer_of,
    asked,
    joined,
    last_answer,
    talk_of,
    two_answers,
)
from glider.data.values import Unfit

Shape = Callable[[Mapping[str, Any]], dict[str, Any]]

_PROMPTS = ("prompt", "messages", "conversations", "question", "instruction", "input")
MESSAGES = ("id", "messages", "system")
SHAREGPT = ("id", "conversations", "conversation", "system")
PREFERENCE = ("id", *_PROMPTS, "chosen", "rejected", "system")
COMPLETION = ("id", "prompt", "completion", "system")
ALPACA_EVAL = ("id", "instruction", "input", "output_1", "output_2")
ARENA = ("id", "conversation_a", "conversation_b", "turn")
INSPECT = ("id", "epoch", "input", "target", "messages", "output", "attachments", "error")
LM_EVAL = ("doc_id", "arguments", "target", "resps")


def _needed(row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise Unfit(no_column(name, row))
    return row[name]


def messages(row: Mapping[str, Any]) -> dict[str, Any]:
    """A chat: its last assistant turn is judged. Anthropic has the system's words beside it."""
    return _chat(row, "messages")


def sharegpt(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same under other names."""
    return _chat(row, "conversation" if "conversations" not in row else "conversations")


def _chat(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    talk = talk_of(_needed(row, name), name)
    whole = joined(None, talk, name, row.get("system"))
    return {"id": row.get("id"), **last_answer(whole, name)}


def preference(row: Mapping[str, Any]) -> dict[str, Any]:
    """Chosen and rejected answers: texts, messages or whole conversations, with a prompt or not.

    Of TRL, axolotl, LLaMA-Factory, UltraFeedback and HH-RLHF.
    """
    name = next((name for name in _PROMPTS if row.get(name) is not None), None)
    prompt = row[name] if name else None
    talks = {}
    for answer in ("chosen", "rejected"):
        value = _needed(row, answer)
        if not isinstance(value, str | list | Mapping):
            raise Unfit(f"{answer!r} must be a text or a list of messages")
        talks[answer] = joined(prompt, answer_of(value, answer), answer, row.get("system"))
    return {"id": row.get("id"), **_plain_prompt(two_answers(talks), prompt)}


def completion(row: Mapping[str, Any]) -> dict[str, Any]:
    """A prompt and its completion, each a text or a list of messages (TRL)."""
    prompt = _needed(row, "prompt")
    answer = answer_of(_needed(row, "completion"), "completion")
    whole = joined(prompt, answer, "completion", row.get("system"))
    return {"id": row.get("id"), **_plain_prompt(last_answer(whole, "completion"), prompt)}


def _plain_prompt(made: dict[str, Any], prompt: Any) -> dict[str, Any]:
    """A prompt that is one text stands as it is, without the role before it."""
    if isinstance(prompt, str) and made.get("input") == f"user: {prompt}":
        made["input"] = prompt
    return made


def alpaca_eval(row: Mapping[str, Any]) -> dict[str, Any]:
    """Two models' outputs for one instruction."""
    outputs = [_needed(row, name) for name in ("output_1", "output_2")]
    asks = {"input": row.get("instruction"), "context": row.get("input")}
    return {"id": row.get("id"), **asks, "outputs": outputs}


def arena(row: Mapping[str, Any]) -> dict[str, Any]:
    """Two conversations with two models, of MT-Bench's people and of Chatbot Arena."""
    turn = row.get("turn")
    last = 2 * turn if isinstance(turn, int) and turn > 0 else None
    names = ("conversation_a", "conversation_b")
    talks = {name: talk_of(_needed(row, name), name)[:last] for name in names}
    for name, talk in talks.items():
        if not talk:
            raise Unfit(f"{name!r} has no messages")
    return {"id": row.get("id"), **two_answers(talks)}


def inspect_sample(row: Mapping[str, Any]) -> dict[str, Any]:
    """A sample of Inspect's log: what was answered in the end; long texts are attachments."""
    attached = row.get("attachments")
    if isinstance(attached, Mapping) and attached:
        row = _with_attachments(dict(row), attached)
    talk = talk_of(_needed(row, "messages"), "messages")
    output = row.get("output")
    answer = output.get("completion") if isinstance(output, Mapping) else None
    if talk and talk[-1].role == "assistant":
        answer, talk = answer or talk[-1].text, talk[:-1]
    if not isinstance(answer, str) or not answer:
        error = row.get("error")
        said = error.get("message") if isinstance(error, Mapping) else None
        because = f": {said}" if isinstance(said, str) else ""
        raise Unfit(f"the sample ends without an answer{because}")
    target, epoch = row.get("target"), row.get("epoch")
    if isinstance(target, list):
        target = "\n".join(map(str, target))
    name = None if row.get("id") is None else str(row["id"])
    if name is not None and isinstance(epoch, int) and epoch > 1:
        name = f"{name} (epoch {epoch})"
    return {"id": name, "reference": target, **asked(talk), "output": answer}


def _with_attachments(value: Any, attached: Mapping[str, Any]) -> Any:
    match value:
        case str() if value.startswith("attachment://"):
            return attached.get(value.removeprefix("attachment://"), value)
        case dict():
            return {
                key: own if key == "attachments" else _with_attachments(own, attached)
                for key, own in value.items()
            }
        case list():
            return [_with_attachments(own, attached) for own in value]
    return value


def lm_eval_sample(row: Mapping[str, Any]) -> dict[str, Any]:
    """A sample of lm-evaluation-harness: the prompt as it was sent, and what the model wrote."""
    output: Any = _needed(row, "resps")
    while isinstance(output, list) and output:
        output = output[0]
    if not isinstance(output, str):
        raise Unfit("'resps' holds log-likelihoods, no text: the task did not let the model write")
    prompt: Any = _needed(row, "arguments")
    if isinstance(prompt, Mapping):
        prompt = prompt.get("gen_args_0")
        prompt = prompt.get("arg_0") if isinstance(prompt, Mapping) else None
    while isinstance(prompt, list) and prompt:
        prompt = prompt[0]
    if not isinstance(prompt, str):
        raise Unfit("'arguments' holds no prompt")
    asks = asked(talk_of(prompt, "arguments")) if prompt.startswith("[{") else {"input": prompt}
    return {"id": row.get("doc_id"), "reference": row.get("target"), **asks, "output": output}
