"""The tests that every backend must pass, as a pytest suite that plug-ins can inherit.

    from glider.testing.contract import BackendContract

    class TestMine(BackendContract):
        @pytest.fixture
        def backend(self):
            with MyBackend("some-model") as backend:
                yield backend

It asks for behaviour only and never for a particular text, so any model will do, a random one
too. What a backend does not claim among its capabilities is skipped. The fixture must give every
test a backend of its own: some close it. Needs pytest.
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
"""The grammar that answers are held to here."""

LONG = Grammar(lark="start: /[a-z ]{600}/\n")
"""The grammar of an answer that goes on until it is cut off or cancelled."""

COUNT = "Count from 1 to 100, one number a line, and say nothing else."
"""A prompt whose answer is longer than the few tokens that are allowed for it."""

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
    """A greedy request with one user message."""
    return GenerationRequest(
        id=id,
        messages=(Message("user", content),),
        opening=opening,
        decoding=Decoding(max_tokens=max_tokens, seed=7),
        grammar=grammar,
        labels=labels,
    )


def answered(backend: Backend, request: GenerationRequest) -> Generation:
    """The answer to one request; an error fails the test."""
    (answer,) = backend.generate([request])
    if isinstance(answer, BackendError):
        raise AssertionError(f"expected an answer, got {answer.code}: {answer}") from answer
    return answer


class BackendContract:
    """Inherit, and give a fixture called `backend`."""

    def test_says_what_it_is(self, backend: Backend) -> None:
        """An id of provider/model, and room for at least one request."""
        provider, _, model = backend.id.partition("/")
        assert provider, f"{backend.id!r} is not provider/model"
        assert model, f"{backend.id!r} is not provider/model"
        assert backend.limits.in_flight >= 1, "a backend takes at least one request"

    def test_one_answer_per_request_in_order(self, backend: Backend) -> None:
        """Each answer carries its own request's opening, whichever was ready first."""
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
        """An empty list is no error."""
        assert backend.generate([]) == [], "no requests, no answers"

    def test_submit_gives_a_future(self, backend: Backend) -> None:
        """The future's result is the answer."""
        future = backend.submit(ask("Say something."))
        assert isinstance(future, Future), f"submit gave {type(future).__name__}"
        assert isinstance(future.result(_WAIT_S), Generation), "the result is a Generation"

    def test_max_tokens_is_respected(self, backend: Backend) -> None:
        """An answer that would go on is cut and says so."""
        answer = answered(backend, ask(COUNT, max_tokens=2))
        assert answer.finish == "length", f"finish is {answer.finish!r} for {answer.text!r}"
        assert answer.usage.completion_tokens <= 2, f"{answer.usage.completion_tokens} tokens"

    def test_greedy_answers_repeat(self, backend: Backend) -> None:
        """Temperature 0 and one seed give one text."""
        request = ask("Name a colour.", opening="It is ")
        first, second = answered(backend, request), answered(backend, request)
        assert first.text == second.text, "the same request was answered in two ways"

    def test_odd_texts_are_taken(self, backend: Backend) -> None:
        """Markup of chat templates, other scripts and control characters are only text."""
        request = ask("</s><|im_end|>\n[INST] naïve 日本語 🪂 \x00\x1b \u202e", max_tokens=2)
        (answer,) = backend.generate([request])
        assert isinstance(answer, Generation | BackendError), f"got {answer!r}"

    def test_a_prompt_beyond_the_context_is_an_error(self, backend: Backend) -> None:
        """Never shortened in silence."""
        limit = backend.limits.context_tokens
        if limit is None:
            pytest.skip("the backend does not know its context length")
        (answer,) = backend.generate([ask("no more! " * limit)])
        assert isinstance(answer, BackendError), f"{2 * limit} tokens were answered"
        assert answer.code == "prompt_too_long", f"code is {answer.code!r}"

    def test_closing_ends_open_futures(self, backend: Backend) -> None:
        """With an answer or with a BackendError, but they end."""
        futures = [backend.submit(ask(COUNT, id=f"open-{n}")) for n in range(8)]
        backend.close()
        done, open_ = wait(futures, _WAIT_S)
        assert not open_, f"{len(open_)} of {len(futures)} futures never ended"
        for future in done:
            error = future.exception()
            assert error is None or isinstance(error, BackendError), f"ended in {error!r}"

    def test_close_is_safe_twice_and_final(self, backend: Backend) -> None:
        """What is asked of a closed backend ends in a BackendError, in the future."""
        backend.close()
        backend.close()
        error = backend.submit(ask("Anybody there?")).exception(_WAIT_S)
        assert isinstance(error, BackendError), f"a closed backend gave {error!r}"

    def test_a_cancelled_request_takes_no_other_with_it(self, backend: Backend) -> None:
        """Cancelled while it waits, while it is answered or after: all others are answered."""
        labels = Labels(texts=("1", "2", "3"), after="Score: ")

        def score(n: int) -> "Future[Generation]":
            tokens = 1 + 30 * (n % 3) if backend.capabilities.explanations else 1
            return backend.submit(
                ask(f"Score {n}.", id=f"{n}", opening="Score: ", max_tokens=tokens, labels=labels)
            )

        # More than once: the requests of one round may all be answered before they are cancelled.
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
        """Cancelled in the middle, a long answer does not keep the engine from the next one."""
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
        # The machine may be busy with something else; even one whole story takes twelve times.
        assert time.monotonic() - began < 4 * usual_s + 2, "the engine wrote on for nobody"

    def test_the_grammar_is_kept(self, backend: Backend) -> None:
        """Whatever the model would rather say."""
        if not backend.capabilities.grammar:
            pytest.skip("the backend does not hold a model to a grammar")
        answer = answered(backend, ask("Tell me a story.", grammar=YES_OR_NO))
        assert answer.text in ("yes", "no"), f"the grammar has no {answer.text!r}"
        assert answer.constrained, "the answer does not say that it was constrained"

    def test_labels_get_log_probabilities(self, backend: Backend) -> None:
        """Natural logarithms of probabilities, for the labels asked for and no others."""
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
