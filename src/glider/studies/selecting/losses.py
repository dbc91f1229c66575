"""A causal language model's losses on answers, and its embeddings of prompts, in torch."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from glider.corpus.examples import Example
from glider.models.resolve import TorchWeights
from glider.studies.selecting.draws import Floats, TokenLosses
from glider.training.base_model import load_as_it_is, load_tokenizer
from glider.training.tokens import Coder

Encode = Callable[[Example, bool], tuple[list[int], list[int]]]
"""Returns the token ids of the prompt and opening (or, if False, of the opening alone, at least one
token) and those of the answer."""


class TorchLosses:
    """A torch model that implements `draws.Losses`."""

    def __init__(self, model: Any, encode: Encode, *, batch_tokens: int = 2048) -> None:
        """Wrap a model.

        Args:
            model: accepts `input_ids` and `attention_mask`, returns `logits` and `hidden_states`.
            encode: converts an example to token ids.
            batch_tokens: maximum tokens per forward pass, padding included.
        """
        self._model, self._encode, self._batch_tokens = model, encode, batch_tokens

    @classmethod
    def of(cls, base: TorchWeights) -> Self:
        """Load a model, in bf16 where this machine computes in it.

        Raises:
            MissingExtra: torch or transformers is not installed.
            ModelFileError: the model is missing or damaged.
            NoChatTemplate: the model's tokenizer has no chat template.
        """
        coder = Coder(load_tokenizer(base), model=base.name)

        def encode(example: Example, prompt: bool) -> tuple[list[int], list[int]]:
            made = coder.example(example)
            if prompt:
                return made.ids[: made.n_prompt], made.ids[made.n_prompt :]
            opening = coder.tokenizer(example.opening, add_special_tokens=False)["input_ids"]
            # Predicting the first token needs a token before it.
            return opening or [coder.end_of_turn], made.ids[made.n_prompt :]

        return cls(load_as_it_is(base), encode)

    @property
    def vocabulary(self) -> int:
        """Return the size of the model's vocabulary."""
        return int(self._model.config.get_text_config().vocab_size)

    def __call__(self, examples: Sequence[Example], *, prompt: bool = True) -> list[TokenLosses]:
        """Compute each answer token's loss and entropy in float32, and the prompt's embedding.

        One pass computes all three; logits are computed only from the answer's first position on.
        """
        import torch

        rows = [self._encode(example, prompt) for example in examples]
        found: dict[int, TokenLosses] = {}
        ids = [[*given, *answer] for given, answer in rows]
        for batch in self._batches([len(row) for row in ids]):
            tokens, mask = self._padded([ids[n] for n in batch])
            first = min(len(rows[n][0]) for n in batch) - 1
            with torch.inference_mode():
                output = self._model(
                    input_ids=tokens,
                    attention_mask=mask,
                    output_hidden_states=True,
                    logits_to_keep=tokens.shape[1] - first,
                )
            logits, last = output.logits, output.hidden_states[-1]
            before = tokens.shape[1] - logits.shape[1]
            for row, number in enumerate(batch):
                start, end = len(rows[number][0]), len(ids[number])
                # The prediction of a token is at the position before it.
                guesses = logits[row, start - 1 - before : end - 1 - before].float().log_softmax(-1)
                right = tokens[row, start:end].unsqueeze(-1)
                nll = -guesses.gather(-1, right).squeeze(-1)
                entropy = -(guesses.exp() * guesses).sum(-1)
                mean = last[row, :start].float().mean(0)
                found[number] = TokenLosses(*(_floats(one) for one in (nll, entropy, mean)))
        return [found[number] for number in range(len(examples))]

    def _batches(self, lengths: Sequence[int]) -> list[list[int]]:
        """Batch examples of similar length to reduce padding."""
        batches: list[list[int]] = []
        for number in sorted(range(len(lengths)), key=lambda n: lengths[n]):
            fits = batches and (len(batches[-1]) + 1) * lengths[number] <= self._batch_tokens
            if fits:
                batches[-1].append(number)
            else:
                batches.append([number])
        return batches

    def _padded(self, rows: Sequence[list[int]]) -> tuple[Any, Any]:
        import torch

        width = max(1, *map(len, rows)) if rows else 1
        device = next(self._model.parameters()).device
        tokens = torch.zeros((len(rows), width), dtype=torch.long, device=device)
        mask = torch.zeros_like(tokens)
        for number, row in enumerate(rows):
            tokens[number, : len(row)] = torch.tensor(row, dtype=torch.long)
            mask[number, : len(row)] = 1
        return tokens, mask


def _floats(values: Any) -> Floats:
    found: Floats = values.cpu().numpy().astype(np.float64)
    return found
