"""A model in vLLM's own engine, in this process: for GPUs, and for actors that hold one.

Probabilities under a grammar are of what the grammar has left, as over HTTP. So a bare score is
asked without one and read from the probabilities, and an answer with a reason is marked `masked`.
Where vLLM has `logprob_token_ids` (0.29 and later), the probability of each token that can begin a
label is exact; elsewhere the twenty likeliest tokens are seen.
"""

import asyncio
import math
import os
import threading
import time
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from glider.backends._openai_wire import LLGUIDANCE
from glider.backends._torch import Vocabulary
from glider.backends.base import Backend, Capabilities, Limits, settle
from glider.backends.labels import Distribution, from_answer, is_bare_label
from glider.core.errors import (
    BackendError,
    MissingExtra,
    ModelFileError,
    NoChatTemplate,
    PromptTooLong,
    Refused,
    Unavailable,
)
from glider.core.generation import Generation, GenerationRequest, Labels
from glider.core.judgments import Usage
from glider.models.catalog import DEFAULT
from glider.models.resolve import resolve
from glider.text.chat import control_tokens, prompt_text, token_ids

_MOST_TOKENS = 128
"""vLLM's own limit of `logprob_token_ids`."""
_LIKELIEST = 20
"""vLLM's own limit of `logprobs`, unless it is started with another."""
_ENDS_WITHIN_S = 30.0


class EngineDied(BackendError):
    """vLLM's engine process has ended; nothing that this backend is asked has an answer."""

    code = "engine_died"
    stops_run = True


class VllmBackend(Backend):
    """Generates answers with vLLM's asynchronous engine."""

    def __init__(
        self,
        model: str | Path = DEFAULT,
        *,
        revision: str | None = None,
        dtype: str = "auto",
        **engine: Any,
    ) -> None:
        """Load a model.

        Args:
            model: a Hugging Face folder or hub id (`@REVISION` may follow), an adapter, which is
                merged, a .gguf file, which is dequantised, or a catalogue name.
            revision: revision of a hub id.
            dtype: as vLLM takes it.
            engine: further arguments of vLLM's `AsyncEngineArgs`, such as `max_model_len`.

        Raises:
            MissingExtra: vLLM is not installed.
            ModelFileError: the model is missing, damaged, or vLLM cannot load it.
            SetupError: the model has no chat template.
        """
        # vLLM reports its use over the network unless it is told not to, and logs a lot.
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        # Forking a process that has threads may hang.
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        try:
            from transformers import AutoTokenizer
            from vllm import SamplingParams
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
        except ImportError as exc:
            raise MissingExtra("the vllm backend", "vllm") from exc
        weights = resolve(str(model), revision).torch()
        tokenizer: Any = AutoTokenizer
        self.tokenizer: Any = tokenizer.from_pretrained(
            weights.source, revision=weights.hub_revision
        )
        if not self.tokenizer.chat_template:
            raise NoChatTemplate(weights.name)
        options: dict[str, Any] = {
            "model": weights.source,
            "revision": weights.hub_revision,
            "dtype": dtype,
            "enable_prefix_caching": True,
            "disable_log_stats": True,
            # The only one of vLLM's that reads our grammar.
            "structured_outputs_config": {"backend": "guidance"},
            # A model's own defaults (sampling, repetition penalty) would change the answers.
            "generation_config": "vllm",
        }
        self._sampling: Any = SamplingParams
        self._exact = hasattr(SamplingParams, "logprob_token_ids")
        # A seed of one request's own ends vLLM's engine on a CPU as soon as a prompt is read in
        # pieces: it turns the generator back, and torch's CPU generator cannot be turned back.
        self._takes_seeds = not current_platform.is_cpu()
        self.id = f"vllm/{weights.name}@{weights.revision}"
        self.trained_format = weights.trained_format
        self._numbers, self._tasks = count(), set[asyncio.Task[None]]()
        self._lock, self._closed = threading.Lock(), False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="glider-vllm", daemon=True
        )
        self._thread.start()
        try:
            self._engine: Any = self._run(_start(AsyncEngineArgs(**options | engine)))
        except Exception as exc:
            self._end_loop()
            raise ModelFileError(f"vLLM cannot load {model}: {exc}") from exc
        config = self._engine.vllm_config
        self._vocabulary = Vocabulary(self.tokenizer, config.model_config.get_vocab_size())
        self._control_tokens = control_tokens(self.tokenizer)
        self.limits = Limits(
            in_flight=int(config.scheduler_config.max_num_seqs),
            context_tokens=int(config.model_config.max_model_len),
        )
        self.capabilities = Capabilities(grammar=True, label_logprobs=True, prefix_cache=True)

    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        future: Future[Generation] = Future()
        with self._lock:
            if self._closed:
                settle(future, Unavailable("the backend is closed"))
            else:
                self._loop.call_soon_threadsafe(self._begin, request, future)
        return future

    def close(self) -> None:
        with self._lock:
            closed, self._closed = self._closed, True
        if closed:
            return
        with suppress(Exception):  # it may have died, and is to end
            self._run(self._end(), _ENDS_WITHIN_S)
        self._end_loop()

    def _run(self, what: Coroutine[Any, Any, Any], seconds: float | None = None) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(seconds)

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_ENDS_WITHIN_S)
        if not self._thread.is_alive():
            self._loop.close()

    # ---- in the loop

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._engine.shutdown()

    def _begin(self, request: GenerationRequest, future: "Future[Generation]") -> None:
        task = self._loop.create_task(self._answer(request, future))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        future.add_done_callback(partial(self._if_cancelled, task))

    def _if_cancelled(self, task: "asyncio.Task[None]", future: "Future[Generation]") -> None:
        if future.cancelled():
            self._loop.call_soon_threadsafe(task.cancel)

    async def _answer(self, request: GenerationRequest, future: "Future[Generation]") -> None:
        try:
            settle(future, await self._generation(request))
        except asyncio.CancelledError:
            settle(future, Unavailable("the backend was closed"))
        except Exception as exc:  # noqa: BLE001 - whatever it is, nobody waits for ever
            settle(future, _ours(exc))

    async def _generation(self, request: GenerationRequest) -> Generation:
        began = time.perf_counter()
        ids = self._prompt(request)
        decoding = request.decoding
        limit = (self.limits.context_tokens or 0) - decoding.max_tokens
        if len(ids) > limit:
            raise PromptTooLong(len(ids), limit)
        bare = is_bare_label(request)
        constrained = request.grammar is not None and not bare
        done = await self._ask(ids, self._parameters(request, constrained))
        output = done.outputs[0]
        written = list(output.token_ids)
        found = None
        if request.labels is not None:
            found = await self._label_logprobs(request, request.labels, ids, output)
        text = self._vocabulary.text(written)
        if bare and found:
            text = max(found, key=found.__getitem__)
        return Generation(
            text=request.opening + text,
            finish="length" if output.finish_reason == "length" else "stop",
            label_logprobs=found,
            constrained=constrained,
            masked=constrained,
            adjusted=("seed",) if decoding.temperature and not self._takes_seeds else (),
            usage=Usage(
                prompt_tokens=len(ids),
                completion_tokens=len(written),
                cached_tokens=getattr(done, "num_cached_tokens", None) or 0,
                seconds=round(time.perf_counter() - began, 4),
            ),
        )

    def _prompt(self, request: GenerationRequest) -> list[int]:
        from jinja2 import TemplateError

        try:
            text = prompt_text(
                self.tokenizer, request.messages, request.opening, self._control_tokens
            )
        except TemplateError as exc:
            raise Refused(f"the model's chat template does not take this: {exc}") from exc
        return token_ids(self.tokenizer, text)

    def _parameters(self, request: GenerationRequest, constrained: bool) -> Any:
        from vllm.sampling_params import StructuredOutputsParams

        decoding = request.decoding
        given: dict[str, Any] = {
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "max_tokens": decoding.max_tokens,
            "seed": decoding.seed if decoding.temperature and self._takes_seeds else None,
        }
        if request.labels is not None:
            given |= self._of_labels(request.labels.texts, "")
        if constrained and request.grammar is not None:
            lark = LLGUIDANCE + request.grammar.lark
            given["structured_outputs"] = StructuredOutputsParams(grammar=lark)
        return self._made(given)

    def _of_labels(self, labels: tuple[str, ...], begun: str) -> dict[str, Any]:
        """Parameters that tell the probabilities of tokens that continue `begun` to a label."""
        if not self._exact:
            return {"logprobs": _LIKELIEST}
        by_text = self._vocabulary.beginnings(labels, begun)
        tokens = [token for same in by_text.values() for token in same][:_MOST_TOKENS]
        return {"logprob_token_ids": tokens, "logprobs": len(tokens)}

    def _made(self, given: dict[str, Any]) -> Any:
        from vllm.sampling_params import RequestOutputKind

        return self._sampling(**given, output_kind=RequestOutputKind.FINAL_ONLY)

    async def _ask(self, ids: Sequence[int], parameters: Any) -> Any:
        from vllm import TokensPrompt

        prompt = TokensPrompt(prompt_token_ids=list(ids))
        name = f"glider-{next(self._numbers)}"
        return [done async for done in self._engine.generate(prompt, parameters, name)][-1]

    async def _label_logprobs(
        self, request: GenerationRequest, labels: Labels, ids: Sequence[int], output: Any
    ) -> dict[str, float] | None:
        written, vocabulary = list(output.token_ids), self._vocabulary
        text = vocabulary.text(written)
        ends = [len(vocabulary.text(written[:n])) for n in range(len(written) + 1)]
        tokens = [
            (text[start:end], self._distribution(position, labels.texts, ""))
            for (start, end), position in zip(pairwise(ends), output.logprobs or (), strict=False)
        ]
        if request.opening.endswith(labels.after):
            place = 0
        else:
            at = (request.opening + text).rfind(labels.after) + len(labels.after)
            place = next((n for n, end in enumerate(ends) if len(request.opening) + end >= at), 0)
        # Where one label begins another, one token more is needed to tell them apart.
        deeper: dict[str, Distribution] = {}
        for begun, path in vocabulary.ambiguous(labels.texts).items():
            given = self._of_labels(labels.texts, begun) | {"max_tokens": 1, "temperature": 0.0}
            asked = await self._ask([*ids, *written[:place], *path], self._made(given))
            (position,) = asked.outputs[0].logprobs
            deeper[begun] = self._distribution(position, labels.texts, begun)
        before = len(request.opening) + ends[place]
        return from_answer(
            labels, request.opening, tokens, lambda answer: deeper.get(answer[before:])
        )

    def _distribution(
        self, position: Mapping[int, Any], labels: tuple[str, ...], begun: str
    ) -> Distribution:
        """The log-probability of each token text that continues `begun` to a label."""
        found: dict[str, float] = {}
        for text, tokens in self._vocabulary.beginnings(labels, begun).items():
            told = [position[token].logprob for token in tokens if token in position]
            highest = max(told, default=-math.inf)
            if highest > -math.inf:
                total = math.log(sum(math.exp(value - highest) for value in told))
                found[text] = min(highest + total, 0.0)
            elif told:
                found[text] = -math.inf
        return found


async def _start(arguments: Any) -> Any:
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_engine_args(arguments)


def _ours(error: Exception) -> Exception:
    """Translate vLLM's errors; leave bugs in our code as they are."""
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

    if isinstance(error, EngineDeadError):
        return EngineDied("vLLM's engine has died", hint="its log, on standard error, says why")
    if isinstance(error, EngineGenerateError):
        return BackendError(f"the model failed: {error.__cause__ or error}")
    if isinstance(error, ValueError) or type(error).__module__.startswith("vllm."):
        return Refused(f"vLLM does not take this: {error}")
    return error
