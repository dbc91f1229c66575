"""Encode an example as token ids: the served prompt, the answer and the position of its score.

Prompt ids come from the function that serving uses (`text.chat`), followed by the answer's ids. The
answer is tokenized separately before and after its score, because serving reads the score's
probabilities at a token boundary. If the answer is incomplete (a bare score), no end-of-turn token
is trained.

`ids` is the whole sequence, prompt first; `learnt` yields the positions of the tokens to predict
and whether each belongs to the score or to the text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from glider.core.errors import NoChatTemplate, NoLabelTokens, SetupError
from glider.corpus.examples import Example, Preference, Prompted
from glider.text.chat import control_tokens, prompt_text, token_ids
from glider.text.defuse import defuse_literals

_CONTEXT_CHARS = 24
"""Characters of preceding text passed to the tokenizer; no merge reaches further back."""


@dataclass(frozen=True, slots=True)
class ScorePlace:
    """The position of the score and its training target."""

    start: int
    """Index in `ids` of the score's first token; the hidden state at `start - 1` predicts it."""
    end: int
    label_ids: tuple[int, ...]
    """Token id of each label in the rubric's order; empty if a label needs several tokens or two
    labels share one. The written score is then trained as plain tokens."""
    probs: tuple[float, ...]
    """Target probability of each label; empty if `label_ids` is empty."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example, ready to train on."""

    id: str
    set: str
    ids: list[int]
    n_prompt: int
    """Number of prompt tokens; the rest is the answer."""
    weight: float
    score: ScorePlace | None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def score_first(self) -> bool:
        """Whether the answer starts with the score: its context is the prompt alone."""
        return self.score is not None and self.score.start == self.n_prompt

    @property
    def score_is_read(self) -> bool:
        """Whether serving would read the score's distribution at the start of the answer."""
        return self.score_first and self.score is not None and bool(self.score.label_ids)

    def learnt(self) -> Iterator[tuple[int, bool]]:
        """Yield (index of a token to predict, whether it belongs to the score), in order."""
        scored = range(self.score.start, self.score.end) if self.score else range(0)
        for index in range(self.n_prompt, len(self.ids)):
            yield index, index in scored


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """One preference pair, ready to train on; keys are named as in TRL's collator."""

    id: str
    set: str
    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]
    weight: float

    def __len__(self) -> int:
        return len(self.prompt_ids) + max(len(self.chosen_ids), len(self.rejected_ids))


class Coder:
    """Encodes examples with one model's tokenizer and chat template."""

    def __init__(self, tokenizer: Any, *, model: str) -> None:
        """Find the model's control tokens and how it ends a turn.

        Raises:
            NoChatTemplate: the tokenizer has no chat template.
        """
        if not tokenizer.chat_template:
            raise NoChatTemplate(model)
        self.tokenizer = tokenizer
        self.control = control_tokens(tokenizer)
        self.end_of_turn = self._end_of_turn()

    def example(self, example: Example, *, soft: bool = True) -> Encoded:
        """Encode one example.

        Args:
            soft: train on the example's distribution over levels; False trains on the settled level
                only.

        Raises:
            NoLabelTokens: the example has labels, but none appears where its score should be.
            SetupError: the chat template does not take its messages.
        """
        prompt = self._prompt(example)
        ids = token_ids(self.tokenizer, prompt)
        n_prompt = len(ids)
        answer = defuse_literals(example.completion, self.control)
        score = None
        if example.labels:
            at, label = _written_score(example, answer)
            ids += self._continued(prompt, answer[:at])
            start = len(ids)
            ids += self._continued(prompt + answer[:at], label)
            score = self._score(example, prompt + answer[:at], label, start, len(ids), soft=soft)
            ids += self._continued(prompt + answer[: at + len(label)], answer[at + len(label) :])
        else:
            ids += self._continued(prompt, answer)
        if example.whole:
            ids.append(self.end_of_turn)
        return Encoded(example.id, example.set, ids, n_prompt, example.weight, score)

    def preference(self, pair: Preference) -> EncodedPair:
        """Encode one preference pair; an answer that is a bare label gets no end-of-turn token.

        Raises:
            SetupError: the chat template does not take its messages.
        """
        prompt = self._prompt(pair)

        def answer(text: str) -> list[int]:
            ids = self._continued(prompt, defuse_literals(text, self.control))
            return ids if text in (pair.labels or ()) else [*ids, self.end_of_turn]

        ids = token_ids(self.tokenizer, prompt)
        chosen, rejected = answer(pair.chosen), answer(pair.rejected)
        return EncodedPair(pair.id, pair.set, ids, chosen, rejected, pair.weight)

    def _prompt(self, asked: Prompted) -> str:
        from jinja2 import TemplateError

        try:
            return prompt_text(self.tokenizer, asked.messages, asked.opening, self.control)
        except TemplateError as exc:
            raise SetupError(f"the model's chat template does not take this: {exc}") from exc

    def _continued(self, before: str, text: str) -> list[int]:
        """Encode a text that follows another, with a token boundary between the two."""
        if not text:
            return []
        # Encoded alone, some tokenizers would prepend a space. If a merge would cross the boundary,
        # use a newline as context: nothing merges with it from the left.
        for context in (before[-_CONTEXT_CHARS:], "\n", ""):
            known = token_ids(self.tokenizer, context)
            both = token_ids(self.tokenizer, context + text)
            if both[: len(known)] == known:
                return both[len(known) :]
        return token_ids(self.tokenizer, text)

    def _score(
        self, example: Example, before: str, label: str, start: int, end: int, *, soft: bool
    ) -> ScorePlace:
        labels = example.labels or ()
        tokens = [self._continued(before, text) for text in labels]
        firsts = [ids[0] for ids in tokens if ids]
        if any(len(ids) != 1 for ids in tokens) or len(set(firsts)) < len(labels):
            return ScorePlace(start, end, (), ())
        hard = tuple(float(text == label) for text in labels)
        probs = example.soft if soft and example.soft is not None else hard
        return ScorePlace(start, end, tuple(firsts), probs)

    def _end_of_turn(self) -> int:
        """Return the token the template writes after an answer, or else the end-of-text token."""
        answer = "Score"
        turns = [{"role": "user", "content": "Judge."}, {"role": "assistant", "content": answer}]
        text: str = self.tokenizer.apply_chat_template(turns, tokenize=False)
        special = set(self.tokenizer.convert_tokens_to_ids(sorted(self.control)))
        after = token_ids(self.tokenizer, text.rpartition(answer)[2])
        found = next((token for token in after if token in special), None)
        end = self.tokenizer.eos_token_id if found is None else found
        if end is None:
            raise SetupError("the model's chat template has no token that ends a turn")
        return int(end)


def _written_score(example: Example, answer: str) -> tuple[int, str]:
    """Return the score's position in the answer and its label, found as serving finds it."""
    if example.opening.endswith(example.after):
        at = 0
    else:
        whole = example.opening + answer
        found = whole.rfind(example.after)
        at = found + len(example.after) - len(example.opening)
        if found < 0 or at < 0:
            raise NoLabelTokens(example.id, f"its answer has no {example.after!r}")
    # "1" is a prefix of "10": take the longest matching label.
    labels = sorted(example.labels or (), key=len, reverse=True)
    label = next((text for text in labels if answer.startswith(text, at)), None)
    if label is None:
        said = f"{answer[at : at + 20]!r} stands where one of {', '.join(example.labels or ())}"
        raise NoLabelTokens(example.id, f"{said} should")
    return at, label


def picture(coder: Coder, encoded: Encoded) -> str:
    """Render the sequence: prompt, trained score tokens and trained text tokens.

    `glider train --dry-run` shows one such rendering.
    """
    kinds: dict[int, bool] = dict(encoded.learnt())
    parts: list[tuple[str, list[int]]] = []
    for index, token in enumerate(encoded.ids):
        kind = "given" if index not in kinds else "score" if kinds[index] else "text"
        if not parts or parts[-1][0] != kind:
            parts.append((kind, []))
        parts[-1][1].append(token)
    shown: Sequence[str] = [f"[{kind}] {coder.tokenizer.decode(ids)}" for kind, ids in parts]
    return "\n".join(shown)
