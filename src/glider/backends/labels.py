"""From next-token log-probabilities to the probability of each label.

A label may span several tokens, and one may be a prefix of another ("1" and "10"). Tokens are
compared as text, so any tokenizer works. Nothing is renormalized here: a low total mass on the
labels signals doubt, and callers may want to see it.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from glider.core.generation import GenerationRequest, Labels, is_log_probability

Distribution = Mapping[str, float]
"""Token text to natural-log probability; usually of the likeliest tokens only."""


def label_logprobs(
    labels: Sequence[str],
    first: Distribution,
    deeper: Callable[[str], Distribution | None],
) -> dict[str, float] | None:
    """Return the log-probability of each label.

    Args:
        labels: the label texts.
        first: the distribution at the position where a label begins.
        deeper: returns the distribution after a label prefix, or None if unknown. Called only
            where the first token leaves several labels possible.

    Returns:
        Label to log-probability (-inf: not among the listed tokens); None if two labels cannot be
        distinguished, or if a value is not a log-probability (NaN, above 0, a text): the other
        values are then not a valid distribution either.
    """
    found = dict.fromkeys(labels, -math.inf)
    todo: list[tuple[str, float, Distribution]] = [("", 0.0, first)]
    while todo:
        prefix, logprob, distribution = todo.pop()
        if not all(map(is_log_probability, distribution.values())):
            return None
        reached: dict[str, float] = {}
        for token, token_logprob in distribution.items():
            # "4" and " 4" are different tokens for the same label, so their mass is summed.
            text = token.lstrip() if not prefix else token
            begun = prefix + text
            if text and any(label.startswith(begun) for label in labels):
                reached[begun] = _add(reached.get(begun, -math.inf), token_logprob)
        continued = sum(math.exp(value) for value in reached.values())
        if prefix in found:
            stays = max(1.0 - continued, 0.0)
            found[prefix] = logprob + (math.log(stays) if stays > 0 else -math.inf)
        for begun, mass in reached.items():
            possible = [label for label in labels if label.startswith(begun)]
            if len(possible) == 1:
                found[possible[0]] = _add(found[possible[0]], logprob + mass)
                continue
            below = deeper(begun)
            if below is None:
                return None
            todo.append((begun, logprob + mass, below))
    return found


def _add(a: float, b: float) -> float:
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def is_bare_label(request: GenerationRequest) -> bool:
    """Whether the answer is one token of one label, so that probabilities alone say what it is."""
    labels = request.labels
    return (
        labels is not None
        and request.opening.endswith(labels.after)
        and request.decoding.max_tokens == 1
    )


def from_answer(
    labels: Labels,
    opening: str,
    tokens: Sequence[tuple[str, Distribution]],
    deeper: Callable[[str], Distribution | None],
) -> dict[str, float] | None:
    """Return label log-probabilities from a generated answer.

    Args:
        opening: the text before the first generated token.
        tokens: each generated token's text with the distribution it was sampled from.
        deeper: as in `label_logprobs`; its argument also includes the answer before the label.

    Returns:
        None if the answer has no position for a label.
    """
    answer = opening + "".join(text for text, _ in tokens)
    if opening.endswith(labels.after):
        # The label comes first. Later text may quote the judged text, which may contain `after`.
        place = len(opening)
    else:
        at = answer.rfind(labels.after)
        if at < 0:
            return None
        place = at + len(labels.after)
    position = len(opening)
    for text, distribution in tokens:
        if position == place or (position < place < position + len(text)):
            # A token that also contains the end of `after` cannot be split.
            if position < place:
                return None
            return label_logprobs(
                labels.texts, distribution, lambda begun: deeper(answer[:place] + begun)
            )
        position += len(text)
    return None
