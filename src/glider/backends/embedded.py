"""The default backend: llama.cpp in this process, on the CPU, without a key or a network.

One wheel (`xllamacpp`) has grammars, log-probabilities and a prefix cache per slot. The engine also
opens an HTTP port on loopback; a random key that never leaves this object keeps others out.
Its built-in llguidance applies the grammars and does not report one that it cannot compile, so we
always check the answer itself against the grammar.
"""

import os
import re
import secrets
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from glider.backends.base import Backend, Capabilities, Limits, settle
from glider.backends.labels import Distribution, from_answer
from glider.core.errors import (
    BackendError,
    ModelFileError,
    PromptTooLong,
    Refused,
    SetupError,
    Unavailable,
)
from glider.core.generation import Generation, GenerationRequest
from glider.core.judgments import Usage
from glider.models.catalog import DEFAULT
from glider.models.fetch import Progress
from glider.models.gguf_header import context_length, control_tokens, end_token, read_header
from glider.models.resolve import resolve
from glider.text.defuse import defuse_literals

_TOP = 50
"""Number of next-token alternatives to request: enough for eleven labels and their spellings."""
_SHORT_TOKENS = 8
"""Prompt processing dominates answers up to this long: one slot with one shared cache is best."""
_LONG_PROMPT = 8000
"""Characters from which a prompt counts as long: processing it takes a second or more."""
_IN_FLIGHT = 64


@dataclass(slots=True, eq=False)
class _Job:
    request: GenerationRequest
    future: "Future[Generation]"
    prompt: str


@dataclass(slots=True)
class _Answer:
    """What the engine has generated so far."""

    text: str = ""
    finish: str = ""
    tokens: list[tuple[str, Distribution]] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    """Empty until the answer is complete."""
    error: dict[str, Any] | None = None
    read: int = 0
    """Prompt tokens that were not in the cache."""

    def take(self, chunk: dict[str, Any]) -> tuple[int, int]:
        """Add a chunk; return how many prompt tokens it processed and how many it generated."""
        before = self.read
        progress = chunk.get("prompt_progress")
        if progress is not None:
            self.read = progress["processed"] - progress["cache"]
        written = 0
        self.error = self.error or chunk.get("error")
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk.get("choices", ()):
            piece = choice["delta"].get("content") or ""
            self.text += piece
            written += bool(piece)
            self.finish = choice["finish_reason"] or self.finish
            told = (choice.get("logprobs") or {}).get("content", [])
            self.tokens += [_token(item) for item in told]
        return self.read - before, written


class EmbeddedBackend(Backend):
    """A GGUF model run by llama.cpp on this machine's CPU."""

    def __init__(
        self,
        model: str = DEFAULT,
        *,
        slots: int = 8,
        context_tokens: int | None = None,
        threads: int | None = None,
        scores_apart: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Load a model.

        Args:
            model: a catalogue name (fetched on first use), a .gguf file, or the folder of an
                adapter or of a training that made one.
            slots: number of concurrent requests; each slot has its own context and prefix cache.
            context_tokens: limit for prompt and answer of one request, at most the context that
                the model was trained on; default 4096.
            threads: CPU threads to use; by default, as many as this process may use.
            scores_apart: reserve one slot for bare scores of texts that are not long, so that no
                other request delays them.

        Raises:
            UnknownName: no such model.
            ModelFileError: the file cannot be fetched, is damaged, or is not a model.
        """
        # The engine's OpenMP threads spin while they wait: with a busy neighbour on the same
        # processors that costs far more than it saves. A short spin was as fast as the default
        # when alone and 1.4 times as fast beside one busy process (experiments/LOG.md). OpenMP
        # reads this once, when it loads.
        os.environ.setdefault("GOMP_SPINCOUNT", "300")
        try:
            import xllamacpp
        except ImportError as exc:
            raise SetupError(
                f"the embedded engine cannot be loaded: {exc}",
                hint="pip install xllamacpp; or name another engine with --model",
            ) from exc
        file = resolve(model).gguf(progress)
        header = read_header(file.path)
        trained = context_length(header) or 4096
        context = min(context_tokens or 4096, trained)
        cores = threads or _cores()
        self.id = f"embedded/{file.name}@{file.sha256[:12]}"
        self.trained_format = file.trained_format
        self._scores_apart = scores_apart and slots > 1
        self.limits = Limits(
            in_flight=_IN_FLIGHT,
            context_tokens=context,
            at_once=slots - self._scores_apart,
            scores_at_once=1,
        )
        self.capabilities = Capabilities(grammar=True, label_logprobs=True, prefix_cache=True)
        self._control_tokens = control_tokens(header)
        self._end = end_token(header)
        params = xllamacpp.CommonParams()
        params.model.path = str(file.path)
        params.n_parallel = slots
        params.n_ctx = context * slots
        params.cpuparams.n_threads = cores
        params.cpuparams_batch.n_threads = cores
        params.api_keys = [secrets.token_hex(32)]
        params.ui = False
        params.endpoint_slots = False
        params.endpoint_metrics = True  # asked for when closing
        params.warmup = False
        params.verbosity = 0
        # The engine's default keeps up to 8 GiB of old prompts in memory.
        params.cache_ram_mib = 0
        try:
            self._engine: Any = xllamacpp.Server(params)
        except RuntimeError as exc:
            raise ModelFileError(f"the engine cannot load {file.path}") from exc
        self._slots = slots
        self._read, self._written = [0] * slots, [0] * slots
        self._waiting: list[_Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._workers = [
            threading.Thread(
                target=self._work, args=(slot,), name=f"glider-slot-{slot}", daemon=True
            )
            for slot in range(slots)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def tokens(self) -> tuple[int, int]:
        """Prompt tokens processed (cached ones not counted) and tokens generated since opening."""
        return sum(self._read), sum(self._written)

    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        prompt = "\n".join(message.content for message in request.messages)
        job = _Job(request, Future(), prompt)
        with self._changed:
            if self._closed:
                settle(job.future, Unavailable("the backend is closed"))
            else:
                self._waiting.append(job)
                self._changed.notify_all()
        return job.future

    def _work(self, slot: int) -> None:
        """Run one slot until closed, always taking the request that shares most with its cache."""
        last = ""
        while True:
            with self._changed:
                job = self._choose(slot, last)
                while job is None and not self._closed:
                    self._changed.wait()
                    job = self._choose(slot, last)
                if job is None:
                    return
                self._waiting.remove(job)
            outcome: Generation | Exception
            try:
                outcome = self._answer(job, slot)
                last = job.prompt
            except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
                outcome = error
            settle(job.future, outcome)

    def _choose(self, slot: int, last: str) -> _Job | None:
        able = [job for job in self._waiting if self._may_take(slot, job)]
        if not able:
            return None
        if not last:
            # Neighbours share most, so slots that start far apart do not compete for the same ones.
            return able[len(able) * slot // self._slots]
        return max(able, key=lambda job: _shared(last, job.prompt))

    def _may_take(self, slot: int, job: _Job) -> bool:
        short = job.request.decoding.max_tokens <= _SHORT_TOKENS
        if self._scores_apart:
            return (slot == 0) == (short and len(job.prompt) <= _LONG_PROMPT)
        return slot == 0 or not short

    def _answer(self, job: _Job, slot: int) -> Generation:
        request, started = job.request, time.perf_counter()
        messages = [
            {"role": m.role, "content": defuse_literals(m.content, self._control_tokens)}
            for m in request.messages
        ]
        decoding = request.decoding
        body: dict[str, Any] = {
            "messages": messages,
            "max_tokens": decoding.max_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "seed": decoding.seed,
            "cache_prompt": True,
            "id_slot": slot,
        }
        if request.grammar is not None:
            body["grammar"] = "%llguidance {}\n" + _may_end(request.grammar.lark, self._end)
        if request.labels is not None:
            body |= {"logprobs": True, "top_logprobs": _TOP}
        answer = self._complete(body, request.opening, job)
        cut_off = answer.finish == "length"
        if cut_off and answer.usage["completion_tokens"] < decoding.max_tokens:
            # The context filled up before the answer was complete.
            room = (self.limits.context_tokens or 0) - decoding.max_tokens
            raise PromptTooLong(answer.usage["prompt_tokens"], room)
        text = answer.text
        if not text.startswith(request.opening):
            text = request.opening + text
        logprobs = None
        if request.labels is not None:
            if text.endswith(request.labels.after):
                # The engine does not report the alternatives to the end-of-answer token.
                end = self._next(body, _as_bytes(text), job)
                answer.tokens.append(("", end or {}))
            logprobs = from_answer(
                request.labels,
                _as_bytes(request.opening),
                answer.tokens,
                lambda begun: self._next(body, begun, job),
            )
        used = answer.usage
        return Generation(
            text=text,
            finish="length" if cut_off else "stop",
            label_logprobs=logprobs,
            constrained=request.grammar is not None,
            usage=Usage(
                prompt_tokens=used["prompt_tokens"],
                completion_tokens=used["completion_tokens"],
                cached_tokens=(used.get("prompt_tokens_details") or {}).get("cached_tokens", 0),
                seconds=round(time.perf_counter() - started, 4),
            ),
        )

    def _next(self, body: dict[str, Any], begun: str, job: _Job) -> Distribution | None:
        """Return the distribution after a given answer prefix; the prefix cache makes it cheap."""
        asked = {key: value for key, value in body.items() if key != "grammar"}
        asked |= {"max_tokens": 1, "temperature": 0.0}
        begun = begun.encode("latin-1").decode("utf-8", "replace")
        tokens = self._complete(asked, begun, job).tokens
        return tokens[0][1] if tokens else None

    def _complete(self, body: dict[str, Any], opening: str, job: _Job) -> "_Answer":
        """Generate an answer; stop the engine if its future is cancelled.

        Raises:
            BackendError: the engine failed, or was stopped.
        """
        messages = list(body["messages"])
        if opening:
            messages.append({"role": "assistant", "content": opening})
        answer, slot = _Answer(), body["id_slot"]

        def take(chunk: dict[str, Any]) -> bool:
            read, written = answer.take(chunk)
            self._read[slot] += read
            self._written[slot] += written
            return self._closed or job.future.cancelled()

        if not (self._closed or job.future.cancelled()):
            # Streamed, since the engine can be stopped only between two chunks.
            streamed = {"stream": True, "stream_options": {"include_usage": True}}
            self._engine.handle_chat_completions(
                {**body, **streamed, "return_progress": True, "messages": messages}, take
            )
        if answer.error is not None:
            raise _error(answer.error)
        if not answer.usage:
            raise Unavailable("the backend is closed" if self._closed else "nobody waits for it")
        return answer

    def close(self) -> None:
        with self._changed:
            self._closed = True
            given_up, self._waiting = self._waiting, []
            self._changed.notify_all()
        for job in given_up:
            settle(job.future, Unavailable("the backend is closed"))
        for worker in self._workers:
            worker.join()
        if self._engine is not None:
            # xllamacpp waits forever for an engine that is freed before its loop has started; only
            # the loop answers a request for metrics.
            self._engine.handle_metrics()
        self._engine = None


def _may_end(lark: str, end: int | None) -> str:
    """Return the grammar with the model's own end-of-turn token allowed after it.

    The engine lets a grammar end only with the token that it takes for the end of turn. If the file
    names none, it may take a different one than the model writes (`<|endoftext|>` for
    `<|im_end|>`), and a model that wants to stop would have to continue to the grammar's bound.
    """
    if end is None:
        return lark
    ended = f"start: whole_answer <[{end}]>?\nwhole_answer:"
    return re.sub(r"^start:", ended, lark, count=1, flags=re.MULTILINE)


def _shared(one: str, other: str) -> int:
    """Length of the common prefix, by bisection: texts are long and slices compare fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _as_bytes(text: str) -> str:
    # Tokens may end inside a character; one char per byte keeps their offsets exact.
    return text.encode().decode("latin-1")


def _token(item: dict[str, Any]) -> tuple[str, Distribution]:
    spread: dict[str, float] = {}
    for top in item["top_logprobs"]:
        spread[bytes(top["bytes"]).decode("latin-1")] = top["logprob"]
    return bytes(item["bytes"]).decode("latin-1"), spread


def _error(error: dict[str, Any]) -> BackendError:
    if error.get("type") == "exceed_context_size_error":
        return PromptTooLong(error.get("n_prompt_tokens"), error.get("n_ctx"))
    if error.get("code") == 400:
        return Refused(f"the engine refused the request: {error.get('message')}")
    return Unavailable(f"the engine failed: {error.get('message')}")
