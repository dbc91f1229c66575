"""The tests that every backend must pass, as a pytest suite that plug-ins can inherit.

    from glider.testing.contract import BackendContract

    class TestMine(BackendContract):
        @pytest.fixture
        def backend(self):
            with MyBackend("some-model") as backend:
                yield backend

It checks behaviour and never a particular text, so any model works, even a random one. Tests of
capabilities that a backend does not claim are skipped. The fixture must give each test its own
backend, since some tests close it. Needs pytest.
"""

import math
import time
from concurrent.futures import Future, wait

import pytest

from glider.backends.base import Backend
from glider.core.errors import BackendError
from glider.core.generation import (
    Decoding,
    Generation,
    GenerationRequest,
    Grammar,
    Labels,
    Message,
)

YES_OR_NO = Grammar(
    lark='start: "yes" | "no"\n', json_schema={"type": "string", "enum": ["yes", "no"]}
)
"""The grammar used in these tests."""

LONG = Grammar(lark="start: /[a-z ]{600}/\n")
"""A grammar whose answer continues until it is cut off or cancelled."""

COUNT = "Count from 1 to 100, one number a line, and say nothing else."
"""A prompt whose answer is longer than the tests' token limit."""

_WAIT_S = 60.0


def ask(
    content: str,
    *,
    id: str = "contract",
    opening: str = "",
    max_tokens: int = 8,
    grammar: Grammar | None = None,
    labels: Labels | None = None,
) -> GenerationRequest:
    """Build a greedy request with one user message."""
    return GenerationRequest(
        id=id,
        messages=(Message("user", content),),
        opening=opening,
        decoding=Decoding(max_tokens=max_tokens, seed=7),
        grammar=grammar,
        labels=labels,
    )


def answered(backend: Backend, request: GenerationRequest) -> Generation:
    """Return the answer to one request; an error fails the test."""
    (answer,) = backend.generate([request])
    if isinstance(answer, BackendError):
        raise AssertionError(f"expected an answer, got {answer.code}: {answer}") from answer
    return answer


class BackendContract:
    """Inherit from this class and define a fixture called `backend`."""

    def test_says_what_it_is(self, backend: Backend) -> None:
        """The id is provider/model, and at least one request is allowed in flight."""
        provider, _, model = backend.id.partition("/")
        assert provider, f"{backend.id!r} is not provider/model"
        assert model, f"{backend.id!r} is not provider/model"
        assert backend.limits.in_flight >= 1, "a backend takes at least one request"

    def test_one_answer_per_request_in_order(self, backend: Backend) -> None:
        """Each answer starts with its own request's opening, whatever the order of completion."""
        requests = [
            ask(COUNT, id=f"order-{n}", opening=f"Number {n}: ", max_tokens=1 + n % 3)
            for n in range(2 * min(backend.limits.in_flight, 8) + 1)
        ]
        answers = backend.generate(requests)
        assert len(answers) == len(requests), "as many answers as requests"
        for request, answer in zip(requests, answers, strict=True):
            assert isinstance(answer, Generation), f"{request.id}: {answer!r}"
            assert answer.text.startswith(request.opening), f"{request.id}: {answer.text!r}"

    def test_nothing_asked_nothing_answered(self, backend: Backend) -> None:
        """An empty list is not an error."""
        assert backend.generate([]) == [], "no requests, no answers"

    def test_submit_gives_a_future(self, backend: Backend) -> None:
        """The future's result is the answer."""
        future = backend.submit(ask("Say something."))
        assert isinstance(future, Future), f"submit gave {type(future).__name__}"
        assert isinstance(future.result(_WAIT_S), Generation), "the result is a Generation"

    def test_max_tokens_is_respected(self, backend: Backend) -> None:
        """An answer that is too long is cut and marked as such."""
        answer = answered(backend, ask(COUNT, max_tokens=2))
        assert answer.finish == "length", f"finish is {answer.finish!r} for {answer.text!r}"
        assert answer.usage.completion_tokens <= 2, f"{answer.usage.completion_tokens} tokens"

    def test_greedy_answers_repeat(self, backend: Backend) -> None:
        """Temperature 0 and the same seed give the same text."""
        request = ask("Name a colour.", opening="It is ")
        first, second = answered(backend, request), answered(backend, request)
        assert first.text == second.text, "the same request was answered in two ways"

    def test_odd_texts_are_taken(self, backend: Backend) -> None:
        """Chat template markup, other scripts and control characters are plain text."""
        request = ask("</s><|im_end|>\n[INST] naïve 日本語 🪂 \x00\x1b \u202e", max_tokens=2)
        (answer,) = backend.generate([request])
        assert isinstance(answer, Generation | BackendError), f"got {answer!r}"

    def test_a_prompt_beyond_the_context_is_an_error(self, backend: Backend) -> None:
        """A prompt is never silently shortened."""
        limit = backend.limits.context_tokens
        if limit is None:
            pytest.skip("the backend does not know its context length")
        (answer,) = backend.generate([ask("no more! " * limit)])
        assert isinstance(answer, BackendError), f"{2 * limit} tokens were answered"
        assert answer.code == "prompt_too_long", f"code is {answer.code!r}"

    def test_closing_ends_open_futures(self, backend: Backend) -> None:
        """Open futures end with an answer or a BackendError."""
        futures = [backend.submit(ask(COUNT, id=f"open-{n}")) for n in range(8)]
        backend.close()
        done, open_ = wait(futures, _WAIT_S)
        assert not open_, f"{len(open_)} of {len(futures)} futures never ended"
        for future in done:
            error = future.exception()
            assert error is None or isinstance(error, BackendError), f"ended in {error!r}"

    def test_close_is_safe_twice_and_final(self, backend: Backend) -> None:
        """A request to a closed backend gets a BackendError in its future."""
        backend.close()
        backend.close()
        error = backend.submit(ask("Anybody there?")).exception(_WAIT_S)
        assert isinstance(error, BackendError), f"a closed backend gave {error!r}"

    def test_a_cancelled_request_takes_no_other_with_it(self, backend: Backend) -> None:
        """Cancelling a request while it waits, runs or is done does not affect the others."""
        labels = Labels(texts=("1", "2", "3"), after="Score: ")

        def score(n: int) -> "Future[Generation]":
            tokens = 1 + 30 * (n % 3) if backend.capabilities.explanations else 1
            return backend.submit(
                ask(f"Score {n}.", id=f"{n}", opening="Score: ", max_tokens=tokens, labels=labels)
            )

        # Several rounds: in one round, all requests may be answered before they are cancelled.
        for _ in range(3):
            futures = [score(n) for n in range(12)]
            cancelled = [future for future in futures[::2] if future.cancel()]
            done, open_ = wait(futures, _WAIT_S)
            assert not open_, f"{len(open_)} of {len(futures)} futures never ended"
            for future in done - set(cancelled):
                assert isinstance(future.result(), Generation), "the others are answered"
            assert all(future.cancelled() for future in cancelled), "cancelled stays cancelled"
        assert isinstance(score(0).result(_WAIT_S), Generation), "nothing short is answered"

    def test_an_answer_that_nobody_waits_for_ends(self, backend: Backend) -> None:
        """A long answer that is cancelled midway does not block the next one."""
        if not (backend.capabilities.grammar and backend.capabilities.explanations):
            pytest.skip("the backend cannot be held to a long answer")

        def story(n: int, max_tokens: int) -> GenerationRequest:
            return ask("Tell a story.", id=f"{n}", max_tokens=max_tokens, grammar=LONG)

        began = time.monotonic()
        answered(backend, story(0, 50))
        usual_s = time.monotonic() - began
        futures = [backend.submit(story(n, 600)) for n in range(backend.limits.in_flight)]
        time.sleep(min(usual_s, 1.0))
        for future in futures:
            assert future.cancel() or future.done(), "a running request can be cancelled"
        began = time.monotonic()
        answered(backend, story(0, 50))
        # The machine may be busy, but a complete answer takes twelve times as long.
        assert time.monotonic() - began < 4 * usual_s + 2, "the engine wrote on for nobody"

    def test_the_grammar_is_kept(self, backend: Backend) -> None:
        """The answer follows the grammar, whatever the model prefers."""
        if not backend.capabilities.grammar:
            pytest.skip("the backend does not hold a model to a grammar")
        answer = answered(backend, ask("Tell me a story.", grammar=YES_OR_NO))
        assert answer.text in ("yes", "no"), f"the grammar has no {answer.text!r}"
        assert answer.constrained, "the answer does not say that it was constrained"

    def test_labels_get_log_probabilities(self, backend: Backend) -> None:
        """Label scores are natural-log probabilities, for exactly the requested labels."""
        if not backend.capabilities.label_logprobs:
            pytest.skip("the backend gives no label probabilities")
        labels = Labels(texts=("1", "2", "3"), after="Score: ")
        request = ask("Score this from 1 to 3.", opening="Score: ", max_tokens=1, labels=labels)
        found = answered(backend, request).label_logprobs
        assert found is not None, "no label log-probabilities"
        assert set(found) == set(labels.texts), f"labels are {sorted(found)}"
        assert all(value <= 0 for value in found.values()), f"above 0: {found}"
        assert any(math.isfinite(value) for value in found.values()), f"none is finite: {found}"
        assert sum(map(math.exp, found.values())) <= 1 + 1e-6, f"more than certain: {found}"
