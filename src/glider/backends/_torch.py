"""Shared parts of the torch backends: loading, prompts, worker thread, label probabilities.

A worker thread owns the model; `submit` only queues. Weights come from a Hugging Face folder or
hub id, or from a GGUF file that is dequantised once. On a CPU, attention is computed as plain
matrix products: torch's own CPU kernel took four times as long in bf16 (12 against 3 ms for 512
queries on 1400 keys, Zen 5).
"""

import os
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeVar

from glider.backends.base import Backend, Capabilities, Limits, settle
from glider.backends.labels import Distribution
from glider.core.errors import (
    BackendError,
    MissingExtra,
    ModelFileError,
    NoChatTemplate,
    PromptTooLong,
    Refused,
    Unavailable,
)
from glider.core.generation import Generation, GenerationRequest
from glider.models.quiet import quietly
from glider.models.resolve import resolve
from glider.text.chat import control_tokens, prompt_text, token_ids

DType = Literal["auto", "bfloat16", "float32"]

_GATHER_S = 0.01
"""Seconds that the worker waits for further requests before it starts a batch."""
_ATTENTION = "glider_matmul"


class NotANumber(BackendError):
    """The model computed numbers that are not finite, so it has no valid answer."""

    def __init__(self) -> None:
        super().__init__(
            "the model's numbers for this prompt are not finite",
            hint="its weights are damaged, or too large for this precision",
        )


@dataclass(slots=True)
class Job:
    """A queued request: its prompt as token ids, and the future to resolve."""

    request: GenerationRequest
    future: "Future[Generation]" = field(default_factory=Future)
    started: float = field(default_factory=time.perf_counter)
    ids: list[int] = field(default_factory=list)
    ended: bool = False

    @property
    def seconds(self) -> float:
        """Seconds since the request was submitted."""
        return round(time.perf_counter() - self.started, 4)

    def end(self, outcome: Generation | BaseException) -> None:
        """Resolve the future with an answer or an error; only the first call counts."""
        if not self.ended:
            self.ended = True
            settle(self.future, outcome)


class TorchBackend(Backend):
    """A model in torch, owned by one worker thread."""

    def __init__(
        self,
        model: str | Path,
        *,
        provider: str,
        revision: str | None,
        dtype: DType,
        device: str | None,
        in_flight: int,
        capabilities: Capabilities,
    ) -> None:
        loaded = load(str(model), revision=revision, dtype=dtype, device=device)
        self.id = f"{provider}/{loaded.name}@{loaded.revision}"
        self.trained_format = loaded.trained_format
        self.model: Any = loaded.model
        self.tokenizer: Any = loaded.tokenizer
        config = loaded.model.config.get_text_config()
        context: int | None = getattr(config, "max_position_embeddings", None)
        self.limits = Limits(in_flight=in_flight, context_tokens=context)
        self.capabilities = capabilities
        self.vocabulary = Vocabulary(self.tokenizer, config.vocab_size)
        self._control_tokens = control_tokens(self.tokenizer)
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self.closed = threading.Event()
        self._worker = threading.Thread(target=self._serve, name=f"glider-{provider}", daemon=True)
        self._worker.start()

    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        job = Job(request)
        with self._lock:
            if self.closed.is_set():
                job.end(Unavailable("the backend is closed"))
            else:
                self._queue.put(job)
        return job.future

    def close(self) -> None:
        with self._lock:
            if not self.closed.is_set():
                self.closed.set()
                self._queue.put(None)
        self._worker.join()
        self.model = None

    @abstractmethod
    def answer(self, jobs: list[Job]) -> None:
        """End every job; each has its `ids`. Lets torch's exceptions through."""

    def check(self, request: GenerationRequest) -> None:
        """Raise Refused for a request that this engine does not support."""

    def _serve(self) -> None:
        import torch

        while (jobs := self._gather()) is not None:
            ready = [job for job in jobs if self._prepared(job)]
            try:
                with torch.inference_mode():
                    self.answer(ready)
            except Exception as exc:  # noqa: BLE001 - whatever it is, nobody waits for ever
                for job in ready:
                    job.end(_ours(exc))

    def _gather(self) -> list[Job] | None:
        """Return queued jobs, up to a full batch; on close, end the open jobs and return None."""
        jobs: list[Job] = []
        job = self._queue.get()
        while job is not None and not self.closed.is_set():
            if job.future.cancelled():
                job.end(Unavailable("nobody waits for it"))
            else:
                jobs.append(job)
            if len(jobs) == self.limits.in_flight:
                return jobs
            try:
                job = self._queue.get(timeout=_GATHER_S)
            except Empty:
                return jobs
        while job is not None:
            jobs.append(job)
            job = self._queue.get()
        for open_job in jobs:
            open_job.end(Unavailable("the backend was closed"))
        return None

    def _prepared(self, job: Job) -> bool:
        try:
            self.check(job.request)
            job.ids = self._prompt(job.request)
        except Exception as exc:  # noqa: BLE001 - of this request alone
            job.end(_ours(exc))
            return False
        context = self.limits.context_tokens
        limit = context and context - job.request.decoding.max_tokens
        if limit is not None and len(job.ids) > limit:
            job.end(PromptTooLong(len(job.ids), limit))
            return False
        return True

    def _prompt(self, request: GenerationRequest) -> list[int]:
        from jinja2 import TemplateError

        try:
            text = prompt_text(
                self.tokenizer, request.messages, request.opening, self._control_tokens
            )
        except TemplateError as exc:
            raise Refused(f"the model's chat template does not take this: {exc}") from exc
        return token_ids(self.tokenizer, text)


T = TypeVar("T")
R = TypeVar("R")


def halving(items: list[T], work: Callable[[list[T]], list[R]]) -> list[R]:
    """Return `work(items)`; if the device runs out of memory, work on each half separately.

    Raises:
        Unavailable: the memory is too small even for a half.
    """
    import torch

    try:
        return work(items)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
    middle = (len(items) + 1) // 2
    halves = [half for half in (items[:middle], items[middle:]) if half]
    try:
        return [result for half in halves for result in work(half)]
    except torch.OutOfMemoryError as exc:
        raise Unavailable("the device has too little memory for this batch") from exc


def _ours(error: Exception) -> Exception:
    """Translate torch's failures to a BackendError; leave bugs in our code as they are."""
    if isinstance(error, RuntimeError):
        wrapped = BackendError(f"the model failed: {error}")
        wrapped.__cause__ = error
        return wrapped
    return error


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its tokenizer and the identity of its weights."""

    model: Any
    tokenizer: Any
    name: str
    revision: str
    trained_format: Mapping[str, str] | None


def wait_asleep() -> None:
    """Make torch's threads sleep while they wait, unless the environment says otherwise.

    By default they spin, and beside another process two threads are ten times slower than one
    (17 to 40 s for a training pass; 2.5 s when they sleep). Call this before torch is imported:
    torch reads the setting once, when it loads.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def load(model: str, *, revision: str | None, dtype: DType, device: str | None) -> LoadedModel:
    """Load a model by any name that `glider.models.resolve` knows.

    Raises:
        MissingExtra: torch or transformers is not installed.
        UnknownName: no such model.
        ModelFileError: the model is missing, damaged or cannot be fetched.
        SetupError: the model has no chat template, or `revision` is given for a file.
    """
    wait_asleep()
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    except ImportError as exc:
        raise MissingExtra("the hf backend", "torch") from exc
    weights = resolve(model, revision).torch()
    source, at = weights.source, weights.hub_revision
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with quietly():
            tokenizer: Any = AutoTokenizer.from_pretrained(source, revision=at)
            network: Any = AutoModelForCausalLM.from_pretrained(
                source,
                revision=at,
                dtype=_dtype(dtype, device),
                attn_implementation=_attention() if device == "cpu" else "sdpa",
            )
    except (OSError, ValueError, KeyError) as exc:
        raise ModelFileError(
            f"cannot load {model}: {exc}",
            hint="give a folder, a hub id (its download may need a login) or a .gguf file",
        ) from exc
    if not tokenizer.chat_template:
        raise NoChatTemplate(weights.name)
    # A model's own defaults (sampling, repetition penalty) would silently change the answers.
    ends = network.generation_config.eos_token_id
    if ends is None:
        ends = tokenizer.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    plain: Any = GenerationConfig
    network.generation_config = plain(eos_token_id=ends, pad_token_id=ends[0])
    return LoadedModel(
        network.to(device).eval(), tokenizer, weights.name, weights.revision, weights.trained_format
    )


def _dtype(asked: DType, device: str) -> Any:
    import torch

    if asked != "auto":
        return getattr(torch, asked)
    if device != "cpu":
        return "auto"
    # Without hardware support bf16 is emulated, and slower than fp32.
    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    fast = any(able.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if fast else torch.float32


@lru_cache(maxsize=1)
def _attention() -> str:
    """Register attention as plain matrix products and return its registered name."""
    import torch
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward
    from transformers.masking_utils import eager_mask

    def attend(
        module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any
    ) -> tuple[Any, None]:
        if options.get("softcap") is not None or attention_mask is None:
            plain: tuple[Any, None] = sdpa_attention_forward(
                module, query, key, value, attention_mask, **options
            )
            return plain
        scale, blocks = options["scaling"], options.get("blocks")
        if blocks is None:
            return _attend(query, key, value, attention_mask, scale), None
        parts = [
            _attend(query[:, :, rows], key[:, :, seen], value[:, :, seen], mask, scale)
            for rows, seen, mask in blocks
        ]
        return torch.cat(parts, dim=1), None

    AttentionInterface.register(_ATTENTION, attend)
    AttentionMaskInterface.register(_ATTENTION, eager_mask)
    return _ATTENTION


def _attend(query: Any, key: Any, value: Any, mask: Any, scale: float) -> Any:
    """Return attention, shape (batch, queries, heads, size), under an additive mask."""
    batch, heads, n_query, size = query.shape
    kv_heads, n_key = key.shape[1:3]
    # Query heads that share a key head form one tall matrix, so keys are not copied.
    tall = query.reshape(batch * kv_heads, heads // kv_heads * n_query, size)
    scores = (tall * scale) @ key.reshape(-1, n_key, size).mT
    scores.view(batch, heads, n_query, n_key).add_(mask)
    output = scores.softmax(-1) @ value.reshape(-1, n_key, value.shape[-1])
    return output.view(batch, heads, n_query, -1).transpose(1, 2).contiguous()


class Vocabulary:
    """Token texts, and the probabilities of the tokens that can begin a label."""

    def __init__(self, tokenizer: Any, size: int) -> None:
        self._tokenizer, self._size = tokenizer, size
        # Decoded after another token, since some tokenizers drop a leading space.
        self._anchor: list[int] = tokenizer.encode("a", add_special_tokens=False)
        self._start = len(tokenizer.decode(self._anchor))
        self._texts: list[str] = []
        self.beginnings = lru_cache(maxsize=256)(self._beginnings)
        self.ambiguous = lru_cache(maxsize=64)(self._ambiguous)

    def text(self, ids: Sequence[int]) -> str:
        """Decode tokens as they read in the middle of a text."""
        decoded: str = self._tokenizer.decode([*self._anchor, *ids], skip_special_tokens=True)
        return decoded[self._start :]

    def _beginnings(self, labels: tuple[str, ...], begun: str) -> dict[str, list[int]]:
        """Map token texts that continue `begun` towards a label to ids, shortest text first."""
        if not self._texts:
            self._texts = self._tokenizer.batch_decode(
                [[*self._anchor, token] for token in range(self._size)]
            )
        found: dict[str, list[int]] = {}
        for token, decoded in enumerate(self._texts):
            text = decoded[self._start :]
            more = text if begun else text.lstrip()
            if more and any(label.startswith(begun + more) for label in labels):
                found.setdefault(text, []).append(token)
        return dict(sorted(found.items(), key=lambda item: len(item[0])))

    def _ambiguous(self, labels: tuple[str, ...]) -> dict[str, list[int]]:
        """Map prefixes shared by several labels ("1" of "1" and "10") to their tokens."""
        found: dict[str, list[int]] = {}
        todo: list[tuple[str, list[int]]] = [("", [])]
        while todo:
            begun, path = todo.pop()
            for text, tokens in self.beginnings(labels, begun).items():
                more = begun + (text if begun else text.lstrip())
                if more not in found and sum(label.startswith(more) for label in labels) > 1:
                    found[more] = [*path, tokens[0]]
                    todo.append((more, found[more]))
        return found

    def distribution(self, logits: Any, labels: tuple[str, ...], begun: str = "") -> Distribution:
        """Return the log-probability of each token text that continues towards a label.

        Args:
            logits: unconstrained logits of the next token, shape (vocabulary,).
        """
        logprobs = logits.float().log_softmax(-1).cpu()
        return {
            text: float(logprobs[tokens].logsumexp(-1))
            for text, tokens in self.beginnings(labels, begun).items()
        }
