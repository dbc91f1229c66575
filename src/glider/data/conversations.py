"""Conversations, in the shapes in which they are written: turns, and what of them is judged.

OpenAI's messages (`role`, `content`; parts, `tool_calls`, `function_call`, `refusal`), Anthropic's
content blocks, Gemini's `parts`, ShareGPT's `from` and `value`; a lone message for a list of one;
a list written as JSON text, as in a CSV cell; HH-RLHF's transcripts. Null content is empty
content. A call of a tool, its result and a refusal are written out. What a model thought
(`thinking`, `reasoning`) it did not say, so it is left out. Images and sound cannot be judged.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from glider.data.values import Unfit, text_of

_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "developer": "system",
}
_CONTENT = ("content", "value", "parts")
_ARGUMENTS = ("arguments", "args", "input", "parameters")
_THOUGHTS = ("thinking", "redacted_thinking", "reasoning")
_NOT_ANSWERING = ("user", "system", "tool", "function")
_HH_TURN = re.compile(r"\n\n(Human|Assistant):")


class Turn(NamedTuple):
    """What one side said."""

    role: str
    text: str


Talk = tuple[Turn, ...]


def talk_of(value: Any, name: str) -> Talk:
    """The turns of a list of messages, or of a lone one.

    Args:
        name: of the column, for what is wrong with it.

    Raises:
        Unfit: it is no conversation, or holds what is no text.
    """
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        with suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise Unfit(f"{name!r} must be a list of messages with role and content")
    return tuple(
        _turn(message, f"message {number} of {name!r}")
        for number, message in enumerate(value, start=1)
    )


def is_talk(value: Any) -> bool:
    """A list of messages, each with a role and a content."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(m, Mapping) and _role(m) and m.keys() & {*_CONTENT} for m in value)
    )


def written(talk: Sequence[Turn]) -> str:
    """One turn after the other, each after its role."""
    return "\n".join(f"{turn.role}: {turn.text}" for turn in talk)


def asked(talk: Sequence[Turn]) -> dict[str, str]:
    """What came before the judged text: the talk as input, the system's words as context."""
    system = "\n\n".join(turn.text for turn in talk if turn.role == "system")
    spoken = written([turn for turn in talk if turn.role != "system"])
    return {name: text for name, text in (("input", spoken), ("context", system)) if text}


def last_answer(talk: Talk, name: str) -> dict[str, Any]:
    """The last turn of the assistant as output, all before it as input and context."""
    spoken = [place for place, turn in enumerate(talk) if turn.role == "assistant"]
    if not spoken:
        raise Unfit(f"{name!r} has no assistant turn to judge")
    return {**asked(talk[: spoken[-1]]), "output": talk[spoken[-1]].text}


def two_answers(talks: Mapping[str, Talk]) -> dict[str, Any]:
    """Two conversations that begin alike: what they share is asked, the rest are the outputs.

    The rest of one turn is its text; of several, all are written out.
    """
    first, second = talks.values()
    names = " and ".join(map(repr, talks))
    shared = 0
    while shared < min(len(first), len(second)) - 1 and first[shared] == second[shared]:
        shared += 1
    for name, talk in talks.items():
        if talk[-1].role in _NOT_ANSWERING:
            raise Unfit(f"{name!r} ends with a turn of {talk[-1].role!r}: there is no answer")
    if not shared and first[0].role != "assistant":
        raise Unfit(f"{names} begin with different turns, so they answer different questions")
    rests = [talk[shared:] for talk in (first, second)]
    outputs = [rest[0].text if len(rest) == 1 else written(rest) for rest in rests]
    return {**asked(first[:shared]), "outputs": outputs}


def answer_of(value: Any, name: str) -> Talk:
    """An answer that is a text, a message, or a whole conversation that ends with it."""
    if isinstance(value, str) and not value.lstrip().startswith(("[{", '{"')):
        if value.startswith("\n\nHuman:"):
            turns = _HH_TURN.split(value)
            roles = {"Human": "user", "Assistant": "assistant"}
            pairs = zip(turns[1::2], turns[2::2], strict=True)
            return tuple(Turn(roles[who], said.strip()) for who, said in pairs)
        return (Turn("assistant", value),)
    try:
        talk = talk_of(value, name)
    except Unfit:
        if isinstance(value, str):
            return (Turn("assistant", value),)  # an answer in JSON
        raise
    if not talk:
        raise Unfit(f"{name!r} has no messages")
    return talk


def joined(prompt: Any, answer: Talk, name: str, system: Any = None) -> Talk:
    """A conversation whole: the prompt, where the answer does not bring it, and the answer.

    Raises:
        Unfit: the answer brings turns of its own, and the prompt is not among them.
    """
    before = () if prompt is None else _prompt(prompt)
    own, talk = _spoken(answer), _spoken(before)
    systems = [turn for turn in (*before, *answer) if turn.role == "system"]
    if not systems and isinstance(system, str) and system.strip():
        systems = [Turn("system", system)]
    first = own[0].role if own else "assistant"
    if first == "assistant":
        own = talk + own
    elif talk and not _is_among(talk, own[:-1], isinstance(prompt, str)):
        raise Unfit(
            f"'prompt' is not among the turns of {name!r}, so what was asked cannot be told"
        )
    return (*dict.fromkeys(systems), *own)


def _prompt(prompt: Any) -> Talk:
    if isinstance(prompt, str) and not prompt.lstrip().startswith("[{"):
        return (Turn("user", prompt),)
    return talk_of(prompt, "prompt")


def _spoken(talk: Talk) -> Talk:
    return tuple(turn for turn in talk if turn.role != "system")


def _is_among(prompt: Talk, before: Talk, is_text: bool) -> bool:
    """The turns before an answer begin with the prompt; or one is it, where it is a text."""
    same = [(turn.role, turn.text.strip()) for turn in before]
    if is_text:
        text = prompt[0].text.strip()
        return ("user", text) in same or (
            bool(same) and all(said and said in text for _, said in same)
        )
    return same[: len(prompt)] == [(turn.role, turn.text.strip()) for turn in prompt]


# One message


def _role(message: Mapping[str, Any]) -> str:
    role = message.get("role", message.get("from"))
    if not isinstance(role, str):
        return ""
    return _ROLES.get(role.casefold(), role)


def _turn(message: Any, place: str) -> Turn:
    if not isinstance(message, Mapping) or not _role(message):
        raise Unfit(f"{place} has no role")
    return Turn(_role(message), _said(message, place))


def _said(message: Mapping[str, Any], place: str) -> str:
    given = [name for name in _CONTENT if name in message]
    content = message[given[0]] if given else None
    if message.get("from") == "function_call" and isinstance(content, str):
        content = _call_in(content)
    parts = [content] if isinstance(content, str) else content or []
    if not isinstance(parts, list):
        raise Unfit(f"{place} has content that is no text")
    texts = [_part(part, place) for part in parts]
    refusal = message.get("refusal")
    if isinstance(refusal, str):
        texts.append(refusal)
    calls = message.get("tool_calls") or []
    calls = [*(calls if isinstance(calls, list) else [calls])]
    if message.get("function_call"):
        calls.append(message["function_call"])
    texts += map(_call, calls)
    if not texts and not given:
        raise Unfit(f"{place} says nothing")
    return "\n".join(text for text in texts if text)


def _part(part: Any, place: str) -> str:
    match part:
        case str():
            return part
        case {"text": str(text)} | {"refusal": str(text)}:
            return text
        case {"type": "tool_use" | "server_tool_use"} | {"functionCall": _}:
            return _call(part.get("functionCall", part))
        case {"type": "tool_result", "content": content}:
            inside = [content] if isinstance(content, str) else content or []
            if not isinstance(inside, list):
                raise Unfit(f"{place} has a result that is no text")
            return f"[result: {' '.join(_part(one, place) for one in inside)}]"
        case {"type": "tool_result"}:
            return "[result]"
        case {"functionResponse": {"response": response}}:
            return f"[result: {text_of(response)}]"
        case {"type": kind} if kind in _THOUGHTS:
            return ""
    kind = part.get("type") if isinstance(part, Mapping) else None
    named = f" ({kind})" if isinstance(kind, str) else ""
    raise Unfit(f"{place} has a part that is no text{named}; only text can be judged")


def _call(call: Any) -> str:
    """A call of a tool: its name and what it was called with."""
    if isinstance(call, Mapping):
        own = call.get("function", call.get("custom", call))
        named = own if isinstance(own, Mapping) else call
        name = named.get("name") or (own if isinstance(own, str) else None)
        if isinstance(name, str):
            given = next((named[key] for key in _ARGUMENTS if named.get(key) is not None), None)
            return f"[calls {name}]" if given is None else f"[calls {name}: {text_of(given)}]"
    return f"[calls {text_of(call)}]"


def _call_in(text: str) -> str:
    try:
        call = json.loads(text)
    except ValueError:
        return text
    return _call(call) if isinstance(call, Mapping) else text
