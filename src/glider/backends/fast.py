"""The fast backend computes scores only, in one forward pass without generation.

It reads the label probabilities at the position where the answer begins. It sorts the prompts and
computes every prefix that two of them share once: criterion, then article, then summary. It packs
the remaining tokens into passes of a single row, under a mask that lets each token attend only to
its own prefix, so there is no padding and no copied cache. Telling "1" from "10" takes one more
token in the same pass.

It refuses requests for reasons, grammars or samples.
"""

import inspect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from glider.backends._torch import DType, Job, NotANumber, TorchBackend, halving
from glider.backends.base import Capabilities
from glider.backends.labels import Distribution, label_logprobs
from glider.core.errors import BackendError, Refused, SetupError, Unavailable
from glider.core.generation import Generation, GenerationRequest
from glider.core.judgments import Usage
from glider.models.catalog import DEFAULT

_PASS_TOKENS = {"cpu": 1024, "cuda": 8192}
"""New tokens per pass."""
_BLOCK = 128
"""Tokens per attention block: small blocks waste less on masked keys, large ones run faster."""


class FastBackend(TorchBackend):
    """Reads label probabilities with a torch model."""

    def __init__(
        self,
        model: str | Path = DEFAULT,
        *,
        revision: str | None = None,
        dtype: DType = "auto",
        device: str | None = None,
        in_flight: int = 64,
        prefix_cache: bool = True,
    ) -> None:
        """Load a model.

        Args:
            model: a Hugging Face folder or hub id (`@REVISION` may follow), a .gguf file, or a
                catalogue name.
            revision: revision of a hub id.
            dtype: "auto" is bf16 on hardware that supports it, else fp32. In bf16 a log-probability
                depends slightly on the other prompts in its pass; in fp32 it repeats within 1e-3.
            in_flight: number of requests searched together for shared prefixes.
            prefix_cache: False computes every prompt in full, about five times slower.

        Raises:
            MissingExtra: torch or transformers is not installed.
            ModelFileError: the model is missing, damaged or cannot be fetched.
            SetupError: the model has no chat template, or its layers cannot share a prefix.
        """
        super().__init__(
            model,
            provider="fast",
            revision=revision,
            dtype=dtype,
            device=device,
            in_flight=in_flight,
            capabilities=Capabilities(
                explanations=False, label_logprobs=True, prefix_cache=prefix_cache
            ),
        )
        # Our mask gives every layer full attention, which is correct up to the sliding window.
        config = self.model.config.get_text_config()
        window = getattr(config, "sliding_window", None)
        if window and "sliding_attention" in getattr(config, "layer_types", ["sliding_attention"]):
            context = min(window, self.limits.context_tokens or window)
            self.limits = replace(self.limits, context_tokens=context)
        self._reader = PrefixReader(self.model, share=prefix_cache)
        try:
            check_sharing(self.model)
        except BaseException:
            self.close()
            raise

    def check(self, request: GenerationRequest) -> None:
        labels = request.labels
        if labels is None or not request.opening.endswith(labels.after):
            raise Refused(
                "the fast backend only reads scores that stand right after the opening",
                hint="use an embedded or hf model for reasons and reason-first scores",
            )
        if request.decoding.temperature > 0:
            raise Refused("the fast backend reads the whole distribution and draws no samples")

    def answer(self, jobs: list[Job]) -> None:
        wanted: dict[tuple[int, ...], list[tuple[_Reading, str]]] = {}
        for job in jobs:
            texts = job.request.labels.texts if job.request.labels else ()
            reading = _Reading(job, texts, {"": [], **self.vocabulary.ambiguous(texts)})
            for begun, tokens in reading.paths.items():
                wanted.setdefault((*job.ids, *tokens), []).append((reading, begun))
        for sequence, logits, shared in self._reader.read(sorted(wanted)):
            for reading, begun in wanted[sequence]:
                reading.seen[begun] = self.vocabulary.distribution(logits, reading.labels, begun)
                if not begun:
                    reading.shared = shared
                if len(reading.seen) == len(reading.paths):
                    reading.job.end(reading.outcome())
            if self.closed.is_set():
                raise Unavailable("the backend was closed")

    def close(self) -> None:
        super().close()
        self._reader.forget()


@dataclass(slots=True)
class _Reading:
    """One request whose distributions are being collected."""

    job: Job
    labels: tuple[str, ...]
    paths: dict[str, list[int]]
    """Label prefix to its tokens; "" is the position where labels begin."""
    seen: dict[str, Distribution] = field(default_factory=dict)
    shared: int = 0

    def outcome(self) -> Generation | BackendError:
        if any(math.isnan(value) for seen in self.seen.values() for value in seen.values()):
            return NotANumber()
        found = label_logprobs(self.labels, self.seen[""], self.seen.get)
        if found is None or max(found.values()) == -math.inf:
            return BackendError("the model's tokens cannot spell these labels")
        label = max(found, key=found.__getitem__)
        return Generation(
            text=self.job.request.opening + label,
            label_logprobs=found,
            usage=Usage(
                prompt_tokens=len(self.job.ids),
                completion_tokens=1,
                cached_tokens=self.shared,
                seconds=self.job.seconds,
            ),
        )


class PrefixReader:
    """Next-token logits at the end of many sequences, computing each shared prefix once.

    Between passes it keeps the keys and values of the last sequence, so that the next sequence can
    continue from them, in this call or a later one.
    """

    def __init__(self, model: Any, *, share: bool = True, pass_tokens: int | None = None) -> None:
        """Wrap a causal model.

        Args:
            share: False computes every sequence in full.
            pass_tokens: new tokens per pass; the default depends on the device.
        """
        self._model, self._share = model, share
        # transformers 5.24 calls it `cache`, and warns about the old name.
        known = inspect.signature(model.forward).parameters
        self._cache_is_called = "cache" if "cache" in known else "past_key_values"
        self._limit = pass_tokens or _PASS_TOKENS.get(model.device.type, 8192)
        self.computed = 0
        """Tokens computed so far."""
        self.forget()

    def forget(self) -> None:
        """Drop the cached keys and values."""
        from transformers import DynamicCache

        # Plain layers, whatever the model would choose: a sliding-window layer cannot branch.
        self._kept: tuple[int, ...] = ()
        self._cache: Any = DynamicCache()

    def read(
        self, sequences: Sequence[tuple[int, ...]]
    ) -> Iterator[tuple[tuple[int, ...], Any, int]]:
        """Yield each sequence, its logits of shape (vocabulary,), and its number of shared tokens.

        Args:
            sequences: distinct and sorted; any other order shares less.
        """
        load: list[tuple[tuple[int, ...], int]] = []
        new, before = 0, self._kept
        for sequence in sequences:
            # The last token is always computed: the logits come from it.
            shared = min(_common(before, sequence), len(sequence) - 1) if self._share else 0
            if load and new + len(sequence) - shared > self._limit:
                yield from halving(load, self._pass)
                load, new = [], 0
            load.append((sequence, shared))
            new += len(sequence) - shared
            before = sequence
        if load:
            yield from halving(load, self._pass)

    def _pass(
        self, load: list[tuple[tuple[int, ...], int]]
    ) -> list[tuple[tuple[int, ...], Any, int]]:
        """Run one forward pass over the new tokens of sequences that share prefixes.

        A failed pass may leave its keys in some layers and not in others, so it drops them all.
        """
        first, shared = load[0]
        if shared > len(self._kept):  # dropped since the batch was assembled
            load = [(first, 0), *load[1:]]
        try:
            return self._forward(load)
        except BaseException:
            self.forget()
            raise

    def _forward(
        self, load: list[tuple[tuple[int, ...], int]]
    ) -> list[tuple[tuple[int, ...], Any, int]]:
        import torch

        kept = load[0][1]
        new = sum(len(sequence) - shared for sequence, shared in load)
        self._keep(slice(kept))
        device, dtype = self._model.device, self._model.dtype
        mask = torch.full((new, kept + new), torch.finfo(dtype).min, dtype=dtype)
        tokens: list[int] = []
        places: list[int] = []
        ends: list[int] = []
        # Cache position of each token of the current sequence.
        path = torch.arange(kept)
        for sequence, shared in load:
            row = len(tokens)
            tokens += sequence[shared:]
            places += range(shared, len(sequence))
            ends.append(len(tokens) - 1)
            own = torch.arange(kept + row, kept + len(tokens))
            path = torch.cat([path[:shared], own])
            mask[row : len(tokens), path[:shared]] = 0
            mask[row : len(tokens), kept + row : kept + len(tokens)].triu_(1)
        logits = self._model(
            input_ids=torch.tensor([tokens], device=device),
            position_ids=torch.tensor([places], device=device),
            attention_mask=mask[None, None].to(device),
            **({"blocks": _blocks(mask)} if device.type == "cpu" else {}),
            **{self._cache_is_called: self._cache},
            use_cache=True,
            logits_to_keep=torch.tensor(ends, device=device),
        ).logits[0]
        self.computed += new
        self._keep(path.to(device))
        self._kept = load[-1][0]
        return [
            (sequence, row, shared) for (sequence, shared), row in zip(load, logits, strict=True)
        ]

    def _keep(self, places: Any) -> None:
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[:, :, places], layer.values[:, :, places]


def _blocks(mask: Any) -> list[tuple[slice, Any, Any]]:
    """Split a mask into blocks: row slice, visible columns, and the mask between them."""
    blocks = []
    for start in range(0, len(mask), _BLOCK):
        rows = slice(start, start + _BLOCK)
        seen = (mask[rows] == 0).any(0).nonzero()[:, 0]
        blocks.append((rows, seen, mask[rows][:, seen]))
    return blocks


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    n = 0
    for n, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return n
    return min(len(a), len(b))


def check_sharing(model: Any) -> None:
    """Compare a packed pass with plain ones: some architectures ignore mask or positions.

    Raises:
        SetupError: the results differ by more than rounding error.
    """
    import torch

    sequences = [(5, 6, 7, 8, 9, 10), (5, 6, 7, 11, 12), (13, 14, 15)]
    with torch.inference_mode():
        try:
            packed = [logits for _, logits, _ in PrefixReader(model).read(sequences)]
        except Exception as exc:  # an unknown architecture may raise anything
            raise SetupError(_NOT_SHARED, hint="use --model hf/...") from exc
        for sequence, found in zip(sequences, packed, strict=True):
            ids = torch.tensor([sequence], device=model.device)
            plain = model(input_ids=ids).logits[0, -1].float().log_softmax(-1)
            likely = plain.topk(20).indices
            off = (plain - found.float().log_softmax(-1))[likely].abs().mean()
            if not off < 0.2:
                raise SetupError(_NOT_SHARED, hint="use --model hf/...")


_NOT_SHARED = "this model cannot read prompts that share a beginning"
