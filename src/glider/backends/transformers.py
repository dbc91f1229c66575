"""Run any Hugging Face causal language model in this process.

Use it for models that are not GGUF files, and to read log-probabilities without a server. Batches
are left-padded and sorted by length; each row has its own opening, seed, temperature, limit and
grammar, so apart from rounding its answer does not depend on the other rows. Every prompt is
computed in full; for scores alone, the fast backend shares common prefixes.
"""

from functools import cached_property
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

from glider.backends._torch import DType, Job, NotANumber, TorchBackend, halving
from glider.backends.base import Capabilities
from glider.backends.labels import Distribution, from_answer
from glider.core.errors import Refused, Unavailable
from glider.core.generation import Generation
from glider.core.judgments import Usage
from glider.models.catalog import DEFAULT


class TransformersBackend(TorchBackend):
    """Generates answers with transformers' `generate`."""

    def __init__(
        self,
        model: str | Path = DEFAULT,
        *,
        revision: str | None = None,
        dtype: DType = "auto",
        batch: int = 8,
        device: str | None = None,
    ) -> None:
        """Load a model.

        Args:
            model: a Hugging Face folder or hub id (`@REVISION` may follow), a .gguf file, or a
                catalogue name.
            revision: revision of a hub id.
            dtype: "auto" is the checkpoint's dtype on a GPU; on a CPU, bf16 if the hardware
                supports it, else fp32.
            batch: number of answers generated at once.

        Raises:
            MissingExtra: torch or transformers is not installed.
            ModelFileError: the model is missing, damaged or cannot be fetched.
            SetupError: the model has no chat template.
        """
        super().__init__(
            model,
            provider="hf",
            revision=revision,
            dtype=dtype,
            device=device,
            in_flight=4 * batch,
            capabilities=Capabilities(
                grammar=find_spec("llguidance") is not None, label_logprobs=True
            ),
        )
        self._batch = batch

    def answer(self, jobs: list[Job]) -> None:
        jobs = sorted(jobs, key=lambda job: len(job.ids))
        for start in range(0, len(jobs), self._batch):
            rows = []
            for job in jobs[start : start + self._batch]:
                try:
                    rows.append(_Row(self, job))
                except Refused as refused:
                    job.end(refused)
            if rows:
                halving(rows, self._write)

    def _write(self, rows: list["_Row"]) -> list[None]:
        import torch
        from transformers import LogitsProcessorList

        width = max(len(row.job.ids) for row in rows)
        end = self.model.generation_config.pad_token_id
        padded = [[end] * (width - len(row.job.ids)) + row.job.ids for row in rows]
        shown = [[0] * (width - len(row.job.ids)) + [1] * len(row.job.ids) for row in rows]

        def choose(written: Any, logits: Any) -> Any:
            # Leaves one token per row, so that `generate` has nothing to choose.
            if self.closed.is_set():
                raise Unavailable("the backend was closed")
            chosen = [row.next(line) for row, line in zip(rows, logits, strict=True)]
            forced = torch.full_like(logits, -torch.inf)
            return forced.scatter_(1, torch.tensor(chosen, device=logits.device)[:, None], 0.0)

        for row in rows:
            row.begin()
        self.model.generate(
            input_ids=torch.tensor(padded, device=self.model.device),
            attention_mask=torch.tensor(shown, device=self.model.device),
            max_new_tokens=max(row.job.request.decoding.max_tokens for row in rows),
            do_sample=False,
            logits_processor=LogitsProcessorList([choose]),
        )
        for row in rows:
            row.job.end(NotANumber() if row.broken else row.generation())
        return []

    @cached_property
    def grammar_tokenizer(self) -> Any:
        """The tokenizer converted for llguidance; takes about a second."""
        from llguidance.hf import from_tokenizer

        return from_tokenizer(
            self.tokenizer,
            n_vocab=self.model.config.get_text_config().vocab_size,
            eos_token=self.model.generation_config.eos_token_id,
        )


class _Row:
    """One answer in generation."""

    def __init__(self, backend: TransformersBackend, job: Job) -> None:
        self.job = job
        self._backend = backend
        self._ends: list[int] = backend.model.generation_config.eos_token_id
        self._matcher: Any = None
        grammar = job.request.grammar
        if grammar is not None and backend.capabilities.grammar:
            from llguidance import LLMatcher

            self._matcher = LLMatcher(
                backend.grammar_tokenizer, LLMatcher.grammar_from_lark(grammar.lark)
            )
            if self._matcher.is_error():
                raise Refused(f"the grammar cannot be used: {self._matcher.get_error()}")
        self.begin()

    def begin(self) -> None:
        """Reset the answer: a batch that ran out of memory is generated again."""
        import torch

        self._ids: list[int] = []
        self._lengths: list[int] = [0]
        self._spread: dict[int, Distribution] = {}
        self._finish: str | None = None
        self.broken = False
        """The model computed numbers that are not finite."""
        self._random = torch.Generator().manual_seed(self.job.request.decoding.seed)
        if self._matcher is not None:
            self._matcher.reset()

    def next(self, logits: Any) -> int:
        """Choose the next token.

        Args:
            logits: unconstrained logits of this row, shape (vocabulary,), float32.
        """
        request = self.job.request
        if self.job.future.cancelled():
            self._finish = "stop"
        self.broken = self.broken or bool(logits.isnan().any())
        if self.broken or self._finish is not None:
            return self._ends[0]
        if request.labels is not None:
            answer = request.opening + self._backend.vocabulary.text(self._ids)
            if answer.endswith(request.labels.after):
                self._spread[len(self._ids)] = self._backend.vocabulary.distribution(
                    logits, request.labels.texts
                )
        token = self._draw(logits)
        if token in self._ends:
            self._finish = "stop"
            return token
        self._ids.append(token)
        if request.labels is not None:
            self._lengths.append(len(self._backend.vocabulary.text(self._ids)))
        if self._matcher is not None:
            self._matcher.consume_token(token)
            if self._matcher.is_stopped():
                self._finish = "stop"
        if len(self._ids) >= request.decoding.max_tokens:
            self._finish = self._finish or "length"
        return token

    def _draw(self, logits: Any) -> int:
        import torch

        decoding = self.job.request.decoding
        logits = logits.cpu()
        if self._matcher is not None:
            # torch compiles llguidance's own helper at first use, which takes 5 to 30 s.
            packed = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
            allowed = (packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1
            logits = logits.masked_fill(allowed.flatten()[: len(logits)] == 0, -torch.inf)
        if decoding.temperature == 0:
            return int(logits.argmax())
        probs, tokens = (logits / decoding.temperature).softmax(-1).sort(descending=True)
        # The likeliest tokens that together reach top_p; the first is always among them.
        probs = probs.masked_fill(probs.cumsum(-1) - probs >= decoding.top_p, 0.0)
        probs[0] = probs[0].clamp(min=1e-30)
        return int(tokens[torch.multinomial(probs, 1, generator=self._random)])

    def generation(self) -> Generation:
        """Return the finished answer."""
        request = self.job.request
        return Generation(
            text=request.opening + self._backend.vocabulary.text(self._ids),
            finish="length" if self._finish == "length" else "stop",
            label_logprobs=self._label_logprobs(),
            constrained=self._matcher is not None,
            usage=Usage(
                prompt_tokens=len(self.job.ids),
                completion_tokens=len(self._ids),
                seconds=self.job.seconds,
            ),
        )

    def _label_logprobs(self) -> dict[str, float] | None:
        labels, vocabulary = self.job.request.labels, self._backend.vocabulary
        if labels is None or not self._spread:
            return None
        # Right after the opening, or else the last position directly after `after`.
        first = self.job.request.opening.endswith(labels.after)
        place = 0 if first else max(self._spread)
        text = vocabulary.text(self._ids)
        tokens = [
            (text[start:end], self._spread.get(n, {}))
            # The last piece is empty: the end of the text, where a label could have been.
            for n, (start, end) in enumerate(pairwise([*self._lengths, self._lengths[-1]]))
        ]
        before = len(self.job.request.opening) + self._lengths[place]

        def deeper(answer: str) -> Distribution | None:
            import torch

            begun = answer[before:]
            ids = [
                *self.job.ids,
                *self._ids[:place],
                *vocabulary.ambiguous(labels.texts)[begun],
            ]
            model = self._backend.model
            logits = model(input_ids=torch.tensor([ids], device=model.device), logits_to_keep=1)
            return vocabulary.distribution(logits.logits[0, -1], labels.texts, begun)

        return from_answer(labels, self.job.request.opening, tokens, deeper)
